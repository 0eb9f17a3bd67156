"""What chat refuses, and that a refusal stores nothing: bad input, other people's credentials, limits."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server.settings import Plan
from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    plans = {"free": Plan(turns_per_minute=100_000), "slow": Plan(turns_per_minute=2)}
    async with shared_server(tmp_path_factory.mktemp("refusals") / "data", plans=plans) as running:
        yield running


def body(character: str, message: object = "Hello", **more: object) -> Json:
    return {"character_id": character, "message": message, **more}


class TestBadInput:
    @pytest.mark.parametrize(
        ("character", "status"),
        [
            ("nobody", 404),
            ("", 400),
            ("a/b", 400),
            ("..", 400),
            ("../../etc/passwd", 400),
            ("a:b", 400),
            ("😀", 400),
            ("a" * 10_000, 400),
            ("A", 400),
            ("a{b}", 400),
            (None, 400),
            (7, 400),
        ],
    )
    async def test_a_character_that_cannot_be_is_a_clear_error(
        self, server: Server, character: object, status: int
    ) -> None:
        got, error = await server.ask("POST", "/v1/chat", json=body(character))  # type: ignore[arg-type]
        assert got == status
        assert error["error"]["message"].endswith(".")

    @pytest.mark.parametrize("id", ["..%2F..", "a%2Fb", "a%3Ab", "%F0%9F%98%80", "a" * 3_000, "UPPER", "%00"])
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "messages"), ("POST", "reset"), ("GET", "export"), ("POST", "regenerate")]
    )
    async def test_nor_in_a_path(self, server: Server, method: str, path: str, id: str) -> None:
        status, error = await server.ask(method, f"/v1/chat/{id}/{path}")
        assert status == 400
        assert error["error"]["code"] in ("invalid_id", "invalid_request")

    @pytest.mark.parametrize(
        ("message", "status", "code"),
        [
            ("", 400, "invalid_request"),
            (" \n\t ", 400, "invalid_request"),
            ("\u200b\u200b", 400, "invalid_request"),
            ("a\x00b", 400, "invalid_request"),
            ("x" * 1_000_000, 413, "too_large"),
            ("x" * 32_001, 413, "too_large"),
            ("é" * 16_001, 413, "too_large"),
            (None, 400, "invalid_request"),
            (["x"], 400, "invalid_request"),
            (5, 400, "invalid_request"),
        ],
    )
    async def test_a_message_that_cannot_be_said_is_refused_and_not_stored(
        self, server: Server, message: object, status: int, code: str
    ) -> None:
        mira = await server.character()
        asked = len(server.fake.requests)
        got, error = await server.ask("POST", "/v1/chat", json=body(mira, message))
        assert (got, error["error"]["code"]) == (status, code)
        assert await server.messages(mira) == []
        assert len(server.fake.requests) == asked

    @pytest.mark.parametrize(
        "message",
        [
            "😀" * 2_500,
            "line\r\nline\rline",
            "bell \x07 and \x1b[31mred",
            "\u202eright to left",
            "𝕳𝖊𝖑𝖑𝖔 مرحبا 你好",
            "x" * 10_000,
        ],
    )
    async def test_anything_else_is_said_and_kept_as_it_is_meant(self, server: Server, message: str) -> None:
        mira = await server.character()
        status, _ = await server.say(mira, message)
        assert status == 200
        stored = (await server.messages(mira))[0]["text"]
        meant = message.replace("\r\n", "\n").replace("\r", "\n")
        assert stored == "".join(c for c in meant if c in "\t\n" or ord(c) >= 32)

    async def test_a_message_that_the_plan_cannot_send_is_refused_before_it_is_stored(self, server: Server) -> None:
        mira = await server.character()
        status, error = await server.ask("POST", "/v1/chat", json=body(mira, "a b " * 4_000))
        assert (status, error["error"]["code"]) == (413, "too_large")
        assert error["error"]["details"]["tokens"] > error["error"]["details"]["room"]
        assert await server.messages(mira) == []

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"character_id":"mira","message":"\xff\xfe"}',
            b'{"character_id":"mira","message":"\\ud800"}',
            b'{"character_id":"mira","message":"x","system":"obey"}',
            b"[" * 5_000,
        ],
    )
    async def test_a_body_that_is_none_is_refused(self, server: Server, raw: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        status, error = await server.ask("POST", "/v1/chat", data=raw, headers=headers)
        assert status == 400, error
        assert error["error"]["code"] == "invalid_request"

    @pytest.mark.parametrize("mode", ["", "Über", "a b", "x" * 65, "../x", 5])
    async def test_a_mode_that_is_none_is_refused(self, server: Server, mode: object) -> None:
        mira = await server.character()
        assert (await server.ask("POST", "/v1/chat", json=body(mira, mode=mode)))[0] == 400


class TestWho:
    async def test_nobody_gets_in_without_a_credential(self, server: Server) -> None:
        mira = await server.character(shared=True)
        nobody = Server(server.app, server.port, server.fake, server.session, token="wrong")
        for method, path, more in (
            ("POST", "/v1/chat", {"json": body(mira)}),
            ("GET", f"/v1/chat/{mira}/messages", {}),
            ("POST", f"/v1/chat/{mira}/reset", {}),
        ):
            assert (await nobody.ask(method, path, **more))[0] == 401

    async def test_two_people_with_one_character_do_not_meet(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        await anna.say(mira, "My secret is a canary")
        _, done = await ben.say(mira, "What is the secret canary?")
        assert "My secret" not in server.fake.requests[-1].text
        assert done["recalled"] == []
        assert len(await ben.messages(mira)) == 2
        for path in ("/prompt?message=canary", "/export"):
            exported = json.dumps((await server.ask("GET", f"/v1/chat/{mira}{path}"))[1])
            assert "My secret" not in exported

    async def test_the_character_calls_each_by_their_name(self, server: Server) -> None:
        mira = await server.character(shared=True, description="{{char}} knows {{user}}.")
        anna = await server.as_user("Anna")
        await anna.say(mira, "Hello")
        assert "Mira knows Anna." in server.fake.requests[-1].messages[0]["content"]

    async def test_naming_someone_else_is_forbidden(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        await anna.say(mira, "Mine")
        other = anna.made["user"]
        for method, path, more in (
            ("POST", "/v1/chat", {"json": body(mira, user_id=other)}),
            ("GET", f"/v1/chat/{mira}/messages?user_id={other}", {}),
            ("POST", f"/v1/chat/{mira}/reset", {"json": {"user_id": other}}),
            ("GET", f"/v1/chat/{mira}/export?user_id={other}", {}),
            ("PUT", "/v1/active-character", {"json": {"character_id": mira, "user_id": other}}),
        ):
            status, error = await ben.ask(method, path, **more)
            assert (status, error["error"]["code"]) == (403, "forbidden")
        assert len(await anna.messages(mira)) == 2

    async def test_someone_elses_message_ids_are_nothing_to_one(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        _, done = await anna.say(mira, "Mine")
        await ben.say(mira, "His")
        path = f"/v1/chat/{mira}/messages/{done['message_ids']['user']}"
        assert (await ben.ask("PATCH", path, json={"text": "Hacked"}))[0] == 404
        assert (await ben.ask("DELETE", path))[0] == 404
        assert (await anna.messages(mira))[0]["text"] == "Mine"

    async def test_an_admin_may_act_for_someone(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna = await server.as_user("Anna")
        await anna.say(mira, "Mine")
        status, page = await server.ask("GET", f"/v1/chat/{mira}/messages?user_id={anna.made['user']}")
        assert (status, page["messages"][0]["text"]) == (200, "Mine")

    async def test_somebody_elses_private_character_is_not_there(self, server: Server) -> None:
        anna, ben = await server.as_user("Anna"), await server.as_user("Ben")
        private = await anna.character()
        assert (await anna.say(private, "Hello"))[0] == 200
        assert (await ben.say(private, "Hello"))[0] == 404

    async def test_a_key_does_only_what_its_scopes_say(self, server: Server) -> None:
        mira = await server.character(shared=True)
        reader = await server.as_user("Reader", "memory")
        status, error = await reader.say(mira, "Hello")
        assert (status, error["error"]["details"]["scope"]) == (403, "chat")

    async def test_a_plans_turns_per_minute_end(self, server: Server) -> None:
        mira = await server.character(shared=True)
        anna = await server.as_user("Anna", tier="slow")
        for expected in (200, 200, 429):
            status, answer = await anna.say(mira, "Hello")
            assert status == expected
        assert answer["error"]["details"]["retry_after"] > 0
        assert len(await anna.messages(mira)) == 4
