"""What comes in: bodies that are too large, broken, compressed or not what they say; each gets its own clear error."""

import asyncio
import gzip
import json

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from server.api.middlewares import server_options
from tests.api.conftest import OWNER_TOKEN, Door, raw

BEARER = f"Authorization: Bearer {OWNER_TOKEN}\r\n".encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b'{"message": "Hello"}', 200, None, None),
        (b'{"message": "Hello", "message": "Bye"}', 200, None, None),
        (b"", 400, "invalid_request", "not valid JSON"),
        (b"{", 400, "invalid_request", "not valid JSON"),
        (b"null", 400, "invalid_request", "must be an object"),
        (b"[]", 400, "invalid_request", "must be an object"),
        (b'{"message": 1}', 400, "invalid_request", "'message' must be text"),
        (b"{}", 400, "invalid_request", "'message' is missing"),
        (b'{"message": "a", "mesage": "b"}', 400, "invalid_request", "'mesage' is not a field here"),
        (b'{"message": "a", "times": "many"}', 400, "invalid_request", "'times' must be a whole number"),
        (b'{"message": "a", "times": 0}', 400, "invalid_request", "must be greater than or equal to 1"),
        (b'{"message": "a", "tags": ["x", 2]}', 400, "invalid_request", "'tags.1' must be text"),
        (b'{"message": "a", "times": ' + b"9" * 6_000 + b"}", 400, "invalid_request", "not valid JSON"),
        (b'{"message": "caf\xe9"}', 400, "invalid_request", "not valid UTF-8 (byte 16)"),
        (b'{"message": "\\ud800"}', 400, "invalid_request", "hex escape"),
        (b'{"message": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", 400, "invalid_request", "recursion"),
        (b'{"message": "' + b"a" * 30_000 + b'"}', 413, "too_large", "22,384 bytes"),
        (b'{"message": "' + b"a" * 1_001 + b'"}', 413, "too_large", "1,001 bytes, and at most 1,000 are taken"),
        (b'{"message": "  \\n\\t "}', 400, "invalid_request", "message is empty"),
        (b'{"message": "\\u200b\\u0007"}', 400, "invalid_request", "message is empty"),
        (b'{"message": "a\\u0000b"}', 400, "invalid_request", "NUL"),
    ],
)
async def test_json(door: Door, body: bytes, status: int, code: str | None, says: str | None) -> None:
    got, answer = await door.ask("POST", "/v1/say/mira", data=body, headers=JSON)
    assert got == status, answer
    if code is not None and says is not None:
        assert answer["error"]["code"] == code
        assert says in answer["error"]["message"]


async def test_a_message_of_a_megabyte_is_refused_before_it_is_read(door: Door) -> None:
    status, answer = await door.ask("POST", "/v1/say/mira", json={"message": "a" * 1_000_000})
    assert (status, answer["error"]["details"]["limit"]) == (413, 22_384)


async def test_any_message_within_the_limit_fits_however_it_is_escaped(door: Door) -> None:
    body = b'{"message": "' + b"\\u0041" * 1_000 + b'"}'
    status, answer = await door.ask("POST", "/v1/say/mira", data=body, headers=JSON)
    assert (status, answer["text"]) == (200, "A" * 1_000)


@pytest.mark.parametrize(
    "text", ["Привет, 世界! 👩‍🚀", "a\r\nb\rc", "tab\there", "bell\x07\x1b[31m", "\u202eright to left"]
)
async def test_what_people_write_comes_through_and_control_characters_do_not(door: Door, text: str) -> None:
    _, answer = await door.ask("POST", "/v1/say/mira", json={"message": text})
    expected = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x07", "").replace("\x1b", "")
    assert answer["text"] == expected


