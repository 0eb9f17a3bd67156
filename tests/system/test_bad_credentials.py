"""Wrong, expired and other people's credentials, and hosts that are not ours, at every route of the whole server."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from server.api.routes import Route
from tests.system.house import CANARY, House, open_house, unchanged
from tests.system.rawhttp import request, send

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("credentials") / "data") as opened:
        yield opened


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_changes(house: House) -> AsyncIterator[None]:
    async with unchanged(house):
        yield


def closed(house: House) -> list[Route]:
    return [route for route in house.routes if route.access not in ("open", "ops")]


async def test_none_or_wrong_at_every_route(house: House) -> None:
    revoked = await house.server.as_user("Gone")
    _, keys = await house.server.ask("GET", "/v1/admin/keys")
    key = next(key["id"] for key in keys["keys"] if key["user_id"] == revoked.made["user"])
    assert (await house.server.ask("DELETE", f"/v1/admin/keys/{key}"))[0] == 204
    assert (await house.server.ask("DELETE", f"/v1/admin/users/{revoked.made['user']}"))[0] == 200
    for route in closed(house):
        for token in (None, "wrong", revoked.token, house.anna.token[:-1], f"{house.anna.token} x"):
            answer = await house.ask(route, token=token)
            assert (answer.status, answer.error["code"]) == (401, "unauthenticated"), (route.path, token)
            assert CANARY.encode() not in answer.body


async def test_a_session_that_has_expired_at_every_route(house: House) -> None:
    _, made = await house.server.ask("POST", f"/v1/admin/users/{house.ben.made['user']}/link")
    token = made["link"].partition("token=")[2]
    signed = await send(house.port, request("POST", "/v1/session", None, json.dumps({"token": token}).encode()))
    assert signed.status == 200
    cookie = re.search(rb"(?i)set-cookie: ([^;]+)", signed.head)
    assert cookie is not None
    line = f"Cookie: {cookie[1].decode()}"
    me = next(route for route in house.routes if route.path == "/v1/me")
    assert (await house.ask(me, line)).status == 200
    house.clock[0] = timedelta(days=60)
    for route in closed(house):
        answer = await house.ask(route, line, "Origin: http://localhost")
        assert (answer.status, answer.error["code"]) == (401, "unauthenticated"), route.path


async def test_a_session_from_another_page_at_every_unsafe_route(house: House) -> None:
    _, made = await house.server.ask("POST", f"/v1/admin/users/{house.anna.made['user']}/link")
    token = made["link"].partition("token=")[2]
    signed = await send(house.port, request("POST", "/v1/session", None, json.dumps({"token": token}).encode()))
    cookie = re.search(rb"(?i)set-cookie: ([^;]+)", signed.head)
    assert cookie is not None
    line = f"Cookie: {cookie[1].decode()}"
    for route in closed(house):
        if route.method != "GET":
            for origin in ("Origin: http://evil.example", "Origin: null", "X-Nothing: 1"):
                answer = await house.ask(route, line, origin)
                assert (answer.status, answer.error["code"]) == (403, "forbidden"), (route.path, origin)


async def test_somebody_elses_at_every_route(house: House) -> None:
    """Ben, who may do everything with what is his, asks for what is Anna's."""
    anna = house.anna.made["user"]
    for route in closed(house):
        if route.path in ("/v1/me", "/v1/characters/import"):
            continue
        path = house.path(route)
        path += f"{'&' if '?' in path else '?'}user_id={anna}"
        answer = await house.ask(route, token=house.ben.token, path=path)
        assert (answer.status, answer.error["code"]) == (403, "forbidden"), (route.method, route.path, answer)


async def test_somebody_elses_ids_at_every_route(house: House) -> None:
    """Ben names Anna's private character, message, window and pin, and does not say whose they are."""
    for route in closed(house):
        if route.path.startswith("/v1/admin") or "{" not in route.path or route.path.endswith("/prompt"):
            continue
        answer = await house.ask(route, token=house.ben.token)
        assert CANARY.encode() not in answer.body, route.path
        if "{message_id}" in route.path or "_id}/facts" in route.path or "{pin_id}" in route.path:
            assert (answer.status, answer.error["code"]) == (404, "not_found"), route.path
        if route.path.startswith("/v1/characters"):
            assert (answer.status, answer.error["code"]) == (404, "not_found"), route.path


@pytest.mark.parametrize("scopes", [("chat",), ("memory",), ("characters",), ("catalog",), ("admin",)])
async def test_a_key_without_the_scope_at_every_route(house: House, scopes: tuple[str, ...]) -> None:
    body = {"name": "narrow", "scopes": scopes, "user_id": house.ben.made["user"]}
    _, made = await house.server.ask("POST", "/v1/admin/keys", json=body)
    for route in closed(house):
        if route.access not in ("any", *scopes):
            answer = await house.ask(route, token=made["secret"])
            assert (answer.status, answer.error["code"]) == (403, "forbidden"), (route.path, answer)
    assert (await house.server.ask("DELETE", f"/v1/admin/keys/{made['key']['id']}"))[0] == 204


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "169.254.169.254"])
async def test_a_host_that_is_not_ours_at_every_route(house: House, host: str) -> None:
    for route in house.routes:
        answer = await house.ask(route, f"Host: {host}", token=house.server.token)
        assert (answer.status, answer.error["code"]) == (403, "forbidden"), route.path
        assert answer.error["details"] == {"reason": "host"}
