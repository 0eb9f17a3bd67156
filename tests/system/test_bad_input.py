"""Bad input, over raw HTTP, at every route of the whole server: a clear typed error, and nothing stored has changed."""

import asyncio
import gzip
import json
import random
import re
import zlib
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio

from server.api.routes import JSON
from tests.catalog.cardfiles import SIGNATURE, charx, chunk, encoded, header, json_card, png, text, v2, ztext
from tests.system.house import BODIES, House, open_house, unchanged
from tests.system.rawhttp import request, send

BAD_IDS = [
    "..",
    "../..",
    "../../etc/passwd",
    "a/b",
    "a:b",
    "vestige:{home/owner}:meta",
    "home/owner/mira",
    "-mira",
    "Mira",
    "mira ",
    "мира",
    "👻",
    "%00",
    "\x00",
    "\r\nX: y",
    "*",
    "$1",
    "'; DROP TABLE users; --",
    "{{7*7}}",
    "a" * 65,
    "a" * 5_000,
]
OPTIONAL_BODIES = ("ReplyIn", "ResetIn", "LoraRollback", "GridDraft")
BAD_BODIES = {
    "nothing": (b"", 400),
    "cut off": (b'{"message": "He', 400),
    "null": (b"null", 400),
    "a list": (b"[]", 400),
    "text": (b'"hello"', 400),
    "no UTF-8": (b'{"x": "caf\xe9"}', 400),
    "UTF-16": ('{"x": "y"}'.encode("utf-16"), 400),
    "an unknown field": (b'{"surprise": 1}', 400),
    "deep lists": (b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400),
    "deep objects": (b'{"x":' * 30_000 + b"1" + b"}" * 30_000, 400),
    "half a surrogate pair": (b'{"x": "\\ud800"}', 400),
    "a number without end": (b'{"x": ' + b"9" * 20_000 + b"}", 400),
    "NaN": (b'{"x": NaN}', 400),
    "a megabyte": (b'{"x": "' + b"y" * 1_000_000 + b'"}', 413),
}

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("bad") / "data") as opened:
        yield opened


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_changes(house: House) -> AsyncIterator[None]:
    async with unchanged(house):
        yield


async def test_every_body_has_its_example(house: House) -> None:
    assert {route.request.__name__ for route in house.routes if route.request} == set(BODIES)


@pytest.mark.parametrize("bad", BAD_IDS, ids=range(len(BAD_IDS)))
async def test_an_id_in_every_path(house: House, bad: str) -> None:
    for route in house.routes:
        for name in re.findall(r"{(\w+)", route.path):
            answer = await house.ask(route, token=house.server.token, path=house.path(route, **{name: bad}))
            assert (answer.status, answer.error["code"]) in (
                (400, "invalid_id"),
                (404, "not_found"),
            ), (route.method, route.path, answer)


@pytest.mark.parametrize("bad", [*BAD_IDS, 7, None, ["mira"], {"a": 1}, "a" * 10_000], ids=range(len(BAD_IDS) + 5))
async def test_an_id_in_every_body(house: House, bad: object) -> None:
    for route in house.routes:
        if route.request is None:
            continue
        for name in {"character_id", "user_id", "message_id", "message_ids", "tenant"} & set(
            route.request.model_fields
        ):
            if bad is None and not route.request.model_fields[name].is_required():
                continue  # the same as leaving it out
            value = [bad] if name == "message_ids" else bad
            body = json.dumps({**BODIES[route.request.__name__], name: value}).encode()
            answer = await send(house.port, request(route.method, house.path(route), house.server.token, body))
            assert (answer.status, answer.error["code"]) in (
                (400, "invalid_id"),
                (400, "invalid_request"),
                (404, "not_found"),
            ), (route.path, name, answer)


