"""`/vestige/references` over real sockets, with a shop that speaks real TLS."""

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from comfy_nodes.outfit_tuner.pictures import MAX_BYTES
from comfy_nodes.outfit_tuner.references import AllowedHosts, Fetcher, ReferenceCache
from comfy_nodes.outfit_tuner.routes.references import ReferenceRoutes
from tests.outfit_tuner.references.shop import Internet, Names, Shop, answer, open_shop, trust
from tests.outfit_tuner.routes.conftest import Serve

ADDRESS = "https://shop.example/dress.png?X-Amz-Signature=topsecret"


def picture(format: str = "PNG", size: tuple[int, int] = (64, 48), colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, format)
    return out.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() + str(path).encode() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.pages["/dress.png?X-Amz-Signature=topsecret"] = answer(body=picture())
        yield shop


@pytest.fixture
async def client(serve: Serve, shop: Shop, tmp_path: Path) -> httpx.AsyncClient:
    cache = ReferenceCache(tmp_path / "references", 2**20)
    fetch = Fetcher(AllowedHosts("shop.example"), resolve=Names(), network=Internet(shop), tls=trust())
    return await serve(ReferenceRoutes(lambda: cache, lambda: fetch).routes())


async def add(client: httpx.AsyncClient, data: bytes, kind: str = "image/png") -> httpx.Response:
    return await client.post("/vestige/references", content=data, headers={"Content-Type": kind})


@pytest.mark.parametrize(("format", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
async def test_a_file_is_added_looked_at_and_comes_back_as_it_was(
    client: httpx.AsyncClient, format: str, kind: str
) -> None:
    data = picture(format)
    added = await add(client, data, "application/octet-stream")
    assert added.status_code == 201
    told = added.json()
    assert told.pop("used_at").endswith("+00:00")
    expected = {"sha256": sha256(data), "bytes": len(data), "pinned": False}
    assert told == expected | {"format": format.lower(), "width": 64, "height": 48}
    assert (await add(client, data, kind)).status_code == 200

    one = f"/vestige/references/{sha256(data)}"
    assert (await client.get(one)).json()["width"] == 64
    content = await client.get(f"{one}/bytes")
    assert (content.content, content.headers["Content-Type"]) == (data, kind)
    assert content.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in content.headers["Content-Security-Policy"]


async def test_an_address_is_fetched_and_forgotten(
    client: httpx.AsyncClient, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    added = await client.post("/vestige/references", json={"url": ADDRESS})
    assert (added.status_code, added.json()["sha256"]) == (201, sha256(picture()))
    again = await client.post("/vestige/references", json={"url": f" {ADDRESS}\n"})
    assert again.status_code == 200
    assert len(shop.requests) == 2
    shop.pages.clear()  # the signed address expires, and the picture stays
    assert (await client.get(f"/vestige/references/{added.json()['sha256']}/bytes")).content == picture()
    assert b"shop.example" not in everything_in(tmp_path)
    assert "topsecret" not in added.text + caplog.text


@pytest.mark.parametrize(
    ("page", "status", "code"),
    [
        (answer(body=b"<svg/>", content_type="image/svg+xml"), 502, "not_a_picture"),
        (answer(body=b"<html>, says it is a picture"), 422, "not_a_picture"),
        (answer(body=b""), 422, "empty"),
        (answer(body=picture(size=(1, 10_000))), 422, "sliver"),
        (answer(body=picture()[:-20]), 422, "damaged"),
        (answer(body=picture("GIF")), 422, "not_a_picture"),
        (answer(403), 502, "bad_status"),
        (answer(302, location="https://127.0.0.1/"), 422, "host_not_allowed"),
    ],
)
async def test_what_is_fetched_has_to_be_a_picture(
    client: httpx.AsyncClient, shop: Shop, page: bytes, status: int, code: str
) -> None:
    shop.pages["/dress.png?X-Amz-Signature=topsecret"] = page
    refused = await client.post("/vestige/references", json={"url": ADDRESS})
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert (await client.get("/vestige/references")).json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"url": 7}, 400, "invalid_request"),
        ({"url": "http://shop.example/dress.png"}, 422, "not_https"),
        ({"url": "https://elsewhere.example/dress.png"}, 422, "host_not_allowed"),
        ({"url": "x" * 20_000}, 413, "too_large"),
    ],
)
async def test_addresses_that_are_not_taken(
    client: httpx.AsyncClient, body: dict[str, object], status: int, code: str
) -> None:
    refused = await client.post("/vestige/references", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


async def test_without_allowed_hosts_it_says_how_to_allow_some(serve: Serve, tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path, 2**20)
    client = await serve(ReferenceRoutes(lambda: cache, lambda: Fetcher(AllowedHosts(""))).routes())
    refused = await client.post("/vestige/references", json={"url": ADDRESS})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_hosts_allowed")
    assert "VESTIGE_REFERENCE_HOSTS" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"", "image/png", 422, "empty"),
        (b"hello", "image/png", 422, "not_a_picture"),
        (picture()[:-20], "image/png", 422, "damaged"),
        (picture(size=(1, 10_000)), "image/png", 422, "sliver"),
        (picture(), "image/svg+xml", 415, "unsupported_media"),
        (picture(), "multipart/form-data", 415, "unsupported_media"),
        (bytes(MAX_BYTES + 1), "image/png", 413, "too_large"),
    ],
    ids=["empty", "text", "truncated", "sliver", "svg", "form", "large"],
)
async def test_files_that_are_not_taken(
    client: httpx.AsyncClient, data: bytes, kind: str, status: int, code: str
) -> None:
    refused = await add(client, data, kind)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


async def test_pins_list_and_delete(client: httpx.AsyncClient) -> None:
    names = [(await add(client, picture(colour=colour))).json()["sha256"] for colour in ("red", "green", "blue")]
    one = f"/vestige/references/{names[0]}"
    assert (await client.put(f"{one}/pin")).json()["pinned"]
    assert (await client.put(f"{one}/pin")).json()["pinned"]
    listed = (await client.get("/vestige/references", params={"limit": 2})).json()
    assert (len(listed["references"]), listed["count"]) == (2, 3)
    rest = (await client.get("/vestige/references", params={"limit": 2, "offset": 2})).json()["references"]
    assert {entry["sha256"] for entry in listed["references"] + rest} == set(names)
    assert 0 < listed["pinned_bytes"] < listed["bytes"] < listed["limit_bytes"]
    refused = await client.delete(one)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "pinned")
    assert not (await client.delete(f"{one}/pin")).json()["pinned"]
    assert (await client.delete(one)).status_code == 204
    for response in (
        await client.get(one),
        await client.get(f"{one}/bytes"),
        await client.delete(one),
        await client.put(f"{one}/pin"),
        await client.get("/vestige/references/..%2f..%2fetc%2fpasswd"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_cached")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=1e3", "offset=٣", "limit=99999999999"])
async def test_pages_that_make_no_sense(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/vestige/references?{query}")).status_code == 400


async def test_a_folder_that_cannot_be_written_to_is_said(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "references").write_text("in the way")
    cache = ReferenceCache(tmp_path / "references", 2**20)
    client = await serve(ReferenceRoutes(lambda: cache, lambda: Fetcher(AllowedHosts(""))).routes())
    refused = await add(client, picture())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "cache_unwritable")


async def test_many_at_once_are_one_picture(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(add(client, picture()) for _ in range(12)))
    assert sorted(response.status_code for response in answers) == [200] * 11 + [201]
    assert (await client.get("/vestige/references")).json()["count"] == 1
