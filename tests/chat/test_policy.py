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
