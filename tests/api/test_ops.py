"""Is it up, is it whole, what does it count, what can it do; and what every answer carries."""

import asyncio
import re

import pytest

from server.errors import StoreUnavailable
from tests.api.conftest import Door, OpenDoor

ANYWHERE = "0.0.0.0"  # noqa: S104 - a setting; the test's server listens on loopback


async def test_health_is_open(open_door: OpenDoor) -> None:
    async with open_door(host=ANYWHERE) as door:
        status, body = await door.ask("GET", "/health", token=None)
    assert (status, body["status"]) == (200, "ok")


@pytest.mark.parametrize("path", ["/ready", "/metrics", "/docs", "/openapi.json"])
@pytest.mark.parametrize(
    ("fields", "open_to_all"),
    [
        ({}, True),
        ({"host": ANYWHERE}, False),
        ({"public_url": "https://chat.example.org"}, False),
        ({"allowed_hosts": ("chat.example.org",)}, False),
    ],
)
async def test_the_rest_is_open_only_where_nobody_else_reaches_it(
    open_door: OpenDoor, path: str, fields: dict, open_to_all: bool
) -> None:
    async with open_door(**fields) as door:
        assert (await door.ask("GET", path, token=None))[0] == (200 if open_to_all else 401)
        _, key = await door.accounts.create_key("home", "monitoring", {"chat"})
        assert (await door.ask("GET", path, token=key))[0] == 200


async def _fine() -> None:
    return


async def _gone() -> None:
    raise StoreUnavailable("The index store cannot be reached: try again in a moment.")


async def _broken() -> None:
    raise RuntimeError("redis://user:password@host")


async def _late() -> None:
    raise TimeoutError


async def test_ready_names_what_does_not_answer(open_door: OpenDoor) -> None:
    checks = {"redis": _fine, "chroma": _gone, "model": _broken, "embedder": _late}
    async with open_door(checks=checks) as door:
        status, body = await door.ask("GET", "/ready")
    assert (status, body["status"]) == (503, "degraded")
    assert {name: check["ok"] for name, check in body["checks"].items()} == {
        "redis": True,
        "chroma": False,
        "model": False,
        "embedder": False,
    }
    assert body["checks"]["chroma"]["error"].startswith("The index store cannot be reached")
    assert "within 2 s" in body["checks"]["embedder"]["error"]
    assert "password" not in str(body)


async def test_checks_run_at_once(open_door: OpenDoor) -> None:
    met = asyncio.Barrier(2)

    async def meet() -> None:
        await met.wait()

    async with open_door(checks={"one": meet, "other": meet}) as door:
        assert (await door.ask("GET", "/ready"))[0] == 200


async def test_metrics_count_by_route_and_never_by_what_was_sent(door: Door) -> None:
    await door.ask("POST", "/v1/say/mira", json={"message": "Hello"})
    await door.ask("GET", "/secret-path-of-mine")
    await door.ask("GET", "/v1/me", token="wrong")
    status, text = await door.ask("GET", "/metrics")
    assert status == 200
    assert 'vestige_http_requests_total{method="POST",route="/v1/say/{character_id}",status="200"} 1.0' in text
    assert 'vestige_http_requests_total{method="any",route="unmatched",status="404"} 1.0' in text
    assert "vestige_refused_credentials_total 1.0" in text
    assert "vestige_http_request_seconds_bucket" in text
    assert "mira" not in text and "secret-path" not in text


async def test_two_servers_in_one_process_count_apart(open_door: OpenDoor) -> None:
    async with open_door() as one, open_door() as other:
        await one.ask("GET", "/v1/me")
        assert 'route="/v1/me"' in (await one.ask("GET", "/metrics"))[1]
        assert 'route="/v1/me"' not in (await other.ask("GET", "/metrics"))[1]


@pytest.mark.parametrize("path", ["/health", "/v1/me", "/nowhere", "/v1/bug", "/metrics"])
async def test_every_answer_carries_the_same_protection(door: Door, path: str) -> None:
    async with door.client.get(path) as answer:
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "vestige"
    assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-Id"])


@pytest.mark.parametrize(
    ("given", "kept"), [("trace-1234", True), ("short", False), ("a b c d e f", False), ("x" * 65, False)]
)
async def test_a_request_id_from_outside_is_kept_if_it_is_one(door: Door, given: str, kept: bool) -> None:
    async with door.client.get("/health", headers={"X-Request-Id": given}) as answer:
        assert (answer.headers["X-Request-Id"] == given) == kept


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/say/a/b", 404, "not_found"),
        ("PUT", "/v1/me", 405, "method_not_allowed"),
        ("GET", "/v1/bug", 500, "internal"),
        ("TRACE", "/v1/me", 405, "method_not_allowed"),
    ],
)
async def test_errors_have_one_shape(door: Door, method: str, path: str, status: int, code: str) -> None:
    got, body = await door.ask(method, path)
    assert (got, body["error"]["code"]) == (status, code)
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["message"].endswith(".")


async def test_a_bug_is_logged_with_its_place_and_without_what_it_quotes(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    _, body = await door.ask("GET", "/v1/bug?token=my-sign-in-token")
    logged = "".join(capsys.readouterr())
    assert "RuntimeError" in logged and "conftest.py" in logged
    assert body["error"]["details"]["request_id"] in logged
    assert "my secret diary" not in logged + str(body)
    assert "my-sign-in-token" not in logged


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(door: Door) -> None:
    with pytest.raises(Exception, match=r"not completed|disconnected"):
        await door.ask("GET", "/v1/breaks-off")
    assert (await door.ask("GET", "/health"))[0] == 200
