"""Users and API keys over HTTP, for those who may."""

from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.conftest import OWNER_TOKEN, Door, OpenDoor


async def test_a_new_user_gets_a_link_that_signs_them_in(door: Door) -> None:
    status, made = await door.ask("POST", "/v1/admin/users", json={"name": "Zoë", "tier": "plus"})
    assert status == 201
    user = made["user"]
    assert (user["name"], user["role"], user["tier"], user["last_seen"]) == ("Zoë", "member", "plus", None)
    assert datetime.fromisoformat(user["created"]).utcoffset() == timedelta(0)
    assert user["created"].endswith("+00:00")
    link = urlsplit(made["link"])
    assert f"{link.scheme}://{link.netloc}" == door.origin
    (token,) = parse_qs(link.query)["token"]
    status, me = await door.ask("POST", "/v1/session", token=None, json={"token": token})
    assert (status, me["user"]["id"]) == (200, user["id"])
    _, listed = await door.ask("GET", "/v1/admin/users")
    assert [one["id"] for one in listed["users"]] == ["owner", user["id"]]


async def test_links_lead_where_people_reach_the_server(open_door: OpenDoor) -> None:
    async with open_door(public_url="https://chat.example.org/") as door:
        _, answer = await door.ask("POST", "/v1/admin/users/owner/link")
        assert answer["link"].startswith("https://chat.example.org/?token=vsl_")


async def test_changing_a_user(door: Door) -> None:
    anna = await door.accounts.add_user("home", "Anna")
    path = f"/v1/admin/users/{anna.id}"
    status, changed = await door.ask("PATCH", path, json={"role": "admin"})
    assert (status, changed["role"], changed["name"], changed["tier"]) == (200, "admin", "Anna", "free")
    _, changed = await door.ask("PATCH", path, json={"name": "Änne", "tier": "plus"})
    assert (changed["role"], changed["name"], changed["tier"]) == ("admin", "Änne", "plus")
    assert (await door.ask("PATCH", path, json={}))[0] == 200
    _, changed = await door.ask("PATCH", "/v1/admin/users/owner", json={"name": "Me", "role": "owner"})
    assert (changed["name"], changed["role"]) == ("Me", "owner")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/admin/users", {"name": ""}, 400),
        ("POST", "/v1/admin/users", {"name": "a" * 81}, 400),
        ("POST", "/v1/admin/users", {"name": "Ben", "role": "owner"}, 400),
        ("POST", "/v1/admin/users", {"name": "Ben", "tier": "gold"}, 400),
        ("POST", "/v1/admin/users", {"name": "Ben", "id": "owner"}, 400),
        ("PATCH", "/v1/admin/users/nobody", {"name": "Ben"}, 404),
        ("PATCH", "/v1/admin/users/owner", {"role": "member"}, 409),
        ("PATCH", "/v1/admin/users/..%2Fowner", {"name": "Ben"}, 400),
        ("POST", "/v1/admin/users/nobody/link", None, 404),
        ("DELETE", "/v1/admin/users/nobody", None, 404),
        ("DELETE", "/v1/admin/users/owner", None, 409),
        ("POST", "/v1/admin/keys", {"name": "app", "scopes": []}, 400),
        ("POST", "/v1/admin/keys", {"name": "app", "scopes": ["root"]}, 400),
        ("POST", "/v1/admin/keys", {"name": "app", "scopes": ["chat"], "user_id": "nobody"}, 404),
        ("POST", "/v1/admin/keys", {"name": "app", "scopes": ["chat"], "tenant": "a/b"}, 400),
        ("POST", "/v1/admin/keys", {"scopes": ["chat"]}, 400),
        ("DELETE", "/v1/admin/keys/nothing", None, 404),
    ],
)
async def test_what_is_refused(door: Door, method: str, path: str, body: dict | None, status: int) -> None:
    got, answer = await door.ask(method, path, json=body)
    assert (got, list(answer)) == (status, ["error"])
    assert door.erased == []
    assert [user.id for user in await door.accounts.users("home")] == ["owner"]


