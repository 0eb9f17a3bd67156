"""What a turn does when something it needs gives way: the model, the store, the server itself."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from server.app import Overrides
from server.settings import Settings
from server.stores.valkey import EmbeddedValkey, valkey_binary
from tests.fakes.openai_server import Answer, FakeOpenAI, HangUp, Hold, Say, Script, Stream, breaks, fails, says, silent
from tests.harness import Event, Json, Server, running

QUICK = {"shards": 1, "write_facts": False}


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def server(make_settings: Callable[..., Settings], fake: FakeOpenAI) -> AsyncIterator[Server]:
    settings = make_settings(llm_base_url=fake.base_url, first_token_seconds=0.3, **QUICK)
    async with running(settings, fake) as started:
        yield started


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A Valkey of this test's own, to be killed."""
    for sub in ("redis", "run"):
        (tmp_path / sub).mkdir()
    child = EmbeddedValkey(tmp_path / "redis", tmp_path / "run", tmp_path / "run" / "v.sock", valkey_binary())
    await child.launch()
    yield child
    await child.stop()


@pytest.fixture
def chroma_server(tmp_path: Path) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """A Chroma server's address, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    arguments = ["run", "--path", str(tmp_path / "chroma"), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        with socket.socket() as probe:
            while probe.connect_ex(("127.0.0.1", port)) and time.monotonic() < end:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process
        process.kill()


def kill(valkey: EmbeddedValkey) -> None:
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)


async def begun(server: Server, character: str, message: str, *, key: str) -> "asyncio.Task[tuple[int, Json]]":
    """A turn whose reply has begun."""
    before = len(server.fake.requests)
    turn = asyncio.create_task(server.say(character, message, key=key))
    await server.fake.arrived(before + 1)
    await server.writing(character)
    return turn


FAILURES: list[tuple[str, Script, int, str, str, str]] = [
    ("overloaded", fails(503), 503, "model_unavailable", "failed", ""),
    ("bad key", fails(401), 502, "model_misconfigured", "failed", ""),
    ("no such model", fails(404), 502, "model_misconfigured", "failed", ""),
    ("silent", silent(), 504, "model_timeout", "failed", ""),
    ("blank", says("   "), 502, "model_refused", "failed", ""),
    ("filtered", Stream((), finish="content_filter"), 502, "model_refused", "failed", ""),
    ("no stream", Answer(200, b"<html>", content_type="text/html"), 503, "model_unavailable", "failed", ""),
    ("breaks off", breaks("Once upon"), 503, "model_unavailable", "interrupted", "Once upon"),
    ("hangs up", Stream((Say("Once upon"), HangUp())), 503, "model_unavailable", "interrupted", "Once upon"),
    ("filtered late", says("Once upon", finish="content_filter"), 502, "model_refused", "interrupted", "Once upon"),
    ("stalls", Stream((Say("Once upon"), Hold())), 504, "model_timeout", "interrupted", "Once upon"),
]


class TestModel:
    @pytest.mark.parametrize(
        ("script", "status", "code", "kept", "text"),
        [row[1:] for row in FAILURES],
        ids=[r[0] for r in FAILURES],
    )
    async def test_a_failure_is_a_typed_error_and_what_came_is_kept(
        self, server: Server, script: Script, status: int, code: str, kept: str, text: str
    ) -> None:
        mira = await server.character()
        server.fake.next(script)
        got, error = await server.say(mira, "Tell me a story", key="story")
        assert (got, error["error"]["code"]) == (status, code)
        assert error["error"]["message"]
        user, reply = await server.messages(mira)
        assert error["error"]["details"]["message_id"] == user["id"]
        assert user["text"] == "Tell me a story"
        assert (reply["status"], reply["text"], reply["error"]) == (kept, text, code)

    async def test_streaming_ends_with_an_error_event_that_carries_the_reply(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next(breaks("Once upon"))
        body = {"character_id": mira, "message": "Tell me a story"}
        events = [event async for event in server.events("/v1/chat", body)]
        assert [event.name for event in events] == ["accepted", *["token"] * (len(events) - 2), "error"]
        assert events[-1].data["error"]["code"] == "model_unavailable"
        assert events[-1].data["message"]["text"] == "Once upon"
        assert events[-1].data["message"]["status"] == "interrupted"

    async def test_the_same_key_tries_a_failed_reply_again_in_its_place(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next(fails(503), says("Once upon a time"))
        assert (await server.say(mira, "Tell me a story", key="story"))[0] == 503
        status, done = await server.say(mira, "Tell me a story", key="story")
        assert (status, done["message"]["text"], done["replayed"]) == (200, "Once upon a time", False)
        assert len(await server.messages(mira)) == 2
        assert len((await server.messages(mira))[1]["alternatives"]) == 1

    async def test_so_does_a_regeneration(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next(fails(503), says("Once upon a time"))
        await server.say(mira, "Tell me a story")
        assert (await server.ask("POST", f"/v1/chat/{mira}/regenerate", headers={"Accept": "application/json"}))[
            0
        ] == 200
        reply = (await server.messages(mira))[1]
        assert (reply["text"], len(reply["alternatives"])) == ("Once upon a time", 1)

    async def test_a_failed_reply_is_in_no_prompt(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next(fails(503))
        await server.say(mira, "One")
        await server.say(mira, "Two")
        roles = [message["role"] for message in server.fake.requests[-1].messages]
        assert roles == ["system", "user"]
        assert "One" in server.fake.requests[-1].messages[1]["content"]


class TestStore:
    async def test_a_store_that_restarts_in_the_middle_of_a_reply_loses_nothing(
        self, make_settings: Callable[..., Settings], fake: FakeOpenAI, valkey: EmbeddedValkey
    ) -> None:
        settings = make_settings(llm_base_url=fake.base_url, redis_url=f"unix://{valkey.socket}", **QUICK)
        async with running(settings, fake) as server:
            mira = await server.character()
            go = asyncio.Event()
            fake.next(Stream((Say("Once upon "), Hold(go), Say("a time"))))
            turn = await begun(server, mira, "Tell me a story", key="story")
            kill(valkey)
            go.set()
            await asyncio.sleep(0.3)
            assert not turn.done()
            await valkey.launch()
            status, done = await turn
            assert (status, done["message"]["text"]) == (200, "Once upon a time")
            assert [one["text"] for one in await server.messages(mira)] == ["Tell me a story", "Once upon a time"]

    async def test_a_store_that_stays_away_is_a_typed_503_and_the_message_is_kept(
        self, make_settings: Callable[..., Settings], fake: FakeOpenAI, valkey: EmbeddedValkey
    ) -> None:
        settings = make_settings(llm_base_url=fake.base_url, redis_url=f"unix://{valkey.socket}", **QUICK)
        async with running(settings, fake, Overrides(save_seconds=0.3)) as server:
            mira = await server.character()
            go = asyncio.Event()
            fake.next(Stream((Say("Once upon "), Hold(go), Say("a time"))), says("Again"))
            turn = await begun(server, mira, "Tell me a story", key="story")
            kill(valkey)
            go.set()
            status, error = await turn
            assert (status, error["error"]["code"]) == (503, "store_unavailable")
            status, error = await server.say(mira, "Are you there?")
            assert (status, error["error"]["code"]) == (503, "generation_disabled")
            assert error["error"]["details"] == {"store": "state"}
            status, error = await server.ask("GET", f"/v1/chat/{mira}/messages")
            assert (status, error["error"]["code"]) == (503, "store_unavailable")
            await valkey.launch()
            user, reply = await server.messages(mira)
            assert (user["text"], reply["status"]) == ("Tell me a story", "pending")
            status, done = await server.say(mira, "Tell me a story", key="story")
            assert (status, done["message"]["text"]) == (200, "Again")
            assert len(await server.messages(mira)) == 2

    async def test_an_index_that_is_gone_is_a_typed_503_and_the_message_is_kept(
        self,
        make_settings: Callable[..., Settings],
        fake: FakeOpenAI,
        chroma_server: "tuple[str, subprocess.Popen[bytes]]",
    ) -> None:
        url, process = chroma_server
        async with running(make_settings(llm_base_url=fake.base_url, chroma_url=url, **QUICK), fake) as server:
            mira = await server.character()
            for number in range(6):
                await server.say(mira, f"Number {number}")
            await server.memory.upkeep(server.scope(mira))
            assert (await server.ask("GET", f"/v1/memory/{mira}/windows"))[1]["total"] == 1
            process.kill()
            process.wait()
            status, error = await server.say(mira, "Are you there?", key="there")
            assert (status, error["error"]["code"]) == (503, "store_unavailable")
            async with asyncio.timeout(10):
                page = await server.memory.history(server.scope(mira), limit=2)
            assert [(one.text, one.status) for one in page.messages] == [
                ("Are you there?", "complete"),
                ("", "failed"),
            ]


class TestServer:
    async def test_a_reply_whose_server_died_is_made_by_the_next_one_for_the_same_turn(
        self, make_settings: Callable[..., Settings], fake: FakeOpenAI, valkey: EmbeddedValkey, tmp_path: Path
    ) -> None:
        fields = {"llm_base_url": fake.base_url, "redis_url": f"unix://{valkey.socket}", **QUICK}
        async with running(make_settings(**fields), fake) as first:
            mira = await first.character(shared=True)
            fake.next(Stream((Say("Once upon "), Hold())), says("A whole story"))
            turn = await begun(first, mira, "Tell me a story", key="story")
            async with running(make_settings(data=tmp_path / "other", **fields), fake) as second:
                await second.ask("POST", "/v1/characters", json={"name": "Mira"})
                status, done = await second.say(mira, "Tell me a story", key="story")
                assert (status, done["message"]["text"]) == (200, "A whole story")
                assert len(await second.messages(mira)) == 2
            turn.cancel()

    async def test_draining_lets_a_reply_end(self, server: Server) -> None:
        mira = await server.character()
        go = asyncio.Event()
        server.fake.next(Stream((Say("Once upon "), Hold(go), Say("a time"))))
        turn = await begun(server, mira, "Tell me a story", key="story")
        draining = asyncio.create_task(server.chat.drain(5))
        await asyncio.sleep(0)
        status, error = await server.say(mira, "Another one")
        assert (status, error["error"]["code"]) == (503, "shutting_down")
        go.set()
        assert (await turn)[1]["message"]["text"] == "Once upon a time"
        await draining

    async def test_a_reply_that_does_not_end_is_stopped_told_and_kept(
        self, make_settings: Callable[..., Settings], fake: FakeOpenAI
    ) -> None:
        settings = make_settings(llm_base_url=fake.base_url, **QUICK)
        events: list[Event] = []
        async with running(settings, fake) as server:
            mira = await server.character()
            fake.next(Stream((Say("Once upon "), Hold())))

            async def follow() -> None:
                async for event in server.events("/v1/chat", {"character_id": mira, "message": "Tell me a story"}):
                    events.append(event)

            following = asyncio.create_task(follow())
            await server.writing(mira, "upon ")
            await server.chat.drain(0.05)
            await following
            assert events[-1].name == "error"
            assert events[-1].data["error"]["code"] == "shutting_down"
        async with running(settings, fake) as again:
            user, reply = await again.messages(mira)
            assert (user["text"], reply["text"], reply["status"]) == ("Tell me a story", "Once upon ", "interrupted")

    async def test_weeks_later_it_still_knows(self, make_settings: Callable[..., Settings], fake: FakeOpenAI) -> None:
        settings = make_settings(llm_base_url=fake.base_url, **QUICK)
        async with running(settings, fake) as server:
            mira = await server.character()
            await server.say(mira, "My cat is called Ophelia")
        async with running(settings, fake) as again:
            await again.say(mira, "How is my cat called?")
            assert "My cat is called Ophelia" in fake.requests[-1].text
