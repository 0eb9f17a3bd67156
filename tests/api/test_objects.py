"""Serving out of the object store: bytes for a folder and for what is one person's, else a link that lasts."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server.api.objects import picture_response
from server.settings import Settings
from server.stores.objects import Objects
from server.stores.objects_open import open_objects

PATH = "previews/ab/abc/picture.webp"


@pytest.fixture(params=["folder", "s3"])
async def objects(request: pytest.FixtureRequest, make_settings: Callable[..., Settings]) -> AsyncIterator[Objects]:
    url = None if request.param == "folder" else request.getfixturevalue("s3")
    async with open_objects(make_settings(objects_url=url)) as opened:
        yield opened


@pytest.fixture
async def client(objects: Objects) -> AsyncIterator[TestClient]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return await picture_response(request, objects, PATH, etag="abc", own="own" in request.query)

    app = web.Application()
    app.router.add_get("/", serve)
    await objects.put(PATH, b"RIFF....WEBP")
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def test_what_is_one_persons_comes_as_it_is(client: TestClient) -> None:
    response = await client.get("/?own", allow_redirects=False)
    assert (response.status, await response.read()) == (200, b"RIFF....WEBP")
    assert (response.content_type, response.headers["ETag"]) == ("image/webp", '"abc"')


async def test_the_rest_comes_by_a_link_where_there_are_links(client: TestClient, objects: Objects) -> None:
    first = await client.get("/", allow_redirects=False)
    if await objects.link(PATH, 60) is None:
        assert (first.status, await first.read()) == (200, b"RIFF....WEBP")
        return
    again = await client.get("/", allow_redirects=False)
    link = first.headers["Location"]
    assert (first.status, again.headers["Location"]) == (302, link)
    kept = int(first.headers["Cache-Control"].removeprefix("private, max-age="))
    assert kept >= 86_400
    assert int(parse_qs(urlsplit(link).query)["X-Amz-Expires"][0]) >= 2 * kept - 1
    async with aiohttp.ClientSession() as session, session.get(link) as response:
        assert (response.content_type, await response.read()) == ("image/webp", b"RIFF....WEBP")


async def test_a_browser_that_has_it_is_told_so_without_asking_the_store(client: TestClient, objects: Objects) -> None:
    await objects.delete(PATH)
    response = await client.get("/?own", headers={"If-None-Match": 'W/"abc"'})
    assert (response.status, await response.read()) == (304, b"")
