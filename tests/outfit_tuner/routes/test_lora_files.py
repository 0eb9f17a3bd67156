"""`/vestige/lora-files` on a real server: sent in pieces, resumed, verified."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_nodes.outfit_tuner.file_hashes import FileHashes
from comfy_nodes.outfit_tuner.pushed_loras import PushedLoras
from comfy_nodes.outfit_tuner.routes.lora_files import LoraFileRoutes
from tests.loras import lora_files as made

Serve = Callable[..., Awaitable[httpx.AsyncClient]]

DATA = made.lora()
SHA256 = hashlib.sha256(DATA).hexdigest()
ONE = f"/vestige/lora-files/halina/3?sha256={SHA256}"


@pytest.fixture
async def client(serve: Serve, tmp_path: Path) -> httpx.AsyncClient:
    folder = tmp_path / "loras"
    folder.mkdir()

    def listed() -> dict[str, Path]:
        return {str(path.relative_to(folder)): path for path in folder.rglob("*.safetensors")}

    loras = PushedLoras(folder / "vestige", 10 * len(DATA), listed, FileHashes(None))
    return await serve(LoraFileRoutes(lambda: loras).routes())


async def put(
    client: httpx.AsyncClient, start: int, end: int, *, url: str = ONE, data: Any = None, total: int = len(DATA)
) -> tuple[int, dict[str, Any]]:
    body = DATA[start:end] if data is None else data
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}"}
    response = await client.put(url, content=body, headers=headers)
    return response.status_code, response.json()


async def test_a_file_comes_in_pieces(client: httpx.AsyncClient, tmp_path: Path) -> None:
    assert (await client.get(ONE)).json() == {"whole": False, "received": 0}
    assert await put(client, 0, 10_000) == (200, {"whole": False, "received": 10_000})
    assert (await client.get(ONE)).json() == {"whole": False, "received": 10_000}
    status, error = await put(client, 9_000, 20_000)
    assert (status, error["error"]["code"], error["error"]["details"]) == (409, "wrong_start", {"received": 10_000})
    assert await put(client, 10_000, len(DATA)) == (201, {"whole": True, "received": len(DATA)})
    assert (tmp_path / "loras" / "vestige" / "halina_v3.safetensors").read_bytes() == DATA
    assert (await client.get(ONE)).json() == {"whole": True, "received": len(DATA)}
    assert await put(client, 0, len(DATA)) == (200, {"whole": True, "received": len(DATA)})  # nothing is written

    assert (await client.put("/vestige/lora-files/halina/3/pin")).json() == {"pinned": True}
    listing = (await client.get("/vestige/lora-files")).json()
    assert listing["files"][0].items() >= {"file": "halina_v3.safetensors", "sha256": SHA256, "pinned": True}.items()
    assert (listing["bytes"], listing["pinned_bytes"], listing["limit_bytes"]) == (len(DATA),) * 2 + (10 * len(DATA),)
    assert (await client.delete("/vestige/lora-files/halina/3/pin")).json() == {"pinned": False}
    assert (await client.post("/vestige/lora-files/halina/3/verify")).json() == {"sha256": SHA256}
    assert (await client.post("/vestige/lora-files/halina/4/verify")).json() == {"sha256": None}


async def test_what_came_before_the_connection_broke_is_kept(client: httpx.AsyncClient) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield DATA[:20_000]
        await asyncio.sleep(0.2)
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        await put(client, 0, len(DATA), data=breaking())
    status, answer = await put(client, 20_000, len(DATA))
    while status == 409:
        assert answer["error"]["code"] in ("wrong_start", "being_received")  # it is still being written
        await asyncio.sleep(0.01)
        status, answer = await put(client, 20_000, len(DATA))
    assert (status, answer["whole"]) == (201, True)


async def test_what_has_come_can_be_dropped(client: httpx.AsyncClient) -> None:
    await put(client, 0, 10_000)
    assert (await client.delete(ONE)).json() == {"whole": False, "received": 0}


async def test_the_end_can_be_asked_for_again(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the last byte and the verification."""

    def killed(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(PushedLoras, "finish", killed)
        assert (await put(client, 0, len(DATA)))[0] == 500
    assert (await client.get(ONE)).json() == {"whole": False, "received": len(DATA)}
    response = await client.put(ONE, headers={"Content-Range": f"bytes */{len(DATA)}"})
    assert (response.status_code, response.json()["whole"]) == (201, True)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"Content-Range": "bytes 0-99"}, 400, "invalid_request"),
        ({"Content-Range": "bytes 99-0/200"}, 400, "invalid_request"),
        ({"Content-Range": "bytes 0-200/200"}, 400, "invalid_request"),
        ({"Content-Range": "bytes 0-10/200"}, 400, "invalid_request"),  # longer than it says
        ({"Content-Range": f"bytes 0-99/{5 << 30}"}, 413, "too_large"),
        ({"Content-Range": "bytes 0-99/100", "Content-Encoding": "gzip"}, 415, "unsupported_media"),
        ({"Content-Range": "bytes 0-99/100"}, 422, "wrong_content"),
        ({"Content-Range": f"bytes 0-99/{11 * len(DATA)}"}, 503, "no_room"),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, headers: dict[str, str], status: int, code: str) -> None:
    response = await client.put(ONE, content=DATA[:100], headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("/vestige/lora-files/halina/3", 400, "bad_hash"),
        ("/vestige/lora-files/halina/live?sha256=" + SHA256, 400, "bad_name"),
        ("/vestige/lora-files/..%2Fhalina/3?sha256=" + SHA256, 400, "bad_name"),
    ],
)
async def test_names_are_never_paths(client: httpx.AsyncClient, url: str, status: int, code: str) -> None:
    response = await client.get(url)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert (await client.put("/vestige/lora-files/halina/3/pin")).status_code == 404
