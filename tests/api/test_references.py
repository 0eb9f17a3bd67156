"""References over HTTP: brought, looked at by those who may, served as what a browser cannot mistake."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from server.api.keys import ACCOUNTS
from server.api.services import OBJECTS
from server.app import Overrides
from server.catalog.references.fetch import Fetcher
from server.catalog.references.store import path_of
from server.settings import Settings
from tests.catalog.references.conftest import plain, saved
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Json, Server, running, shared_server
from tests.outfit_tuner.references.shop import Internet, Names, answer, open_shop, trust

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("references") / "data") as running_server:
        yield running_server


async def bring(server: Server, data: bytes, query: str = "", kind: str = "image/png", status: int = 201) -> Json:
    got, body = await server.ask(
        "POST", f"/v1/references{query}", data=io.BytesIO(data), headers={"Content-Type": kind}
    )
    assert got == status, body
    return body


async def person(server: Server, name: str) -> Server:
    return await server.as_user(name, "catalog")


async def look(server: Server, path: str, **headers: str) -> tuple[int, Any, bytes]:
    async with server.session.get(
        server.url + path, headers=server.headers(headers), allow_redirects=False
    ) as response:
        return response.status, response.headers, await response.read()


async def test_a_picture_is_brought_read_and_served(server: Server) -> None:
    brought = await bring(server, plain())
    assert (brought["width"], brought["height"], brought["picture"]) == (
        600,
        800,
        f"/v1/references/{brought['sha256']}/picture",
    )
    assert await server.ask("GET", f"/v1/references/{brought['sha256']}") == (200, brought)
    status, headers, body = await look(server, brought["picture"])
    assert (status, len(body), body[:4]) == (200, brought["bytes"], b"\x89PNG")
    assert headers["Content-Type"] == "image/png"
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    status, headers, body = await look(server, brought["picture"], **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"


async def test_a_picture_of_megabytes_comes_back_whole(server: Server) -> None:
    noise = saved(Image.effect_noise((1_500, 1_400), 120).convert("RGB"))
    brought = await bring(server, noise)
    status, _, body = await look(server, brought["picture"])
    assert (status, len(body)) == (200, brought["bytes"])
    assert len(body) > 2**20
    assert hashlib.sha256(body).hexdigest() == brought["sha256"]


async def test_a_form_brings_one_too_whatever_its_file_is_called(server: Server) -> None:
    form = aiohttp.FormData()
    form.add_field("file", plain((1, 2, 3)), filename="../../платье 👗.svg", content_type="image/svg+xml")
    status, brought = await server.ask("POST", "/v1/references", data=form)
    assert (status, brought["width"]) == (201, 600)


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"", "image/png", 400, "invalid_request"),
        (b"<svg onload='alert(1)'/>", "image/svg+xml", 415, "unsupported_media"),
        (b"<svg onload='alert(1)'/>", "image/png", 400, "invalid_request"),
        (b"PK\x03\x04", "application/zip", 415, "unsupported_media"),
        (b"PK\x03\x04", "application/octet-stream", 400, "invalid_request"),
        (bytes(11_000_000), "image/png", 413, "too_large"),
        (b"{}", "application/json", 400, "invalid_request"),
        (b'{"url": "http://shop.example/x.png"}', "application/json", 422, "invalid_reference"),
        (b'{"url": "https://169.254.169.254/latest"}', "application/json", 422, "invalid_reference"),
        (b'{"url": "https://[::ffff:127.0.0.1]:8443/"}', "application/json", 422, "invalid_reference"),
        (b'{"url": "https://localhost/x.png"}', "application/json", 422, "invalid_reference"),
        (b'{"url": ["https://shop.example"]}', "application/json", 400, "invalid_request"),
    ],
)
async def test_what_is_refused_and_how(server: Server, data: bytes, kind: str, status: int, code: str) -> None:
    body = await bring(server, data, kind=kind, status=status)
    assert body["error"]["code"] == code
    assert body["error"]["message"].endswith(".")


async def test_what_a_person_brought_is_theirs_and_the_admins(server: Server) -> None:
    ada, ben = await person(server, "Ada"), await person(server, "Ben")
    brought = await bring(ada, plain((9, 9, 1)))
    for path in (brought["picture"], f"/v1/references/{brought['sha256']}"):
        assert (await look(ada, path))[0] == 200
        assert (await look(server, path))[0] == 200
        assert (await look(ben, path))[0] == 404
        assert (await look(ben, path, **{"If-None-Match": f'"{brought["sha256"]}"'}))[0] == 404
        async with server.session.get(server.url + path) as response:
            assert response.status == 401
    assert (await look(ada, "/v1/references/..%2Fcharacters/picture"))[0] == 404


async def test_nobody_fills_the_store(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.references.MOST_OF_ONE", 1)
    eve = await person(server, "Eve")
    await bring(eve, plain((7, 7, 7)))
    assert (await bring(eve, plain((8, 8, 8)), status=409))["error"]["code"] == "conflict"


async def test_a_key_for_a_person_only_brings_for_them(server: Server) -> None:
    ada = await person(server, "Adele")
    await bring(ada, plain((3, 3, 3)), "?user_id=somebody-else", status=403)


@pytest.mark.asyncio(loop_scope="function")
async def test_an_address_is_fetched_and_nowhere_afterwards(
    make_settings: Callable[..., Settings], on_disk: Callable[[str], list[str]]
) -> None:
    async with FakeOpenAI() as fake, open_shop() as shop:
        shop.pages["/dress.png?sig=topsecret"] = answer(body=plain())
        shop.pages["/old.png"] = answer(403)
        fetcher = Fetcher(resolve=Names(), network=Internet(shop), tls=trust())
        async with running(make_settings(llm_base_url=fake.base_url), fake, Overrides(fetcher=fetcher)) as server:
            status, brought = await server.ask(
                "POST", "/v1/references", json={"url": "https://shop.example/dress.png?sig=topsecret"}
            )
            assert (status, brought["width"]) == (201, 600)
            status, body = await server.ask("POST", "/v1/references", json={"url": "https://shop.example/old.png"})
            assert (status, body["error"]["details"]["reason"]) == (422, "bad_status")
            assert "may have expired" in body["error"]["message"]
    assert await asyncio.to_thread(on_disk, "topsecret") == []


@pytest.mark.asyncio(loop_scope="function")
async def test_at_s3_what_is_one_persons_comes_through_the_server_and_the_page_may_show_the_rest(
    s3: str, s3_address: str, make_settings: Callable[..., Settings]
) -> None:
    async with (
        FakeOpenAI() as fake,
        running(make_settings(llm_base_url=fake.base_url, objects_url=s3), fake) as server,
    ):
        brought = await bring(server, plain())
        assert (await look(server, brought["picture"]))[0] == 200
        _, headers, _ = await look(server, "/")
        assert f"img-src 'self' data: blob: {s3_address};" in headers["Content-Security-Policy"]


async def test_the_shops_pictures_are_brought_by_a_key_that_keeps_the_shop(server: Server) -> None:
    accounts = server.app[ACCOUNTS]
    _, secret = await accounts.create_key("home", "the shop's", ("catalog",))
    keeper = replace(server, token=secret)
    brought = await bring(keeper, plain((4, 4, 4)))
    assert (await look(keeper, brought["picture"]))[0] == 200
    assert (await look(server, brought["picture"]))[0] == 200
    assert (await look(await person(server, "Cy"), brought["picture"]))[0] == 404
    assert (await look(keeper, f"{brought['picture']}?user_id=cy"))[0] == 404
    _, secret = await accounts.create_key("home", "talks only", ("chat",))
    await bring(replace(server, token=secret), plain(), status=403)


async def test_a_person_who_is_deleted_takes_their_pictures_along(server: Server) -> None:
    dora = await person(server, "Dora")
    brought = await bring(dora, plain((5, 5, 5)))
    status, counts = await server.ask("DELETE", f"/v1/admin/users/{dora.made['user']}")
    assert (status, counts["deleted"]["references"]) == (200, 1)
    assert (await look(server, brought["picture"]))[0] == 404
    assert await server.app[OBJECTS].head(path_of(brought["sha256"])) is None
