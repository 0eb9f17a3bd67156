"""`/vestige/loras` on a real server."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.routes.loras import LoraRoutes
from tests.outfit_tuner import model_files as files

Serve = Callable[..., Awaitable[httpx.AsyncClient]]

KOHYA = {
    "ss_base_model_version": "sdxl_base_v1-0",
    "ss_sd_model_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors",
    "ss_new_sd_model_hash": "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3",
    "ss_network_dim": "32",
    "ss_network_alpha": "16.0",
    "ss_num_train_images": "204",
    "ss_steps": "740",
    "ss_training_finished_at": "1726067863.29673",
    "ss_training_comment": "None",
    "modelspec.title": "halina",
}


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    shapes = files.lora(2048, text_encoders=2)
    files.write_sparse(folder / "halina_v1.safetensors", shapes)
    files.write_sparse(folder / "halina_v2.safetensors", shapes, metadata=KOHYA)
    (folder / "Ania K").mkdir()
    (folder / "Ania K" / "v1.safetensors").write_bytes(b"PK\x03\x04")
    return folder


@pytest.fixture
async def client(serve: Serve, loras: Path, tmp_path: Path) -> httpx.AsyncClient:
    hashes = FileHashes(tmp_path / "hashes")

    def listing() -> dict[str, Path]:
        return {str(path.relative_to(loras)): path for path in loras.rglob("*.safetensors")}

    return await serve(LoraRoutes(listing, lambda: hashes).routes())


async def characters(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await client.get("/vestige/loras")
    assert answer.status_code == 200, answer.text
    return {entry["name"]: entry for entry in answer.json()["characters"]}


async def test_characters_versions_and_what_their_headers_tell(client: httpx.AsyncClient, loras: Path) -> None:
    found = await characters(client)
    assert list(found) == ["Ania K", "halina"]
    halina = found["halina"]
    assert (halina["live"], halina["problem"]) == (2, None)
    newest, oldest = halina["versions"]
    assert newest == {
        "version": 2,
        "file": "halina_v2.safetensors",
        "bytes": (loras / "halina_v2.safetensors").stat().st_size,
        "sha256": None,
        "base_family": "pony",
        "base_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors",
        "base_sha256": KOHYA["ss_new_sd_model_hash"],
        "title": "halina",
        "dim": 32,
        "alpha": 16,
        "images": 204,
        "steps": 740,
        "trained_at": "2024-09-11T15:17:43+00:00",
        "problem": None,
    }
    assert (oldest["base_family"], oldest["dim"], oldest["trained_at"]) == ("sdxl", None, None)
    [broken] = found["Ania K"]["versions"]
    assert broken["problem"].startswith("v1.safetensors is a pickled PyTorch file")


async def test_looking_at_one_hashes_its_files(client: httpx.AsyncClient, loras: Path) -> None:
    answer = (await client.get("/vestige/loras/halina")).json()
    expected = [hashlib.sha256((loras / f"halina_v{n}.safetensors").read_bytes()).hexdigest() for n in (2, 1)]
    assert [version["sha256"] for version in answer["versions"]] == expected
    assert [version["sha256"] for version in (await characters(client))["halina"]["versions"]] == expected
    assert (await client.get("/vestige/loras/Ania%20K")).json()["name"] == "Ania K"


async def test_going_back_is_one_call(client: httpx.AsyncClient, loras: Path) -> None:
    answer = await client.put("/vestige/loras/halina/live", json={"version": 1})
    assert (answer.status_code, answer.json()["live"]) == (200, 1)
    assert json.loads((loras / "live.json").read_text()) == {"halina": 1}
    assert (await characters(client))["halina"]["live"] == 1


async def test_a_damaged_pointer_is_told_and_not_overwritten(client: httpx.AsyncClient, loras: Path) -> None:
    (loras / "live.json").write_text("{")
    halina = (await characters(client))["halina"]
    assert halina["live"] is None
    assert "live.json cannot be read" in halina["problem"]
    answer = await client.put("/vestige/loras/halina/live", json={"version": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_made_live")
    assert (loras / "live.json").read_text() == "{"


async def test_two_files_of_one_version_are_told(client: httpx.AsyncClient, loras: Path) -> None:
    files.write_sparse(loras / "old" / "halina_v2.safetensors", files.lora(2048))
    newest = (await characters(client))["halina"]["versions"][0]
    assert newest["problem"] == "old/halina_v2.safetensors claims to be it too."


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/vestige/loras/nobody", None, 404, "no_character"),
        ("GET", "/vestige/loras/..%2F..%2Fsecret", None, 404, "no_character"),
        ("PUT", "/vestige/loras/nobody/live", {"version": 1}, 404, "no_character"),
        ("PUT", "/vestige/loras/halina/live", {"version": 7}, 404, "no_version"),
        ("PUT", "/vestige/loras/halina/live", {"version": "1"}, 400, "invalid_request"),
        ("PUT", "/vestige/loras/halina/live", {"version": True}, 400, "invalid_request"),
        ("PUT", "/vestige/loras/halina/live", {}, 400, "invalid_request"),
    ],
)
async def test_what_is_not_there_or_not_meant_is_refused(
    client: httpx.AsyncClient, loras: Path, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not (loras / "live.json").exists()