async def test_errors_name_fields_and_never_repeat_values(door: Door) -> None:
    body = {"message": ["my secret diary"], "times": "my secret diary", "user_id": 7, "k" * 500 + "\x1b": "x"}
    status, answer = await door.ask("POST", "/v1/say/mira", json=body)
    assert status == 400
    assert "my secret diary" not in json.dumps(answer)
    details = answer["error"]["details"]
    assert {problem["field"] for problem in details["problems"]} == {"message", "times", "user_id", "k" * 64}
    assert "3 more problems" in answer["error"]["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_is_not_declared_as_json_is_415(door: Door, kind: str) -> None:
    status, answer = await door.ask(
        "POST", "/v1/say/mira", data=b'{"message": "Hello"}', headers={"Content-Type": kind}
    )
    assert (status, answer["error"]["code"]) == (415, "unsupported_media")


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("q=tea", 200, None),
        ("q=tea&tokens=20", 200, None),
        ("", 400, "'q' is missing"),
        ("q=a&q=b", 400, "twice"),
        ("q=a&tokens=many", 400, "'tokens' must be a whole number"),
        ("q=a&tokens=9999999", 400, "'tokens' must be less than or equal to 8000"),
        ("q=a&limit=3", 400, "'limit' is not a field here"),
        ("q=%ff", 200, None),
    ],
)
async def test_query_strings(door: Door, query: str, status: int, says: str | None) -> None:
    got, answer = await door.ask("GET", f"/v1/search?{query}")
    assert got == status
    if says is not None:
        assert says in answer["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
async def test_compressed_bodies_are_refused(door: Door, encoding: str) -> None:
    body = gzip.compress(b'{"token": "x"}')
    status, answer = await door.ask(
        "POST", "/v1/session", token=None, data=body, headers=JSON | {"Content-Encoding": encoding}
    )
    assert (status, answer["error"]["code"]) == (415, "unsupported_media")


async def test_ten_thousand_empty_gzip_members_are_answered_before_they_have_all_come(door: Door) -> None:
    bomb = gzip.compress(b"") * 10_000
    head = (
        b"POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % (len(bomb) + 1)
    )
    answers = await asyncio.gather(*(raw(door, head + bomb) for _ in range(4)), door.ask("GET", "/health", token=None))
    assert all(answer.startswith(b"HTTP/1.1 415 ") for answer in answers[:4] if isinstance(answer, bytes))
    assert answers[4][0] == 200


async def test_nothing_is_unpacked_on_its_way_to_a_handler() -> None:
    async def size(request: web.Request) -> web.Response:
        return web.json_response(len(await request.read()))

    app = web.Application()
    app.router.add_post("/", size)
    server = TestServer(app)
    await server.start_server(**server_options())
    packed = gzip.compress(b"0" * 1_000_000)
    async with (
        TestClient(server) as client,
        client.post("/", data=packed, headers={"Content-Encoding": "gzip"}) as answer,
    ):
        assert await answer.json() == len(packed)


@pytest.mark.parametrize(
    "request_body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1, 2\r\n\r\nab",
    ],
)
async def test_a_body_that_is_not_framed_as_it_says_is_400(door: Door, request_body: bytes) -> None:
    head = b"POST /v1/say/mira HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + BEARER
    assert b" 400 " in (await raw(door, head + request_body))[:13]
    assert (await door.ask("GET", "/health"))[0] == 200


async def test_a_chunked_body_without_an_end_is_cut_at_the_limit(door: Door) -> None:
    head = b"POST /v1/say/mira HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + BEARER
    chunk = b"1000\r\n" + b"a" * 4_096 + b"\r\n"
    answer = await raw(door, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 8)
    assert answer.startswith(b"HTTP/1.1 413 ")


def form(name: str, content: bytes, kind: str = "image/png") -> FormData:
    data = FormData()
    data.add_field("note", "beside it")
    data.add_field(name, content, filename="../../x.png", content_type=kind)
    return data


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"data": b"\x89PNG", "headers": {"Content-Type": "image/png"}}, {"size": 4, "type": "image/png"}),
        ({"data": form("file", b"a\r\n--b\r\n\r\nc")}, {"size": 11, "type": "image/png"}),
        ({"data": form("file", b"")}, {"size": 0, "type": "image/png"}),
        ({"data": form("file", b"\r\n" * 100, "text/html")}, {"size": 200, "type": "text/html"}),
        ({"data": form("other", b"x")}, "no part named 'file'"),
        ({"data": form("file", b"x" * 2_000)}, "at most 1,000 bytes"),
        ({"data": b"x" * 2_000, "headers": {"Content-Type": "image/png"}}, "at most 1,000 bytes"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "no boundary"),
        ({"data": b"--b--", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "no part named"),
        ({"data": b"--b" * 300, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "no part named"),
        ({"data": b"\r\n--b" * 100, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "16 parts"),
    ],
)
async def test_uploads(door: Door, sent: dict, expected: dict[str, object] | str) -> None:
    status, answer = await door.ask("POST", "/v1/upload", **sent)
    if isinstance(expected, str):
        assert status in (400, 413)
        assert expected in answer["error"]["message"]
    else:
        assert (status, answer) == (200, expected)


async def test_a_body_that_never_arrives_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.body.BODY_SECONDS", 0.05)
    head = b"POST /v1/say/mira HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + BEARER
    answer = await raw(door, head + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
