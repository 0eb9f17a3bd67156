"""The bot end to end: a person writes in a fake Telegram, the whole server answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server.errors import SettingsError
from server.telegram.bot import BROKEN, ONLY_TEXT, STRANGER, check
from server.telegram.menu import HELP, OLD, tag
from server.telegram.vestige import AWAY, NO_KEY
from tests.fakes.openai_server import Hold, Say, Stream, fails
from tests.fakes.telegram import TOKEN, FakeTelegram
from tests.harness import Server, shared_server
from tests.telegram.conftest import ANNA, OWNER, QUICK, options, polling
from tests.telegram.conftest import STRANGER as SOMEBODY

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("telegram") / "data") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def telegram() -> AsyncIterator[FakeTelegram]:
    async with FakeTelegram() as fake:
        yield fake


async def with_mira(server: Server, **card: str) -> str:
    """A new character, who is the owner's active one."""
    mira = await server.character(**card)
    assert (await server.ask("PUT", "/v1/active-character", json={"character_id": mira}))[0] == 200
    return mira


class TestTalking:
    async def test_a_turn_with_style(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server)
        server.fake.next("*She nods.* The lamp is lit.")
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "Is the lamp lit?")
            await telegram.shows(OWNER, "She nods. The lamp is lit.")
        assert telegram.newest(OWNER)["entities"] == [{"type": "italic", "offset": 0, "length": 9}]
        assert telegram.made("sendChatAction")[0].fields["action"] == "typing"
        assert [one["text"] for one in await server.messages(mira)] == [
            "Is the lamp lit?",
            "*She nods.* The lamp is lit.",
        ]

    async def test_it_is_the_memory_of_the_page(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server)
        await server.say(mira, "My cat is called Ophelia")
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "How is she called?")
            await telegram.heard("sendMessage")
        assert "Ophelia" in server.fake.requests[-1].text

    async def test_two_people_are_two_memories(self, server: Server, telegram: FakeTelegram) -> None:
        given = await options(server, telegram)
        _, listed = await server.ask("GET", "/v1/characters")
        shared = next(one["id"] for one in listed["characters"] if one["shared"])
        for user in given.people.values():
            body = {"character_id": shared, "user_id": user}
            assert (await server.ask("PUT", "/v1/active-character", json=body))[0] == 200
        async with polling(given):
            telegram.write(OWNER, "I am the owner")
            await telegram.heard("sendMessage")
            telegram.write(ANNA, "Who am I?")
            await telegram.heard("sendMessage", 1)
        assert "I am the owner" not in server.fake.requests[-1].text
        assert "Anna" in server.fake.requests[-1].text

    async def test_an_update_twice_is_answered_once(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server)
        given = await options(server, telegram)
        async with polling(given):
            update = telegram.write(OWNER, "Once")
            await telegram.heard("sendMessage")
            telegram.send(update | {"again": True})
            telegram.write(OWNER, "Twice")
            await telegram.heard("sendMessage", 1)
        assert len(telegram.made("sendMessage")) == 2
        async with polling(given):  # another process, which has not seen it: the turn is the same one
            telegram.send(update | {"again": True})
            await telegram.heard("sendMessage", 2)
        assert [one["text"] for one in await server.messages(mira) if one["role"] == "user"] == ["Once", "Twice"]

    async def test_a_long_reply_in_pieces(self, server: Server, telegram: FakeTelegram) -> None:
        await with_mira(server)
        server.fake.next(" ".join(["A sentence with a 😀 in it."] * 400))
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "Tell me everything")
            await telegram.heard("sendMessage", 2)
        assert all(text.endswith("in it.") for text in telegram.texts(OWNER))

    async def test_a_picture_is_not_read(self, server: Server, telegram: FakeTelegram) -> None:
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, None, photo=[])
            await telegram.shows(OWNER, ONLY_TEXT)


class TestWho:
    async def test_a_stranger_is_told_once_and_heard_never(self, server: Server, telegram: FakeTelegram) -> None:
        await with_mira(server)
        before = len(server.fake.requests)
        async with polling(await options(server, telegram)):
            for _ in range(3):
                telegram.write(SOMEBODY, "Let me in")
            telegram.tap(
                SOMEBODY, f"anew:{tag('mira')}", {"message_id": 1, "date": 0, "chat": {"id": 9, "type": "private"}}
            )
            telegram.write(OWNER, "Hello")
            await telegram.heard("sendMessage", 1)
        assert telegram.texts(SOMEBODY) == [STRANGER.format(id=SOMEBODY)]
        assert len(server.fake.requests) == before + 1

    async def test_in_a_group_it_is_silent(self, server: Server, telegram: FakeTelegram) -> None:
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "Hello all", chat={"id": -5, "type": "group", "title": "G"})
            telegram.write(OWNER, "/help")
            await telegram.shows(OWNER, HELP[:40])
        assert -5 not in telegram.chats

    async def test_nobody_is_listed(self, server: Server, telegram: FakeTelegram) -> None:
        async with polling(await options(server, telegram, people={})):
            telegram.write(OWNER, "Hello")
            await telegram.shows(OWNER, "private")


