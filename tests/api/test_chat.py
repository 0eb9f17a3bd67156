"""Taking turns over HTTP, as a client sees it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.openai_server import Hold, Say, Stream, says
from tests.harness import Event, Server, read_events, shared_server, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("chat") / "data") as running:
        yield running


async def collect(server: Server, path: str, body: dict[str, object], *, key: str | None = None) -> list[Event]:
    return [event async for event in server.events(path, body, key=key)]


def said(messages: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["role"], one["text"]) for one in messages]


class TestTurn:
    async def test_streams_accepted_then_tokens_then_done(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next("The lamp is **lit**.")
        events = await collect(server, "/v1/chat", {"character_id": mira, "message": "Is the lamp lit?"})
        accepted, *tokens, done = events
        assert [event.name for event in events] == ["accepted", *["token"] * len(tokens), "done"]
        assert accepted.data["message"]["text"] == "Is the lamp lit?"
        assert "".join(token.data["text"] for token in tokens) == "The lamp is **lit**."
        assert done.data["message"]["html"] == "<p>The lamp is <strong>lit</strong>.</p>\n"
        assert done.data["message"]["status"] == "complete"
        assert done.data["message_ids"] == {"user": accepted.data["message"]["id"], "reply": accepted.data["reply_id"]}
        assert done.data["model"] == "fake-model"
        assert done.data["tokens"] == {"prompt": len(server.fake.requests[-1].text.split()), "completion": 4}
        assert 0 <= done.data["ms"]["first_token"] <= done.data["ms"]["total"]
        assert done.data["replayed"] is False

    async def test_json_is_the_same_at_once(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next("Yes.")
        status, done = await server.say(mira, "Is the lamp lit?")
        assert (status, done["message"]["text"]) == (200, "Yes.")
        assert said(await server.messages(mira)) == [("user", "Is the lamp lit?"), ("assistant", "Yes.")]
        assert done["message"] == (await server.messages(mira))[1]

    async def test_the_model_sees_the_card_and_what_was_said(self, server: Server) -> None:
        mira = await server.character(description="{{char}} keeps a lighthouse.")
        await server.say(mira, "My name is Anna and I sail")
        await server.say(mira, "What did I tell you?")
        sent = server.fake.requests[-1]
        assert sent.messages[0]["role"] == "system"
        assert "Mira keeps a lighthouse." in sent.messages[0]["content"]
        assert sent.messages[1] == {"role": "user", "content": "My name is Anna and I sail"}
        assert sent.messages[-1]["content"].endswith("What did I tell you?")

    async def test_what_a_turn_recalls_comes_with_it(self, server: Server) -> None:
        mira = await server.character()
        _, told = await server.say(mira, "My cat is called Ophelia")
        for number in range(14):
            server.fake.next("Hm " + "and so on " * 120)
            await server.say(mira, f"Turn {number} " + "of idle talk " * 80)
        _, done = await server.say(mira, "How is my cat called?")
        prompt = server.fake.requests[-1].messages
        assert "Ophelia" in prompt[-1]["content"]
        assert not any("Ophelia" in message["content"] for message in prompt[:-1])
        turns = [turn for span in done["recalled"] for turn in span["turns"]]
        assert told["message_ids"]["user"] in {turn["message_id"] for turn in turns}
        known = {message["id"] for message in await server.messages(mira, "?limit=200")}
        assert all(turn["message_id"] in known for turn in turns)

    async def test_html_in_a_message_is_shown_not_run(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next("<img src=x onerror=alert(1)>")
        _, done = await server.say(mira, "<script>alert(1)</script>")
        user, reply = await server.messages(mira)
        assert "<script" not in user["html"]
        assert "<img" not in reply["html"]
        assert reply["html"] == done["message"]["html"]

    async def test_two_at_once_are_stored_at_once_and_answered_in_order(self, server: Server) -> None:
        mira = await server.character()
        first_done = asyncio.Event()
        server.fake.next(Stream((Say("First"), Hold(first_done))), says("Second"))
        before = len(server.fake.requests)
        one = asyncio.create_task(server.say(mira, "One?"))
        await server.fake.arrived(before + 1)
        two = asyncio.create_task(server.say(mira, "Two?"))

        async def both_stored() -> bool:
            return len(await server.messages(mira)) == 4

        await until(both_stored)
        assert len(server.fake.requests) == before + 1
        first_done.set()
        await asyncio.gather(one, two)
        assert [text for _, text in said(await server.messages(mira))] == ["One?", "First", "Two?", "Second"]
        assert "First" in server.fake.requests[-1].text

    async def test_conversations_do_not_wait_for_each_other(self, server: Server) -> None:
        slow, quick = await server.character(), await server.character()
        free = asyncio.Event()
        server.fake.next(Stream((Say("Slow"), Hold(free))), says("Quick"))
        before = len(server.fake.requests)
        waiting = asyncio.create_task(server.say(slow, "Take your time"))
        await server.fake.arrived(before + 1)
        assert (await server.say(quick, "Hurry"))[1]["message"]["text"] == "Quick"
        assert not waiting.done()
        free.set()
        assert (await waiting)[1]["message"]["text"] == "Slow"


class TestLeaving:
    @pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
    async def test_a_client_that_leaves_loses_nothing_and_no_more_tokens_are_bought(
        self, server: Server, accept: str
    ) -> None:
        mira = await server.character()
        server.fake.next(Stream((Say("Once "), Say("upon "), Hold())))
        before = len(server.fake.requests)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = f'{{"character_id":"{mira}","message":"Tell me a story"}}'.encode()
        head = (
            f"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
            f"Accept: {accept}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        upstream = await server.fake.arrived(before + 1)
        if accept == "text/event-stream":
            await reader.readuntil(b"upon ")
        else:
            await server.writing(mira, "upon ")
        writer.transport.abort()
        await upstream.gone.wait()
        reply = await server.settled(mira)
        assert (reply["status"], reply["text"]) == ("interrupted", "Once upon ")
        assert (await server.messages(mira))[0]["text"] == "Tell me a story"

    async def test_a_silent_stream_is_kept_open_by_comments(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.api.stream.PING_SECONDS", 0.05)
        mira = await server.character()
        go = asyncio.Event()
        server.fake.next(Stream((Hold(go), Say("At last"))))
        body = {"character_id": mira, "message": "Well?"}
        async with server.session.post(f"{server.url}/v1/chat", json=body, headers=server.headers()) as response:
            await response.content.readuntil(b": ping\n\n")
            go.set()
            events = [event async for event in read_events(response)]
        assert events[-1].data["message"]["text"] == "At last"

    async def test_leaving_before_the_first_word_leaves_a_reply_to_be_made(self, server: Server) -> None:
        mira = await server.character()
        server.fake.next(Stream((Hold(),)), says("Here it is"))
        before = len(server.fake.requests)
        turn = asyncio.create_task(server.say(mira, "Well?", key="left-early"))
        upstream = await server.fake.arrived(before + 1)
        turn.cancel()
        await upstream.gone.wait()
        reply = await server.settled(mira)
        assert (reply["status"], reply["text"]) == ("failed", "")
        _, done = await server.say(mira, "Well?", key="left-early")
        assert done["message"]["text"] == "Here it is"
        assert len(await server.messages(mira)) == 2


class TestIdempotency:
    async def test_the_same_key_answers_from_the_first(self, server: Server) -> None:
        mira = await server.character()
        _, first = await server.say(mira, "Remember this", key="key-1")
        asked = len(server.fake.requests)
        _, again = await server.say(mira, "Remember this", key="key-1")
        assert again["replayed"] is True
        assert again["message"] == first["message"]
        assert again["message_ids"] == first["message_ids"]
        assert len(server.fake.requests) == asked
        assert len(await server.messages(mira)) == 2

    async def test_a_replay_streams_too(self, server: Server) -> None:
        mira = await server.character()
        _, first = await server.say(mira, "Remember this", key="key-1")
        events = await collect(server, "/v1/chat", {"character_id": mira, "message": "Remember this"}, key="key-1")
        assert [event.name for event in events] == ["accepted", "token", "done"]
        assert events[0].data["replayed"] is True
        assert events[1].data["text"] == first["message"]["text"]

    async def test_the_same_key_with_another_request_is_refused(self, server: Server) -> None:
        mira = await server.character()
        await server.say(mira, "Remember this", key="key-1")
        status, error = await server.say(mira, "Something else", key="key-1")
        assert (status, error["error"]["code"]) == (422, "idempotency_mismatch")
        assert len(await server.messages(mira)) == 2

    async def test_many_at_once_are_one_turn_and_one_call(self, server: Server) -> None:
        mira = await server.character()
        go = asyncio.Event()
        server.fake.next(Stream((Say("Only "), Hold(go), Say("once"))))
        before = len(server.fake.requests)
        turns = [asyncio.create_task(server.say(mira, "Hello?", key="double-click")) for _ in range(5)]
        await server.fake.arrived(before + 1)
        await asyncio.sleep(0.05)
        late = asyncio.create_task(
            collect(server, "/v1/chat", {"character_id": mira, "message": "Hello?"}, key="double-click")
        )
        await asyncio.sleep(0.05)
        go.set()
        answers = await asyncio.gather(*turns)
        assert {answer["message"]["text"] for _, answer in answers} == {"Only once"}
        assert "".join(e.data["text"] for e in await late if e.name == "token") == "Only once"
        assert len(server.fake.requests) == before + 1
        assert len(await server.messages(mira)) == 2

    async def test_one_of_two_followers_leaving_does_not_stop_the_reply(self, server: Server) -> None:
        mira = await server.character()
        go = asyncio.Event()
        server.fake.next(Stream((Say("Still "), Hold(go), Say("here"))))
        before = len(server.fake.requests)
        stays = asyncio.create_task(server.say(mira, "Hello?", key="two-tabs"))
        await server.fake.arrived(before + 1)
        async for event in server.events("/v1/chat", {"character_id": mira, "message": "Hello?"}, key="two-tabs"):
            if event.name == "token":
                break
        await asyncio.sleep(0.7)
        go.set()
        assert (await stays)[1]["message"]["text"] == "Still here"

    @pytest.mark.parametrize("key", ["k" * 256, "two words", "schlüssel"])
    async def test_a_key_that_is_none_is_refused(self, server: Server, key: str) -> None:
        mira = await server.character()
        status, error = await server.say(mira, "Hello", key=key)
        assert (status, error["error"]["code"]) == (400, "invalid_request")
        assert await server.messages(mira) == []


class TestHistory:
    async def test_pages_backwards(self, server: Server) -> None:
        mira = await server.character()
        for number in range(5):
            await server.say(mira, f"n{number}")
        newest = await server.messages(mira, "?limit=3")
        older = await server.messages(mira, f"?limit=3&before={newest[0]['id']}")
        oldest = await server.messages(mira, f"?limit=50&before={older[0]['id']}")
        assert len(newest) == len(older) == 3
        assert [m["text"] for m in oldest + older + newest if m["role"] == "user"] == [f"n{i}" for i in range(5)]

    @pytest.mark.parametrize("query", ["?limit=0", "?limit=201", "?limit=x", "?before=nonsense", "?before=1-1", "?x=1"])
    async def test_a_page_that_cannot_be_is_refused(self, server: Server, query: str) -> None:
        mira = await server.character()
        await server.say(mira, "Hello")
        status, _ = await server.ask("GET", f"/v1/chat/{mira}/messages{query}")
        assert status in (400, 404)

    async def test_export_holds_everything(self, server: Server) -> None:
        mira = await server.character()
        await server.say(mira, "Take me with you")
        status, exported = await server.ask("GET", f"/v1/chat/{mira}/export")
        assert status == 200
        assert exported["messages"][0]["alternatives"][0]["text"] == "Take me with you"
