"""Who gets in: credentials, scopes, whom one may act for, host names and origins."""

import pytest

from server.accounts.principal import SCOPES
from tests.api.conftest import OWNER_TOKEN, Door, OpenDoor, raw

GARBAGE = [
    b"Bearer",
    b"Bearer ",
    b"Basic b3duZXI6b3duZXI=",
    b"bearer wrong",
    b"Bearer ' OR 1=1 --",
    b"Bearer '; DROP TABLE users; --",
    b"Bearer vst_*_" + b"A" * 43,
    b"Bearer $5\\r\\nhello",
    b"Bearer *3 $3 SET $1 a $1 b",
    b"Bearer vestige:accounts:key:aaaaaaaaaa",
    b"Bearer " + b"x" * 8_000,
    b"Bearer \xff\xfe\xd1\x8f",
    b"Bearer {{7*7}} ${jndi:ldap://x}",
    OWNER_TOKEN.encode(),
    b"Bearer " + OWNER_TOKEN.encode() + b" " + OWNER_TOKEN.encode(),
    b"Digest " + OWNER_TOKEN.encode(),
]


@pytest.mark.parametrize("value", GARBAGE)
async def test_what_is_no_credential_is_401_whatever_is_in_it(door: Door, value: bytes) -> None:
    answer = await raw(door, b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + value + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"code":"unauthenticated"' in answer
    assert b"WWW-Authenticate: Bearer" in answer


@pytest.mark.parametrize(
    "head",
    [
        b"Authorization: Bearer x\r\n folded: y\r\n",
        b"Authorization: Bearer a\nHost: evil\r\n",
        b"Authorization: Bearer \x00\r\n",
        b"Authorization : Bearer x\r\n",
        b"X-Long: " + b"a" * 9_000 + b"\r\n",
        b"".join(b"X-%d: a\r\n" % number for number in range(100)),
        b"Host: evil.example\r\n",
    ],
)
async def test_headers_that_are_none_are_400(door: Door, head: bytes) -> None:
    answer = await raw(door, b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n")
    assert b" 400 Bad Request\r\n" in answer.partition(b"\n")[0] + b"\n"
    assert (await door.ask("GET", "/health"))[0] == 200


async def test_two_authorization_headers_are_none(door: Door) -> None:
    bearer = f"Authorization: Bearer {OWNER_TOKEN}\r\n".encode()
    answer = await raw(door, b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n" + bearer * 2 + b"\r\n")
    assert b" 40" in answer[:13]


async def test_no_credential(door: Door) -> None:
    status, body = await door.ask("GET", "/v1/me", token=None)
    assert (status, body["error"]["code"]) == (401, "unauthenticated")
    assert "sign-in link" in body["error"]["message"]


async def test_a_wrong_bearer_is_not_made_good_by_a_cookie(door: Door) -> None:
    await door.sign_in("owner")
    assert (await door.ask("GET", "/v1/me", token=None))[0] == 200
    assert (await door.ask("GET", "/v1/me", token="wrong"))[0] == 401
    assert (await door.ask("GET", "/v1/me", token=None))[0] == 200


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        ({"chat"}, "POST", "/v1/say/mira?user_id=anna", 200),
        ({"memory", "characters"}, "POST", "/v1/say/mira?user_id=anna", 403),
        ({"memory"}, "GET", "/v1/search?q=tea&user_id=anna", 200),
        ({"chat"}, "GET", "/v1/search?q=tea&user_id=anna", 403),
        ({"chat"}, "GET", "/v1/me", 200),
        (SCOPES - {"admin"}, "GET", "/v1/admin/users", 403),
        (SCOPES - {"admin"}, "GET", "/v1/admin/keys", 403),
        (SCOPES - {"admin"}, "POST", "/v1/admin/keys", 403),
        (SCOPES - {"admin"}, "DELETE", "/v1/admin/users/owner", 403),
        ({"admin"}, "GET", "/v1/admin/users", 200),
        ({"admin"}, "POST", "/v1/say/mira?user_id=anna", 403),
    ],
)
async def test_a_key_does_what_its_scopes_say(
    door: Door, scopes: set[str], method: str, path: str, status: int
) -> None:
    _, key = await door.accounts.create_key("home", "app", scopes)
    body = {"json": {"message": "Hello"}} if method == "POST" else {}
    assert (await door.ask(method, path, token=key, **body))[0] == status


async def test_whose_conversation_a_request_is_about(door: Door) -> None:
    anna = (await door.accounts.add_user("home", "Anna", tier="plus")).id
    _, bound = await door.accounts.create_key("home", "phone", {"chat"}, user_id=anna)
    _, free = await door.accounts.create_key("acme", "app", {"chat"}, tier="plus")
    _, admin = await door.accounts.create_key("home", "ops", {"chat", "admin"}, tier="plus")

    async def say(token: str, query: str = "", **body: str) -> tuple[int, object]:
        status, answer = await door.ask("POST", f"/v1/say/mira{query}", token=token, json={"message": "Hello"} | body)
        return status, answer["scope"] if status == 200 else answer["error"]["code"]

    assert await say(bound) == (200, f"home/{anna}/mira")
    assert await say(bound, f"?user_id={anna}") == (200, f"home/{anna}/mira")
    assert await say(bound, "?user_id=owner") == (403, "forbidden")
    assert await say(bound, user_id="owner") == (403, "forbidden")
    assert await say(free) == (400, "invalid_request")
    assert await say(free, user_id="customer-17") == (200, "acme/customer-17/mira")
    assert await say(free, "?user_id=a", user_id="b") == (400, "invalid_request")
    assert await say(free, "?user_id=a&user_id=b") == (400, "invalid_request")
    assert await say(free, "?user_id=..%2Fhome") == (400, "invalid_id")
    assert await say(admin, "?user_id=ben") == (200, "home/ben/mira")
    assert await say(OWNER_TOKEN) == (200, "home/owner/mira")


@pytest.mark.parametrize(
    "character", ["..", "%2e%2e%2fetc", "a:b", "a%2Fb", "🙂", "Mira", "a" * 10_00, "%00", "mira%0d%0aX: y", "mira%20"]
)
async def test_a_character_id_is_never_a_path(door: Door, character: str) -> None:
    answer = await raw(
        door,
        f"POST /v1/say/{character} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OWNER_TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n".encode()
        + b'{"message": "hi"}',
    )
    assert answer[9:12] in (b"400", b"404")


async def test_a_plans_turns_per_minute(door: Door) -> None:
    for _ in range(2):
        assert (await door.ask("POST", "/v1/say/mira", json={"message": "Hello"}))[0] == 200
    async with door.client.post(
        "/v1/say/mira", json={"message": "Hello"}, headers={"Authorization": f"Bearer {OWNER_TOKEN}"}
    ) as refused:
        body = await refused.json()
    assert (refused.status, body["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == str(body["error"]["details"]["retry_after"])


async def test_guesses_end_in_429_and_the_good_credential_still_works(door: Door) -> None:
    seen = {(await door.ask("GET", "/v1/me", token=f"guess-{number}"))[0] for number in range(40)}
    assert seen == {401, 429}
    assert (await door.ask("GET", "/v1/me"))[0] == 200


async def test_a_key_revoked_while_it_is_used(door: Door) -> None:
    made, key = await door.accounts.create_key("home", "app", {"chat"})
    assert (await door.ask("GET", "/v1/me", token=key))[0] == 200
    assert (await door.ask("DELETE", f"/v1/admin/keys/{made.id}"))[0] == 204
    assert (await door.ask("GET", "/v1/me", token=key))[0] == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8420", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8420", 200),
        ("localhost.", 200),
        ("chat.example.org", 200),
        ("front.example.org", 200),
        ("front.example.org:443", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.1.5", 403),
        ("evil.example@localhost", 400),
        ("localhost:99999", 400),
        ("localhost:80:80", 400),
        ("localhost/../x", 400),
        ("a b", 400),
        ("", 400),
    ],
)
async def test_host_names(open_door: OpenDoor, host: str, status: int) -> None:
    async with open_door(allowed_hosts=("Chat.example.org",), public_url="https://front.example.org") as door:
        answer = await raw(door, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


PUBLIC = "https://front.example.org"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "OWN"}, 204),
        ({"Origin": PUBLIC}, 204),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://front.example.org"}, 403),
        ({"Origin": "https://front.example.org.evil.example"}, 403),
        ({"Origin": "https://front.example.org:8443"}, 403),
        ({"Origin": "ftp://127.0.0.1"}, 403),
        ({"Origin": "garbage"}, 403),
        ({"Origin": "OWN", "Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "OWN", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "OWN", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_what_a_cookie_may_change_comes_from_our_own_page(
    open_door: OpenDoor, headers: dict[str, str], status: int
) -> None:
    async with open_door(public_url=PUBLIC) as door:
        made, _ = await door.accounts.create_key("home", "app", {"chat"})
        await door.sign_in("owner")
        sent = {name: door.origin if value == "OWN" else value for name, value in headers.items()}
        assert (await door.ask("DELETE", f"/v1/admin/keys/{made.id}", token=None, headers=sent))[0] == status
        assert (await door.accounts.keys("home") == []) == (status == 204)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
    ],
)
async def test_reading_from_elsewhere_is_for_links_only(door: Door, headers: dict[str, str], status: int) -> None:
    assert (await door.ask("GET", "/v1/me", headers=headers))[0] == status
    assert (await door.ask("GET", "/health", token=None, headers=headers))[0] == status


async def test_a_bearer_needs_no_origin(door: Door) -> None:
    assert (await door.ask("POST", "/v1/say/mira", json={"message": "Hello"}))[0] == 200


async def test_no_other_origin_is_ever_allowed_in_by_cors(door: Door) -> None:
    async with door.client.options(
        "/v1/me", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    ) as answer:
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
