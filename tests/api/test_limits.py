"""Rate limits as clients meet them: per key, per address, per user, told in headers."""

import re
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from server.api.clients import client_address, is_loopback
from server.api.keys import SETTINGS
from server.settings import Settings
from tests.api.conftest import Door, OpenDoor


async def headers_of(door: Door, method: str, path: str, token: str, body: object = None) -> tuple[int, dict[str, str]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with door.client.request(method, path, headers=headers, json=body) as response:
        return response.status, dict(response.headers)


async def key_of(door: Door) -> str:
    _, made = await door.ask("POST", "/v1/admin/keys", json={"name": "bot", "scopes": ["chat", "memory"]})
    return made["secret"]


async def test_a_key_has_so_many_requests_and_is_told(open_door: OpenDoor) -> None:
    async with open_door(key_requests_per_minute=2) as door:
        secret = await key_of(door)
        for left in (1, 0):
            status, headers = await headers_of(door, "GET", "/v1/search?q=x", secret)
            assert status == 200
            assert headers["RateLimit-Policy"] == '"key";q=2;w=60'
            assert re.fullmatch(rf'"key";r={left};t=\d+', headers["RateLimit"])
        status, headers = await headers_of(door, "GET", "/v1/search?q=x", secret)
        assert status == 429
        assert headers["RateLimit"].startswith('"key";r=0;')
        assert 1 <= int(headers["Retry-After"]) <= 120
        assert (await door.ask("GET", "/v1/search?q=x"))[0] == 200  # the owner is no key
        assert (await door.ask("GET", "/v1/search?q=x", token=await key_of(door)))[0] == 200  # each has its own


async def test_a_turn_tells_both_policies_it_counts_against(door: Door) -> None:
    secret = await key_of(door)
    body = {"message": "Hello", "user_id": "anna"}
    for status in (200, 200, 429):
        found, headers = await headers_of(door, "POST", "/v1/say/mira", secret, body)
        assert found == status
        assert headers["RateLimit-Policy"] == '"key";q=1200;w=60, "turns";q=2;w=60'
    assert "Retry-After" in headers


async def test_what_is_not_counted_says_nothing(door: Door) -> None:
    for path in ("/v1/search?q=x", "/health"):
        _, headers = await headers_of(door, "GET", path, "owner-token-of-this-process-0123456789")
        assert "RateLimit" not in headers


async def test_an_address_behind_a_trusted_proxy_has_so_many_requests(open_door: OpenDoor) -> None:
    async with open_door(address_requests_per_minute=1, trusted_proxies="127.0.0.1") as door:

        async def from_address(address: str) -> int:
            return (await door.ask("GET", "/v1/search?q=x", headers={"X-Forwarded-For": address}))[0]

        assert [await from_address(f"198.51.100.{i}") for i in (1, 1, 2)] == [200, 429, 200]
        assert await from_address("203.0.113.9, 198.51.100.2") == 429
        assert (await door.ask("GET", "/v1/search?q=x"))[0] == 200  # this machine's own


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "client"),
    [
        ("198.51.100.1", [], "", "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9"], "", "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.9"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.9, 10.9.9.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.9"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["10.1.1.1"], "10.0.0.0/8", "10.1.1.1"),
        ("10.0.0.1", ["203.0.113.9, banana"], "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", ["2001:db8::1"], "10.0.0.1", "2001:db8::1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "10.0.0.1", "203.0.113.9"),
        ("::1", ["203.0.113.9"], "127.0.0.1,::1", "203.0.113.9"),
        (None, ["203.0.113.9"], "10.0.0.1", "unknown"),
    ],
)
def test_whose_address_it_is(
    make_settings: Callable[..., Settings], remote: str | None, forwarded: list[str], trusted: str, client: str
) -> None:
    app = web.Application()
    app[SETTINGS] = make_settings(trusted_proxies=trusted)
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request = make_mocked_request("GET", "/", app=app, headers=headers).clone(remote=remote)  # type: ignore[arg-type]
    assert client_address(request) == client


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("unknown", True), ("::2", False), ("10.0.0.1", False)],
)
def test_this_machines_own_are_not_counted(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