@pytest.mark.parametrize("bad", BAD_IDS, ids=range(len(BAD_IDS)))
async def test_an_id_in_every_query(house: House, bad: str) -> None:
    for route in house.routes:
        if route.access in ("open", "ops", "any") or route.path.startswith("/v1/admin"):
            continue
        path = house.path(route)
        path += f"{'&' if '?' in path else '?'}user_id={quote(bad, safe='')}"
        answer = await house.ask(route, token=house.server.token, path=path)
        assert (answer.status, answer.error["code"]) in (
            (400, "invalid_id"),
            (400, "invalid_request"),
        ), (route.path, answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/" + "a" * 10_000, 404),
        ("/v1/chat/" + "%61" * 10_000 + "/messages", 400),
        ("/v1/chat/" + "%F0%9F%91%BB" * 10_000 + "/messages", 400),
        ("/v1/chat/mira/messages?before=" + "a" * 10_000, 404),
        ("/v1/chat/mira/messages?user_id=" + "a" * 10_000, 400),
        ("/v1/memory/mira/search?q=" + "a" * 10_000, 400),
    ],
    ids=["path", "id", "ghosts", "before", "user", "search"],
)
async def test_an_address_of_ten_thousand_characters(house: House, path: str, status: int) -> None:
    answer = await send(house.port, request("GET", path, house.server.token))
    assert (answer.status, bool(answer.error["message"])) == (status, True)


async def test_an_address_without_end(house: House) -> None:
    answer = await send(house.port, request("GET", "/" + "a" * 500_000, house.server.token))
    assert answer.status in (400, 414)


@pytest.mark.parametrize(
    "path",
    [
        "/../v1/me",
        "/v1/../v1/me",
        "//v1/me",
        "/v1//me",
        "/static/../../etc/passwd",
        "/v1/nothing",
        "/static/x/%2e%2e%2fapp.js",
    ],
)
async def test_an_address_of_nothing(house: House, path: str) -> None:
    answer = await send(house.port, request("GET", path, house.server.token))
    assert (answer.status, answer.error["code"]) == (404, "not_found")


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_body_at_every_route(house: House, body: bytes, status: int) -> None:
    for route in house.routes:
        optional = ("ReplyIn", "ResetIn", "AgainIn", "LoraRollback", "GridDraft")
        if route.request is None or (body == b"" and route.request.__name__ in optional):
            continue
        answer = await send(house.port, request(route.method, house.path(route), house.server.token, body))
        # a sign-in takes less than the others, a character, a catalog and a chat more
        large = route.path.startswith(("/v1/characters", "/v1/admin/catalog", "/v1/chat/completions"))
        other = 413 if route.path == "/v1/session" else 400 if large else status
        assert answer.status in (status, other), (route.path, answer)
        assert answer.error["code"] in ("invalid_request", "invalid_id", "too_large")


async def test_ten_thousand_empty_gzip_members_at_every_route(house: House) -> None:
    bomb = gzip.compress(b"") * 10_000
    for route in house.routes:
        if route.method != "GET":
            data = request(route.method, house.path(route), house.server.token, bomb, "Content-Encoding: gzip")
            answer = await send(house.port, data)
            assert (answer.status, answer.error["code"]) == (415, "unsupported_media"), route.path


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/html"]
)
async def test_a_body_of_another_kind(house: House, kind: str) -> None:
    for route in house.routes:
        if route.request is not None and route.consumes == JSON:
            answer = await house.ask(route, f"Content-Type: {kind}", token=house.server.token)
            assert (answer.status, answer.error["code"]) == (415, "unsupported_media"), route.path


@pytest.mark.parametrize(
    "message", ["", " ", "\n\t", "\x00", "a\x00b", "\u200b", "\x07\x1b", "x" * 40_000, "\u0301" * 33_000], ids=range(9)
)
async def test_a_message_that_says_nothing_or_too_much(house: House, message: str) -> None:
    for path, method, field in (
        ("/v1/chat", "POST", "message"),
        (f"/v1/chat/mira/messages/{house.message_id}", "PATCH", "text"),
        ("/v1/memory/mira/pins", "POST", "text"),
        ("/v1/memory/mira/summary", "PUT", "text"),
    ):
        body = {field: message} | ({"character_id": "mira"} if path == "/v1/chat" else {})
        data = request(method, path, house.anna.token, json.dumps(body).encode())
        answer = await send(house.port, data)
        assert (answer.status, answer.error["code"]) in (
            (400, "invalid_request"),
            (413, "too_large"),
        ), (path, answer)


async def test_a_body_slower_than_anyone_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.body.BODY_SECONDS", 0.1)
    for route in house.routes:
        if route.request is not None:
            lines = ("Content-Length: 100",)
            answer = await send(house.port, request(route.method, house.path(route), house.server.token, b"{", *lines))
            assert (answer.status, answer.error["code"]) == (408, "request_timeout"), route.path