class TestMenu:
    async def test_choosing_somebody(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await server.character(name="Mira of the lamp " + "x" * 40, first_mes="Come in, {{user}}.")
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "/characters")
            await telegram.shows(OWNER, "Whom")
            button = next(one for one in telegram.buttons(OWNER) if one["text"].startswith("Mira of the lamp"))
            telegram.tap(OWNER, button["callback_data"], telegram.newest(OWNER))
            await telegram.shows(OWNER, "Come in, Owner.")
            await telegram.heard("answerCallbackQuery")
            telegram.write(OWNER, "/start")
            await telegram.heard("sendMessage", 2)
        assert telegram.texts(OWNER)[-1] == "Come in, Owner."
        _, active = await server.ask("GET", "/v1/active-character")
        assert active == {"character_id": mira}

    async def test_beginning_anew_asks_first(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server, first_mes="Come in.")
        await server.say(mira, "Hello")
        async with polling(await options(server, telegram)):
            for tap, left in ((1, 3), (0, 1)):
                telegram.write(OWNER, "/reset@companions_bot")
                await telegram.heard("sendMessage", 1 - tap)
                question = telegram.newest(OWNER)
                assert "will be deleted" in question["text"]
                telegram.tap(OWNER, telegram.buttons(OWNER)[tap]["callback_data"], question)
                await telegram.shows(OWNER, "Nothing was deleted." if tap else "What was said is deleted.")
                assert len(await server.messages(mira)) == left
        assert telegram.texts(OWNER)[-1] == "Come in."

    @pytest.mark.parametrize("data", ["talk:0", f"talk:{tag('gone')}", f"show:{tag('gone')}", "x", "anew:", "wear:é"])
    async def test_buttons_of_long_ago(self, server: Server, telegram: FakeTelegram, data: str) -> None:
        async with polling(await options(server, telegram)):
            telegram.tap(OWNER, data, {"message_id": 1, "date": 0, "chat": {"id": OWNER, "type": "private"}})
            await telegram.shows(OWNER, OLD)

    async def test_nothing_to_wear(self, server: Server, telegram: FakeTelegram) -> None:
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "/items")
            await telegram.shows(OWNER, "You own nothing yet")


class TestTrouble:
    async def test_telegram_says_wait(self, server: Server, telegram: FakeTelegram) -> None:
        await with_mira(server)
        server.fake.next("Yes")
        async with polling(await options(server, telegram)):
            telegram.flood(1, "sendMessage")
            telegram.refuse(502, "Bad Gateway", "sendMessage")
            telegram.write(OWNER, "Are you there?")
            await telegram.shows(OWNER, "Yes")
        assert telegram.texts(OWNER) == ["Yes"]

    async def test_who_blocked_the_bot_harms_nobody(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server)
        server.fake.next("One", "Two")
        async with polling(await options(server, telegram)):
            telegram.refuse(403, "Forbidden: bot was blocked by the user", "sendMessage")
            telegram.write(OWNER, "First")
            telegram.write(OWNER, "Second")
            await telegram.shows(OWNER, "Two")
        assert len(await server.messages(mira)) == 4

    async def test_a_revoked_key(self, server: Server, telegram: FakeTelegram) -> None:
        await with_mira(server)
        given = await options(server, telegram)
        _, keys = await server.ask("GET", "/v1/admin/keys")
        async with polling(given):
            telegram.write(OWNER, "One")
            await telegram.heard("sendMessage")
            id = next(key["id"] for key in keys["keys"] if given.key.startswith(key["prefix"]))
            assert (await server.ask("DELETE", f"/v1/admin/keys/{id}"))[0] == 204
            telegram.write(OWNER, "Two")
            await telegram.shows(OWNER, NO_KEY)

    async def test_the_server_is_away(self, server: Server, telegram: FakeTelegram) -> None:
        async with polling(await options(server, telegram, server="http://127.0.0.1:9")):
            telegram.write(OWNER, "Hello?")
            await telegram.shows(OWNER, AWAY)

    async def test_the_model_fails(self, server: Server, telegram: FakeTelegram) -> None:
        mira = await with_mira(server)
        server.fake.next(fails(500))
        async with polling(await options(server, telegram)):
            telegram.write(OWNER, "Hello?")
            await telegram.heard("sendMessage")
        assert telegram.texts(OWNER)[-1] not in ("", BROKEN)
        assert (await server.messages(mira))[0]["text"] == "Hello?"


async def test_a_bot_that_is_stopped_answers_first(server: Server, telegram: FakeTelegram) -> None:
    await with_mira(server)
    rest = asyncio.Event()
    server.fake.next(Stream((Say("Wait"), Hold(rest), Say(" for it."))))
    before = len(server.fake.requests)
    async with polling(await options(server, telegram)):
        telegram.write(OWNER, "Well?")
        await server.fake.arrived(before + 1)
        asyncio.get_running_loop().call_later(0.3, rest.set)
    assert telegram.texts(OWNER) == ["Wait for it."]


class TestStarting:
    async def test_both_credentials_are_looked_at(self, server: Server, telegram: FakeTelegram) -> None:
        assert await check(await options(server, telegram), QUICK) == "companions_bot"
        assert telegram.made("setMyCommands")[0].fields["commands"][0]["command"] == "characters"
        for change in ({"token": "1:wrong"}, {"key": "vst_wrong"}, {"api": "http://127.0.0.1:9"}):
            with pytest.raises(SettingsError) as refused:
                await check(await options(server, telegram, **change), QUICK)
            assert TOKEN not in refused.value.message and "wrong" not in refused.value.message

    async def test_a_key_without_a_scope(self, server: Server, telegram: FakeTelegram) -> None:
        ben = await server.as_user("Ben", "chat")
        with pytest.raises(SettingsError, match="characters"):
            await check(await options(server, telegram, key=ben.token), QUICK)

    async def test_a_server_that_is_not_there_yet(self, server: Server, telegram: FakeTelegram) -> None:
        assert await check(await options(server, telegram, server="http://127.0.0.1:9"), QUICK) == "companions_bot"
