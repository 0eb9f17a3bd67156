"""`/vestige/models` on a real server: every file at once, and its hash as soon as it is known."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.routes.models import ModelRoutes
from tests.outfit_tuner import model_files as files

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("checkpoints/sdxl.safetensors", "checkpoints/anime/pony.safetensors", "loras/mira_v1.safetensors"):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "models"


@pytest.fixture
async def client(serve: Serve, models: Path, tmp_path: Path) -> httpx.AsyncClient:
    hashes = FileHashes(tmp_path / "hashes")

    def found() -> dict[str, dict[str, Path]]:
        return {
            folder: {str(path.relative_to(models / folder)): path for path in (models / folder).rglob("*.safetensors")}
            for folder in ("checkpoints", "loras", "ipadapter")
        }

    return await serve(ModelRoutes(found, lambda: hashes).routes())


async def listed(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/vestige/models")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def hashed(client: httpx.AsyncClient) -> dict[str, Any]:
    """The listing once nothing is left to be read."""
    async with asyncio.timeout(10):
        while (found := await listed(client))["hashing"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def test_files_come_at_once_and_their_hashes_later(client: httpx.AsyncClient, models: Path) -> None:
    first = await listed(client)
    assert first["hashing"] <= 3
    assert [one["file"] for one in first["models"]["checkpoints"]] == ["anime/pony.safetensors", "sdxl.safetensors"]
    assert first["models"]["ipadapter"] == []
    found = (await hashed(client))["models"]
    for folder, listed_there in found.items():
        for one in listed_there:
            data = (models / folder / one["file"]).read_bytes()
            facts = {"file": one["file"], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            assert one == facts | ({"family": None} if folder == "checkpoints" else {})


async def test_a_file_that_is_another_now_has_another_hash(client: httpx.AsyncClient, models: Path) -> None:
    await hashed(client)
    (models / "checkpoints" / "sdxl.safetensors").write_bytes(b"another")
    await listed(client)
    found = {one["file"]: one for one in (await hashed(client))["models"]["checkpoints"]}
    assert found["sdxl.safetensors"]["sha256"] == hashlib.sha256(b"another").hexdigest()


async def test_what_a_checkpoint_descends_from(client: httpx.AsyncClient, models: Path) -> None:
    files.write_sparse(models / "checkpoints" / "ponyDiffusionV6XL.safetensors", files.lora(2048))
    found = {one["file"]: one for one in (await hashed(client))["models"]["checkpoints"]}
    assert found["ponyDiffusionV6XL.safetensors"]["family"] == "pony"


async def test_nobody_else_reads_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/vestige/models", headers={"Authorization": "Bearer another-token-altogether"})
    assert answer.status_code == 401