def bombs() -> dict[str, bytes]:
    picture = chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
    card = json_card(v2())
    return {
        "nothing": b"",
        "noise": random.Random(1).randbytes(5_000),
        "a picture of four gigapixels": SIGNATURE + header(65_535, 65_535) + text("chara", encoded(v2())) + picture,
        "a picture that unpacks to 200 MB": SIGNATURE
        + header(10_000, 7_000)
        + text("chara", encoded(v2()))
        + chunk(b"IDAT", zlib.compress(bytes(210_000_000), 9))
        + chunk(b"IEND", b""),
        "a card that unpacks to 100 MB": png(ztext("chara", b"A" * 100_000_000)),
        "a picture without a card": png(),
        "deep JSON": b'{"name": "x", "extensions": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "a name of a megabyte": json_card(v2(name="x" * 1_000_000)),
        "a card of 30 MB": b'{"spec": "' + b"x" * 30_000_000 + b'"}',
        "an archive that unpacks to 300 MB": charx({"card.json": b" " * 300_000_000 + card}),
        "an archive without a card": charx({"../../../../etc/cron.d/x": b"* * * * * root true"}),
        "an archive of 20,000 members": charx({"card.json": card} | {f"assets/{n}": b"" for n in range(20_000)}),
    }


@pytest.mark.parametrize(("name", "data"), bombs().items(), ids=bombs().keys())
async def test_a_card_that_is_none(house: House, name: str, data: bytes) -> None:
    for kind in ("application/octet-stream", "application/json", "image/png", "application/zip"):
        answer = await send(
            house.port, request("POST", "/v1/characters/import", house.anna.token, data, f"Content-Type: {kind}")
        )
        assert (answer.status, answer.error["code"]) in (
            (422, "invalid_card"),
            (413, "too_large"),
        ), answer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"GIF89a" + bytes(100),
        SIGNATURE + header(65_535, 65_535) + chunk(b"IEND", b""),
        png()[:-30],
    ],
    ids=["nothing", "SVG", "GIF", "gigapixels", "cut off"],
)
async def test_a_picture_that_is_none(house: House, data: bytes) -> None:
    answer = await send(
        house.port, request("PUT", "/v1/characters/mira/avatar", house.anna.token, data, "Content-Type: image/png")
    )
    assert answer.status in (400, 413, 415, 422)
    assert answer.error["message"]


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Long: " + "a" * 10_000],
        [f"X-{number}: a" for number in range(200)],
        ["Authorization : Bearer x"],
        ["X: \x00"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: -1"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: gzip, chunked, chunked"],
        ["Host: a", "Host: b"],
        ["Cookie: " + "a=b; " * 1_600],
    ],
    ids=range(10),
)
async def test_headers_that_cannot_be(house: House, lines: list[str]) -> None:
    answer = await send(house.port, request("POST", "/v1/chat", None, b"{}", *lines))
    assert answer.status in (400, 401, 431)


async def test_what_is_no_request_does_not_bring_its_secret_into_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for line in ("Authorization: Bearer hunter2\x00", "Authorization : Bearer hunter2", "X: " + "hunter2" * 2_000):
            assert (await send(house.port, request("GET", "/v1/me", None, None, line))).status == 400
    assert "hunter2" not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_noise(house: House) -> None:
    dice = random.Random(7)
    good = request("POST", "/v1/chat", house.server.token, b'{"character_id": "nobody", "message": "x"}')
    for number in range(150):
        data = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(data))
            data[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 6))
        answer = await send(house.port, bytes(data) if number % 3 else dice.randbytes(300), then_close=True)
        assert answer.status == 0 or 400 <= answer.status < 500, (bytes(data), answer)


async def test_half_open_connections_do_not_stop_the_others(house: House) -> None:
    head = request("POST", "/v1/chat", house.server.token, b"", "Content-Length: 50")
    opened = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(200)]
    for number, (_, writer) in enumerate(opened):
        writer.write(head[: number + 1])
    assert (await house.anna.ask("GET", "/v1/me"))[0] == 200
    for _, writer in opened:
        writer.close()