async def test_removing_a_user_removes_what_is_theirs_and_their_way_in(door: Door) -> None:
    anna = await door.accounts.add_user("home", "Anna")
    _, key = await door.accounts.create_key("home", "phone", {"chat"}, user_id=anna.id)
    hosts = [{"name": "gpu1", "things": 2, "why": "gpu1 cannot be reached."}]
    answer = {"deleted": {"messages": 3}, "hosts": hosts}
    assert await door.ask("DELETE", f"/v1/admin/users/{anna.id}") == (200, answer)
    assert door.erased == [("home", anna.id)]
    assert (await door.ask("GET", "/v1/me", token=key))[0] == 401
    assert (await door.ask("DELETE", f"/v1/admin/users/{anna.id}"))[0] == 404


async def test_a_key_is_shown_once(door: Door) -> None:
    status, made = await door.ask("POST", "/v1/admin/keys", json={"name": "Back end", "scopes": ["chat", "memory"]})
    assert status == 201
    assert made["secret"].startswith(made["key"]["prefix"])
    assert (await door.ask("GET", "/v1/me", token=made["secret"]))[1]["user"] is None
    _, listed = await door.ask("GET", "/v1/admin/keys")
    (key,) = listed["keys"]
    assert made["secret"] not in str(listed)
    assert (key["name"], key["scopes"], key["tier"], key["user_id"]) == ("Back end", ["chat", "memory"], None, None)
    assert key["last_used"] is not None
    assert (await door.ask("DELETE", f"/v1/admin/keys/{key['id']}"))[0] == 204
    assert (await door.ask("GET", "/v1/admin/keys"))[1] == {"keys": []}


async def test_an_admin_rules_their_own_tenant_and_not_the_owner(door: Door) -> None:
    _, made = await door.ask(
        "POST", "/v1/admin/keys", json={"name": "acme", "scopes": ["admin", "chat"], "tenant": "acme"}
    )
    acme = made["secret"]
    anna = await door.accounts.add_user("home", "Anna", role="admin")
    _, home = await door.accounts.create_key("home", "anna", {"admin"}, user_id=anna.id)

    assert (await door.ask("GET", "/v1/admin/users", token=acme))[1] == {"users": []}
    status, theirs = await door.ask("POST", "/v1/admin/users", token=acme, json={"name": "Road Runner"})
    assert status == 201
    for method, path in [
        ("PATCH", f"/v1/admin/users/{anna.id}"),
        ("PATCH", "/v1/admin/users/owner"),
    ]:
        assert (await door.ask(method, path, token=acme, json={"name": "x"}))[0] == 404
    assert (await door.ask("DELETE", f"/v1/admin/users/{anna.id}", token=acme))[0] == 404
    for key in await door.accounts.keys("home"):
        assert (await door.ask("DELETE", f"/v1/admin/keys/{key.id}", token=acme))[0] == 404
    assert len((await door.ask("GET", "/v1/admin/keys", token=acme))[1]["keys"]) == 1

    assert (await door.ask("POST", "/v1/admin/users/owner/link", token=home))[0] == 403
    assert (await door.ask("PATCH", "/v1/admin/users/owner", token=home, json={"name": "x"}))[0] == 403
    assert (await door.ask("DELETE", f"/v1/admin/users/{theirs['user']['id']}", token=home))[0] == 404
    body = {"name": "x", "scopes": ["chat"], "tenant": "acme"}
    assert (await door.ask("POST", "/v1/admin/keys", token=home, json=body))[0] == 403
    assert len((await door.ask("GET", "/v1/admin/keys", token=home))[1]["keys"]) == 1
    assert len((await door.ask("GET", "/v1/admin/keys", token=OWNER_TOKEN))[1]["keys"]) == 2
