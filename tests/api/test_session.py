"""Signing in from the page: one link, one cookie, and how it ends."""

import asyncio

import pytest

from server.accounts.principal import PERSONAL
from server.accounts.tokens import sign_in_token
from tests.api.conftest import OWNER_TOKEN, Door, OpenDoor


async def test_a_link_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(door: Door) -> None:
    anna = await door.accounts.add_user("home", "Анна 🙂", tier="plus")
    token = await door.accounts.new_link("home", anna.id)
    await door.accounts.set_active("home", anna.id, "mira")
    async with door.client.post("/v1/session", json={"token": token}, headers={"Origin": door.origin}) as answer:
        me = await answer.json()
    cookie = answer.cookies[f"vestige_session_{door.client.port}"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Strict", "/", "")
    assert int(cookie["max-age"]) == 30 * 86_400
    assert not cookie["secure"]
    assert me == {
        "user": {"id": anna.id, "name": "Анна 🙂"},
        "tenant": "home",
        "role": "member",
        "scopes": sorted(PERSONAL),
        "tier": "plus",
        "active_character": "mira",
        "model": {"name": "smol", "provider": "bundled", "bundled": True, "banner": "Small. Set OPENROUTER_API_KEY."},
        "limits": {"message_bytes": 1_000},
        "disclose_ai": True,
        "version": me["version"],
    }
    assert await door.ask("GET", "/v1/me", token=None) == (200, me)
    assert (await door.ask("GET", "/v1/admin/users", token=None))[0] == 403


async def test_over_https_the_cookie_is_secure(open_door: OpenDoor) -> None:
    async with open_door(public_url="https://front.example.org") as door:
        token = await door.accounts.new_link("home", "owner")
        headers = {"Host": "front.example.org", "Origin": "https://front.example.org"}
        async with door.client.post("/v1/session", json={"token": token}, headers=headers) as answer:
            assert answer.status == 200
        assert answer.cookies["vestige_session"]["secure"]
        assert answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("token", [OWNER_TOKEN, sign_in_token(OWNER_TOKEN)])
async def test_the_owners_address_works_once(door: Door, token: str) -> None:
    async def sign_in() -> tuple[int, dict]:
        return await door.ask("POST", "/v1/session", token=None, json={"token": token}, headers={"Origin": door.origin})

    answers = await asyncio.gather(*(sign_in() for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200, 401, 401, 401, 401]
    status, body = await sign_in()
    assert status == 401
    assert "used already" in body["error"]["message"] and "vestige link" in body["error"]["message"]
    assert (await door.ask("GET", "/v1/me", token=None))[0] == 200


async def test_signing_in_needs_no_origin_but_never_a_foreign_one(door: Door) -> None:
    link = await door.accounts.new_link("home", "owner")
    status, _ = await door.ask(
        "POST", "/v1/session", token=None, json={"token": link}, headers={"Origin": "https://evil.example"}
    )
    assert status == 403
    assert (await door.ask("POST", "/v1/session", token=None, json={"token": link}))[0] == 200


async def test_opening_a_used_link_does_not_sign_anyone_out(door: Door) -> None:
    link = await door.accounts.new_link("home", "owner")
    body, headers = {"json": {"token": link}}, {"Origin": door.origin}
    assert (await door.ask("POST", "/v1/session", token=None, headers=headers, **body))[0] == 200
    assert (await door.ask("POST", "/v1/session", token=None, headers=headers, **body))[0] == 401
    assert (await door.ask("GET", "/v1/me", token=None))[0] == 200


async def test_signing_out_takes_the_cookie_and_the_session(door: Door) -> None:
    await door.sign_in("owner")
    (kept,) = [cookie for cookie in door.client.session.cookie_jar if cookie.key.startswith("vestige_session")]
    assert (await door.ask("DELETE", "/v1/session", token=None))[0] == 403
    assert (await door.ask("DELETE", "/v1/session", token=None, headers={"Origin": door.origin}))[0] == 204
    assert list(door.client.session.cookie_jar) == []
    cookie = {"Cookie": f"{kept.key}={kept.value}"}
    assert (await door.ask("GET", "/v1/me", token=None, headers=cookie))[0] == 401
    assert (await door.ask("DELETE", "/v1/session", token=None))[0] == 204


async def test_a_cookie_that_is_no_good_any_more_is_taken_back(door: Door) -> None:
    anna = await door.accounts.add_user("home", "Anna")
    await door.sign_in(anna.id)
    await door.accounts.delete_user("home", anna.id)
    assert (await door.ask("GET", "/v1/me", token=None))[0] == 401
    assert list(door.client.session.cookie_jar) == []


async def test_a_page_left_open_for_too_long_does_not_count_as_guessing(door: Door) -> None:
    anna = await door.accounts.add_user("home", "Anna")
    await door.sign_in(anna.id)
    await door.accounts.delete_user("home", anna.id)
    assert {(await door.ask("GET", "/v1/me", token=None))[0] for _ in range(40)} == {401}


async def test_signing_in_again_ends_the_session_before(door: Door) -> None:
    await door.sign_in("owner")
    (first,) = [(cookie.key, cookie.value) for cookie in door.client.session.cookie_jar]
    await door.sign_in("owner")
    door.client.session.cookie_jar.clear()
    status, _ = await door.ask("GET", "/v1/me", token=None, headers={"Cookie": f"{first[0]}={first[1]}"})
    assert status == 401


@pytest.mark.parametrize(
    "body", [{}, {"token": ""}, {"token": "x" * 600}, {"token": 7}, {"token": "x", "user": "owner"}]
)
async def test_what_is_no_token(door: Door, body: dict) -> None:
    assert (await door.ask("POST", "/v1/session", token=None, json=body))[0] == 400


async def test_wrong_tokens_are_counted(door: Door) -> None:
    seen = [
        (await door.ask("POST", "/v1/session", token=None, json={"token": f"vsl_{number}"}))[0] for number in range(40)
    ]
    assert set(seen) == {401, 429}
    link = await door.accounts.new_link("home", "owner")
    assert (await door.ask("POST", "/v1/session", token=None, json={"token": link}))[0] == 200


async def test_two_servers_on_one_machine_do_not_share_a_cookie(door: Door) -> None:
    await door.sign_in("owner")
    (cookie,) = list(door.client.session.cookie_jar)
    moved = {"Cookie": f"vestige_session_1={cookie.value}; vestige_session={cookie.value}"}
    door.client.session.cookie_jar.clear()
    assert (await door.ask("GET", "/v1/me", token=None, headers=moved))[0] == 401
