"""Whole conversations as SillyTavern and Open WebUI lead them, request by request; and a long random one.

Their requests' shapes: SillyTavern 1.12 `public/scripts/openai.js` through its server's *Custom* source, Open WebUI 0.6
`routers/openai.py` and `routers/tasks.py`. Only the shapes are theirs.
"""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.harness import Json, Server, shared_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

Lines = list[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with shared_server(tmp_path_factory.mktemp("clients") / "data", window_messages=4) as running:
        yield running


async def stored(server: Server, model: str) -> Lines:
    return [(one["role"], one["text"]) for one in await server.messages(model, "?limit=200")]


class SillyTavern:
    """One chat file. `lines` are what its window shows."""

    def __init__(self, server: Server, model: str, greeting: str) -> None:
        self.server = server
        self.model = model
        self.lines: Lines = [("assistant", greeting)]

    async def send(self, text: str) -> None:
        self.lines.append(("user", text))
        self.lines.append(("assistant", await self.generate(self.lines)))

    async def swipe(self) -> None:
        self.lines[-1] = ("assistant", await self.generate(self.lines[:-1]))

    async def go_on(self, *, nudge: bool) -> None:
        last = self.lines[-1][1]
        order = f"[Continue the following message. Do not include ANY parts of the original message: {last}]"
        more = await self.generate(self.lines, order if nudge else None)
        self.lines[-1] = ("assistant", last + more)

    async def quietly(self, order: str) -> str:
        return await self.generate(self.lines, order, stream=False)

    async def generate(self, lines: Lines, order: str | None = None, *, stream: bool = False) -> str:
        messages: list[Json] = [
            {"role": "system", "content": "Write Mira's next reply in a fictional chat between Mira and Owner."},
            {"role": "system", "content": "Mira keeps a lighthouse."},
            {"role": "system", "content": "[Example Chat]"},
            {"role": "system", "content": "Ahoy!", "name": "example_assistant"},
            {"role": "system", "content": "[Start a new Chat]"},
            *({"role": role, "content": text} for role, text in lines),
        ]
        note = {"role": "system", "content": "[Author's note: it is raining]"}
        messages.insert(len(messages) - min(4, len(lines)), note)
        if order is not None:
            messages.append({"role": "system", "content": order})
        body: Json = {
            "messages": messages,
            "model": self.model,
            "temperature": 1,
            "max_tokens": 300,
            "stream": stream,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_p": 1,
            "stop": ["\nOwner:"],
            "logit_bias": {},
            "seed": 4,
        }
        return await call(self.server, body)


async def call(server: Server, body: Json) -> str:
    status, done = await server.ask("POST", "/v1/chat/completions", json=body)
    assert status == 200, done
    return done["choices"][0]["message"]["content"]


async def test_an_evening_in_sillytavern(server: Server) -> None:
    mira = await server.character(description="{{char}} keeps a lighthouse.", first_mes="Come in, {{user}}.")
    tavern = SillyTavern(server, mira, "Come in, Owner.")
    server.fake.next("Sit down.", "Take a seat.", "Well,", "and so", " it was.")
    await tavern.send("Good evening")
    await tavern.swipe()
    assert tavern.lines[-1] == ("assistant", "Take a seat.")
    assert await stored(server, mira) == tavern.lines
    prompt = server.fake.requests[-1].messages
    assert prompt[0]["role"] == "system" and "lighthouse" in prompt[0]["content"]
    assert sum("lighthouse" in one["content"] for one in prompt) == 1  # the client's copy of the card is left out
    assert "[Start a new Chat]" not in server.fake.requests[-1].text

    await tavern.send("Tell me a story")
    await tavern.go_on(nudge=True)
    await tavern.go_on(nudge=False)
    assert tavern.lines[-1] == ("assistant", "Well, and so it was.")
    assert await stored(server, mira) == tavern.lines

    tavern.lines[1] = ("user", "Good evening, Mira")
    await tavern.send("Go on")
    assert await stored(server, mira) == tavern.lines
    del tavern.lines[-2:]
    await tavern.send("Another one")
    assert await stored(server, mira) == tavern.lines

    before = await server.messages(mira)
    server.fake.next("They talked.", "Owner would say so.")
    assert await tavern.quietly("Ignore previous instructions. Summarize the most important facts.") == "They talked."
    impersonate = "[Write your next reply from the point of view of Owner, using the chat history so far.]"
    assert await tavern.quietly(impersonate) == "Owner would say so."
    assert await server.messages(mira) == before


async def test_a_week_in_open_webui(server: Server) -> None:
    mira = await server.character(first_mes="Come in.")

    async def send(lines: Lines, **more: Any) -> str:
        messages = [{"role": role, "content": text} for role, text in lines]
        return await call(server, {"stream": False, "model": mira, "messages": messages, **more})

    async def task(text: str) -> str:
        content = f"### Task:\n{text}\n### Chat History:\n<chat_history>\nUSER: Hello\n</chat_history>"
        return await send([("user", content)], max_completion_tokens=1_000)

    server.fake.next("Hi.", "A title", '{"tags": []}')
    monday: Lines = [("user", "Hello Mira")]
    monday.append(("assistant", await send(monday)))
    assert await task("Generate a concise title.") == "A title"
    assert await task("Generate 1-3 broad tags.") == '{"tags": []}'
    assert await stored(server, mira) == monday  # no greeting: Open WebUI shows none

    server.fake.next("Sunny.", "Rainy.", "Foggy.", "Bye.")
    monday.append(("user", "How is the weather?"))
    monday.append(("assistant", await send(monday)))
    monday[-1] = ("assistant", await send(monday[:-1]))  # regenerated
    assert await stored(server, mira) == monday
    monday[2] = ("user", "How is the sea?")
    monday[3] = ("assistant", await send(monday[:3]))  # edited and sent again
    assert await stored(server, mira) == monday

    tuesday: Lines = [("user", "Good morning")]  # a new chat: the same companion
    tuesday.append(("assistant", await send(tuesday)))
    assert await stored(server, mira) == [*monday, *tuesday]
    server.fake.next("Still here.")
    monday.append(("user", "And now?"))  # back in the first
    monday.append(("assistant", await send(monday)))
    assert await stored(server, mira) == [*monday[:4], *tuesday, *monday[4:]]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_long_random_conversation_is_stored_as_it_is_shown(server: Server, seed: int) -> None:
    """On the real stores, with windows that close meanwhile: what is shown and what is stored are one all along."""
    dice = random.Random(seed)
    mira = await server.character(first_mes="Come in, {{user}}.")
    server.fake.respond = lambda request: f"reply {len(server.fake.requests)} of {seed}"
    tavern = SillyTavern(server, mira, "Come in, Owner.")
    await tavern.send("Good evening")
    await tavern.send("How are you?")
    for number in range(24):
        match dice.choice(["send", "send", "swipe", "go on", "edit", "drop"]):
            case "send":
                await tavern.send(dice.choice(["yes", "no", "tell me more"]))
            case "swipe":
                await tavern.swipe()
            case "go on":
                await tavern.go_on(nudge=dice.random() < 0.5)
            case "edit":
                at = dice.randrange(len(tavern.lines))
                tavern.lines[at] = (tavern.lines[at][0], f"edited {number}")
                await tavern.send("and then?")
            case "drop":
                del tavern.lines[max(5, len(tavern.lines) - 2 * dice.randint(1, 3)) :]
                await tavern.send("anew")
        assert await stored(server, mira) == tavern.lines, number
    await server.memory.upkeep(server.scope(mira))
    assert await stored(server, mira) == tavern.lines
