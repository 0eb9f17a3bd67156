"""The page's files: found by name alone, cached by content, sent with the right types and policies."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server.errors import VestigeError
from server.web.routes import CONTENT_SECURITY_POLICY, Page, routes

PLAIN = {"Accept-Encoding": "identity"}


@web.middleware
async def errors(request: web.Request, handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except VestigeError as error:
        return web.json_response(error.payload(), status=error.status)


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
async def client(page: Page) -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[errors])
    app.router.add_routes(routes(page))
    async with TestClient(TestServer(app), auto_decompress=False) as client:
        yield client


async def test_the_page_is_revalidated_and_brings_its_policy(client: TestClient) -> None:
    response = await client.get("/", headers=PLAIN)
    assert response.status == 200
    assert response.content_type == "text/html"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    again = await client.get("/", headers=PLAIN | {"If-None-Match": response.headers["ETag"]})
    assert again.status == 304
    assert again.headers["ETag"] == response.headers["ETag"]
    assert await again.read() == b""


def test_the_policy_lets_nothing_in_but_our_own() -> None:
    policy = {name: value for name, _, value in (part.partition(" ") for part in CONTENT_SECURITY_POLICY.split("; "))}
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


async def test_what_the_page_names_is_there_and_kept_for_ever(client: TestClient, page: Page) -> None:
    html = await (await client.get("/", headers=PLAIN)).text()
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
    assert f"/static/{page.version}/app.js" in named
    for url in named:
        response = await client.get(url, headers=PLAIN)
        assert response.status == 200, url
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        expected = {
            "css": "text/css",
            "js": "text/javascript",
            "svg": "image/svg+xml",
            "webmanifest": "application/manifest+json",
        }
        assert response.content_type == expected[url.rsplit(".", 1)[1]]


def test_no_markup_carries_script_or_style_of_its_own(page: Page) -> None:
    html = page.index.body.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:|https?://", html)


def test_every_module_imports_what_exists(page: Page) -> None:
    for name, asset in page.assets.items():
        for target in re.findall(r'^import [^;]*?"(\.[^"]+)";$', asset.body.decode("utf-8", "replace"), re.MULTILINE):
            found = (Path("/") / name).parent.joinpath(target).resolve().relative_to("/").as_posix()
            assert found in page.assets, f"{name} imports {target}"


def test_only_one_function_makes_nodes_of_markup(page: Page) -> None:
    sinks = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|parseFromString|srcdoc|\beval\(|Function\("
    )
    using = {name for name, asset in page.assets.items() if name.endswith(".js") and sinks.search(asset.body.decode())}
    assert using == {"html.js"}


async def test_two_encodings_have_two_strong_etags(client: TestClient, page: Page) -> None:
    url = f"/static/{page.version}/app.js"
    plain = await client.get(url, headers=PLAIN)
    packed = await client.get(url, headers={"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await packed.read()) == await plain.read() == page.assets["app.js"].body
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert not plain.headers["ETag"].startswith("W/")
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "name",
    [
        "../routes.py",
        "..%2froutes.py",
        "%2e%2e/%2e%2e/settings.py",
        "css/../../index.html",
        "index.html",
        "css",
        "css/",
        "APP.JS",
        "app.js/",
        "app.js%00.css",
        "//etc/passwd",
        "C:%5Cwindows",
        "\u202eapp.js",
        "a" * 4_000,
    ],
)
async def test_nothing_else_is_found(client: TestClient, page: Page, name: str) -> None:
    response = await client.get(f"/static/{page.version}/{name}")
    assert response.status == 404


async def test_another_versions_files_are_not_mixed_in(client: TestClient) -> None:
    response = await client.get("/static/0000000000000000/app.js")
    assert response.status == 404
    assert (await response.json())["error"]["message"].startswith("There is no such file.")


def test_the_version_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("{{static}} {{preload}}")
    (tmp_path / "a.js").write_text("1")
    first = Page(tmp_path)
    assert first.index.body.decode().startswith(f"/static/{first.version} ")
    (tmp_path / "a.js").write_text("2")
    assert Page(tmp_path).version != first.version


def test_links_and_unknown_kinds_of_files_are_not_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("")
    (tmp_path / "link.js").symlink_to(Path(__file__))
    assert Page(tmp_path).assets == {}
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        Page(tmp_path)
