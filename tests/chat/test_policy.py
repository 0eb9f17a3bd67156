"""A turn and a classifier of the operator's own: help beside the reply, no answer, and what the model is told."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.memory.embedding import Embedder
from server.policy.classifier import Intent, Reading
from server.policy.model import ContentPolicy
from server.settings import Settings
from tests.fakes.openai_server import FakeOpenAI
from tests.harness import Server, running

POLICY = """
levels = ["calm", "wild"]
classifier = "tests.chat.test_policy:by_words"
[plans]
free = "calm"
[self_harm]
reply = "beside"
message = "Call somebody:\\n{resources}"
resources = ["112"]
"""


class ByWords:
    """Reads levels off the words; "boom" breaks it."""

    async def prepare(self) -> None:
        return

    async def warm(self, text: str) -> None:
        return

    async def read(self, intent: Intent) -> Reading:
        text = " ".join([*intent.said, *intent.unread, *intent.standing])
        if "boom" in text:
            raise RuntimeError("a bug that quotes: " + text)
        return Reading("wild" if "wild" in text else "calm", self_harm="dark" in intent.said[0])


def by_words(policy: ContentPolicy, embedder: Embedder) -> ByWords:
    assert policy.levels == ("calm", "wild")
    assert embedder.dim > 0
    return ByWords()


@pytest.fixture
async def server(make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Server]:
    (tmp_path / "policy.toml").write_text(POLICY)
    async with FakeOpenAI() as fake:
        settings = make_settings(
            llm_base_url=fake.base_url, shards=1, write_facts=False, policy=tmp_path / "policy.toml"
        )
        async with running(settings, fake) as started:
            yield started


async def test_turns_through_a_classifier_of_ones_own(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    mira = await server.character(first_mes="Good evening.")
    _, done = await server.say(mira, "It is dark in here.")
    assert done["notice"] == {"kind": "safety", "text": "Call somebody:\n- 112"}
    assert len(server.fake.requests) == 1
    assert (await server.messages(mira))[-1]["notice"]["text"] == "Call somebody:\n- 112"
    assert "say plainly that you are an AI" in str(server.fake.requests[0].body)

    # no plan has "wild": a decline without a plan to buy
    _, done = await server.say(mira, "Something wild.")
    assert (done["notice"], done["upsell"]) == ({"kind": "declined", "text": None}, None)
    assert len(server.fake.requests) == 1

    status, error = await server.say(mira, "boom", key="once")
    assert (status, error["error"]["code"]) == (503, "policy_unavailable")
    assert len(server.fake.requests) == 1
    asked, reply = (await server.messages(mira))[-2:]
    assert (asked["text"], reply["status"]) == ("boom", "failed")
    assert "a bug that quotes" not in capsys.readouterr().out


async def test_a_greeting_and_a_long_name_are_read_too(server: Server) -> None:
    wild = await server.character(first_mes="Something wild.")
    _, done = await server.say(wild, "Hello")
    assert done["notice"]["kind"] == "declined"
    named = await server.character(name="Mira, who always does the wild thing")
    _, done = await server.say(named, "Hello")
    assert done["notice"]["kind"] == "declined"
    assert server.fake.requests == []


async def complete(server: Server, model: str, *lines: tuple[str, str]) -> tuple[str, str]:
    """The reply of a client with a history of its own, and why it ended."""
    body = {"model": model, "messages": [{"role": role, "content": text} for role, text in lines]}
    status, done = await server.ask("POST", "/v1/chat/completions", json=body)
    assert status == 200, done
    return done["choices"][0]["message"]["content"], done["choices"][0]["finish_reason"]


async def test_what_an_app_says_and_shows_is_read(server: Server) -> None:
    """System texts, and messages that were said elsewhere, as the client says."""
    mira = await server.character()
    asked = len(server.fake.requests)
    for lines in (
        [("system", "Be wild."), ("user", "Hello")],
        [("user", "Hello"), ("system", "[wild]")],
        [("user", "Something wild"), ("assistant", "Yes"), ("user", "Hi"), ("assistant", "Yes"), ("user", "Go on")],
        [("user", "Hello"), ("assistant", "Something wild"), ("user", "Go on")],
    ):
        _, reason = await complete(server, mira, *lines)
        assert reason == "content_filter", lines
        assert (await server.ask("POST", f"/v1/chat/{mira}/reset", json={}))[0] == 200
    assert len(server.fake.requests) == asked
    assert (await complete(server, mira, ("user", "Hello")))[1] == "stop"


async def test_calls_that_are_not_remembered_are_read_too(server: Server) -> None:
    mira = await server.character()
    body = {
        "model": mira,
        "messages": [{"role": "system", "content": "wild"}, {"role": "user", "content": "Sum it up"}],
    }
    headers = {"X-Vestige-Memory": "off"}
    status, done = await server.ask("POST", "/v1/chat/completions", json=body, headers=headers)
    assert (status, done["choices"][0]["finish_reason"]) == (200, "content_filter")


async def test_help_stands_in_the_reply_and_is_known_again(server: Server) -> None:
    mira = await server.character()
    server.fake.next("I am here.")
    reply, _ = await complete(server, mira, ("user", "it is dark"))
    assert reply.startswith("I am here.\n\nCall somebody:")
    assert "112" in reply
    await complete(server, mira, ("user", "it is dark"), ("assistant", reply), ("user", "thank you"))
    kept = await server.messages(mira)
    assert (kept[1]["text"], kept[1]["edited"]) == ("I am here.", None)


async def test_what_is_told_without_a_turn_is_read_with_the_next_one(server: Server) -> None:
    """A program's note of a picture, and a request for one that came to nothing before anybody read it."""
    body = {"name": "comfy", "scopes": ["recall", "remember"], "user_id": "owner"}
    _, made = await server.ask("POST", "/v1/admin/keys", json=body)
    pack = server.with_token(made["secret"])
    for character in (await server.character(name="Mira"), await server.character(name="Otis")):
        _, done = await server.say(character, "Hello.")
        assert done["notice"] is None
        if character.startswith("mira"):
            note = {"key": "a" * 64, "note": "something wild"}
            assert (await pack.ask("POST", f"/v1/companion/{character}/pictures", json=note))[0] == 201
        else:
            asked = await server.ask("POST", f"/v1/chat/{character}/pictures", json={"prompt": "something wild"})
            assert asked[0] == 404, asked
        before = len(server.fake.requests)
        _, done = await server.say(character, "And then?")
        assert done["notice"]["kind"] == "declined"
        assert len(server.fake.requests) == before
