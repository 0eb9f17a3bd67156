"""Who gets in: those with the token, and no page of another origin."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from comfy_nodes.outfit_tuner.routes import Route, pack_routes
from comfy_nodes.outfit_tuner.routes.auth import TOKEN_VARIABLE
from comfy_nodes.outfit_tuner.routes.body import read_json
from comfy_nodes.outfit_tuner.routes.errors import Conflict
from tests.outfit_tuner.routes.conftest import TOKEN, Serve


async def hello(_: web.Request) -> web.Response:
    return web.json_response({"hello": "world"})


async def echo(request: web.Request) -> web.Response:
    return web.json_response(await read_json(request, 1000))


async def refuse(_: web.Request) -> web.Response:
    raise Conflict("It is in use.", code="pinned", sha256="ab")


async def fail(_: web.Request) -> web.Response:
    raise ValueError("https://bucket.example/dress.png?signature=secret")


ROUTES = [
    Route("GET", "/vestige/hello", hello),
    Route("POST", "/vestige/echo", echo),
    Route("GET", "/vestige/refuse", refuse),
    Route("GET", "/vestige/fail", fail),
]


@pytest.fixture
async def client(serve: Serve) -> httpx.AsyncClient:
    return await serve(ROUTES)


async def test_the_token_opens(client: httpx.AsyncClient) -> None:
    answer = await client.get("/vestige/hello")
    assert (answer.status_code, answer.json()) == (200, {"hello": "world"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "unauthenticated"),
        ("", "unauthenticated"),
        ("Bearer", "unauthenticated"),
        (f"Basic {TOKEN}", "unauthenticated"),
        (TOKEN, "unauthenticated"),
        ("Bearer wrong", "wrong_token"),
        (f"Bearer {TOKEN}x", "wrong_token"),
        (f"Bearer {TOKEN[:-1]}", "wrong_token"),
        (f"Bearer {TOKEN.upper()}", "wrong_token"),
        ("Bearer \xe9\xff' OR 1=1 --", "wrong_token"),
    ],
)
async def test_nothing_else_does(client: httpx.AsyncClient, authorization: str | None, code: str) -> None:
    del client.headers["Authorization"]
    sent = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    answer = await client.get("/vestige/hello", headers=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("value", "code"), [(None, "no_token_set"), ("  ", "no_token_set"), ("short", "token_too_short")]
)
async def test_without_a_token_in_the_environment_all_is_closed_and_says_how_to_open_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, value: str | None, code: str
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    if value is not None:
        monkeypatch.setenv(TOKEN_VARIABLE, value)
    answer = await client.get("/vestige/hello", headers={"Authorization": f"Bearer {(value or '').strip() or 'any'}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert f"set {TOKEN_VARIABLE}" in answer.json()["error"]["message"]


async def test_a_newline_behind_the_token_in_the_environment_does_no_harm(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, f"{TOKEN}\n")
    assert (await client.get("/vestige/hello")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://named.by.a.proxy", "Host": "127.0.0.1:8188"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://here", "Host": "here"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://here:8188", "Host": "here:8188"}, 200),
        ({"Origin": "https://HERE", "Host": "here:443"}, 200),
        ({"Origin": "https://here", "Host": "there"}, 403),
        ({"Origin": "http://[::1]:8188", "Host": "[::1]:8188"}, 200),
        ({"Origin": "http://[::1]", "Host": "[::1]"}, 200),
        ({"Origin": "http://[::1]", "Host": "[::2]"}, 403),
    ],
)
async def test_pages_of_other_origins_are_refused_even_with_the_token(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.get("/vestige/hello", headers=headers)
    assert answer.status_code == status


async def test_a_handler_is_not_reached_without_the_token(serve: Serve) -> None:
    reached = []

    async def handler(request: web.Request) -> web.Response:
        reached.append(request)
        return web.Response()

    client = await serve([Route("DELETE", "/vestige/things", handler)])
    await client.delete("/vestige/things", headers={"Authorization": "Bearer wrong"})
    assert not reached


async def test_errors_have_one_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/vestige/refuse")
    assert answer.status_code == 409
    assert answer.json() == {"error": {"code": "pinned", "message": "It is in use.", "details": {"sha256": "ab"}}}


async def test_an_unforeseen_failure_tells_neither_client_nor_log_what_it_quotes(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/vestige/fail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text + caplog.text
    assert "GET /vestige/fail failed with ValueError" in caplog.text


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"a": 1}', "application/json", 200),
        (b'{"a": 1}', "text/plain", 415),
        (b"[1]", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a": "\xff"}', "application/json", 400),
        (b"[" * 900, "application/json", 400),
        (b'{"a": ' + b"[" * 63 + b"]" * 63 + b"}", "application/json", 200),
        (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "application/json", 400),
        (json.dumps({"a": "x" * 1000}).encode(), "application/json", 413),
    ],
)
async def test_bodies(client: httpx.AsyncClient, body: bytes, content_type: str, status: int) -> None:
    answer = await client.post("/vestige/echo", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status


async def test_a_body_that_does_not_say_how_long_it_is_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1000
            await asyncio.sleep(0)

    answer = await client.post("/vestige/echo", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await client.post("/vestige/echo", content=b"", headers=headers)
    assert answer.status_code == 415


async def test_the_pack_lists_its_routes_to_those_with_the_token(serve: Serve) -> None:
    client = await serve(pack_routes())
    assert (await client.get("/vestige")).json()["pack"] == "vestige"
    assert (await client.get("/vestige", headers={"Authorization": "Bearer no"})).status_code == 401
