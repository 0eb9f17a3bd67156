"""A long random walk over the API beside a tiny model of what a conversation is: they agree after every step."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from server.settings import Plan, Settings
from tests.fakes.openai_server import FakeOpenAI, Received
from tests.harness import Json, Server, running
from tests.system.promises import check_windows, history

pytestmark = pytest.mark.timeout(240)

STEPS = 150
WINDOW = 4


@dataclass(eq=False)
class Line:
    """A message as it should be."""

    id: str
    role: str
    texts: list[str]
    chosen: int = 0

    @property
    def shown(self) -> tuple[str, str, str, list[str]]:
        return self.id, self.role, self.texts[self.chosen], self.texts


@dataclass
class Walk:
    """The walker. Each word that is ever said is said once, so that whatever was deleted can be looked for."""

    server: Server
    character: str
    dice: random.Random
    lines: list[Line] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    keys: dict[str, tuple[str, Line, Line]] = field(default_factory=dict)
    pins: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    words: int = 0

    def word(self) -> str:
        self.words += 1
        return f"w{self.words}q{self.dice.randrange(10**6)}"

    async def ask(
        self, method: str, path: str, body: Json | None = None, status: int = 200, *, key: str | None = None
    ) -> Any:
        headers = {"Accept": "application/json"} | ({"Idempotency-Key": key} if key else {})
        got, answer = await self.server.ask(method, path, json=body, headers=headers)
        assert got == status, (method, path, answer)
        return answer

    def chat(self, path: str = "") -> str:
        return f"/v1/chat/{self.character}{path}"

    def memory(self, path: str) -> str:
        return f"/v1/memory/{self.character}{path}"

    def forgotten(self, lines: list[Line]) -> None:
        self.gone += [text for line in lines for text in line.texts]

    # steps; each returns False where there is nothing to do

    async def say(self) -> bool:
        text, key = f"I say {self.word()}", f"key-{self.words}"
        body = {"character_id": self.character, "message": text}
        done = await self.ask("POST", "/v1/chat", body, key=key)
        user = Line(done["message_ids"]["user"], "user", [text])
        reply = Line(done["message"]["id"], "assistant", [done["message"]["text"]])
        self.lines += [user, reply]
        self.keys[key] = (text, user, reply)
        return True

    async def say_again(self) -> bool:
        """An earlier request once more: the same turn, or a conflict where that is gone."""
        if not self.keys:
            return False
        key, (text, user, reply) = self.dice.choice(list(self.keys.items()))
        there = user in self.lines and reply in self.lines
        body = {"character_id": self.character, "message": text}
        answer = await self.ask("POST", "/v1/chat", body, 200 if there else 409, key=key)
        if there:
            assert (answer["replayed"], answer["message_ids"]) == (True, {"user": user.id, "reply": reply.id})
        return True

    async def regenerate(self) -> bool:
        replies = [line for line in self.lines if line.role == "assistant"]
        if not replies:
            return False
        reply = self.dice.choice(replies[-6:])
        before = self.lines[self.lines.index(reply) - 1] if self.lines.index(reply) else None
        answerable = before is not None and before.role == "user"
        done = await self.ask("POST", self.chat("/regenerate"), {"message_id": reply.id}, 200 if answerable else 400)
        if answerable:
            reply.texts.append(done["message"]["text"])
            reply.chosen = len(reply.texts) - 1
        return True

    async def answer(self) -> bool:
        """A reply to the last message, which is the person's."""
        if not self.lines or self.lines[-1].role != "user":
            return False
        done = await self.ask("POST", self.chat("/regenerate"), {})
        self.lines.append(Line(done["message"]["id"], "assistant", [done["message"]["text"]]))
        return True

    async def go_on(self) -> bool:
        if not self.lines or self.lines[-1].role != "assistant":
            return False
        reply = self.lines[-1]
        done = await self.ask("POST", self.chat("/continue"), {})
        assert done["message"]["text"].startswith(reply.texts[reply.chosen])
        reply.texts[reply.chosen] = done["message"]["text"]
        return True

    async def swipe(self) -> bool:
        many = [line for line in self.lines if len(line.texts) > 1]
        if not many:
            return False
        line = self.dice.choice(many)
        index = self.dice.randrange(len(line.texts))
        await self.ask("POST", self.chat("/swipe"), {"message_id": line.id, "index": index})
        line.chosen = index
        await self.ask("POST", self.chat("/swipe"), {"message_id": line.id, "index": len(line.texts)}, 400)
        return True

    async def edit(self) -> bool:
        if not self.lines:
            return False
        line = self.dice.choice(self.lines)
        text = f"Rather {self.word()}"
        await self.ask("PATCH", self.chat(f"/messages/{line.id}"), {"text": text})
        self.gone.append(line.texts[line.chosen])
        line.texts[line.chosen] = text
        return True

    async def delete_from(self) -> bool:
        if len(self.lines) < 6:
            return False
        at = self.dice.randrange(max(0, len(self.lines) - 10), len(self.lines))
        answer = await self.ask("DELETE", self.chat(f"/messages/{self.lines[at].id}"))
        assert answer == {"deleted": len(self.lines) - at}
        self.forgotten(self.lines[at:])
        del self.lines[at:]
        return True

    async def forget(self) -> bool:
        if not self.lines:
            return False
        lines = self.dice.sample(self.lines, min(len(self.lines), self.dice.randint(1, 5)))
        ids = [line.id for line in lines]
        answer = await self.ask("POST", self.memory("/forget"), {"message_ids": [*ids, "7-7", ids[0]]})
        assert answer == {"forgotten": len(lines)}
        self.forgotten(lines)
        self.lines = [line for line in self.lines if line not in lines]
        self.pins = {id: (text, of) for id, (text, of) in self.pins.items() if of not in ids}
        return True

    async def pin(self) -> bool:
        if not self.lines:
            return False
        line = self.dice.choice(self.lines)
        made = await self.ask("POST", self.memory("/pins"), {"message_id": line.id}, 201)
        self.pins[made["id"]] = (line.texts[line.chosen], line.id)
        return True

    async def reset(self) -> bool:
        if len(self.lines) < 20:
            return False
        await self.ask("POST", self.chat("/reset"), {})
        self.forgotten(self.lines)
        self.lines.clear()
        self.pins = {id: (text, of) for id, (text, of) in self.pins.items() if of is None}
        return True

    async def step(self) -> str:
        steps = [
            (self.say, 30),
            (self.say_again, 4),
            (self.regenerate, 8),
            (self.answer, 10),
            (self.go_on, 4),
            (self.swipe, 6),
            (self.edit, 10),
            (self.delete_from, 4),
            (self.forget, 6),
            (self.pin, 4),
            (self.reset, 1),
        ]
        while True:
            [chosen] = self.dice.choices([step for step, _ in steps], [weight for _, weight in steps])
            if await chosen():
                return chosen.__name__

    async def agrees(self) -> None:
        """What the server shows is what the model has; what is gone cannot be found, and what is there can."""
        messages = await history(self.server, self.character)
        shown = [(m["id"], m["role"], m["text"], [one["text"] for one in m["alternatives"]]) for m in messages]
        assert shown == [line.shown for line in self.lines]
        await check_windows(self.server, self.character, messages)
        pins = await self.ask("GET", self.memory("/pins"))
        assert {pin["id"]: (pin["text"], pin["message_id"]) for pin in pins["pins"]} == self.pins
        for wanted, text in ((True, self._any_shown()), (False, self._any_gone())):
            if text is not None:
                word = text.split()[-1].strip(".")
                found = await self.ask("GET", self.memory(f"/search?q={word}&tokens=4000"))
                assert (text in [turn["text"] for span in found["spans"] for turn in span["turns"]]) == wanted, text

    def _any_shown(self) -> str | None:
        return self.dice.choice([line.texts[line.chosen] for line in self.lines]) if self.lines else None

    def _any_gone(self) -> str | None:
        return self.dice.choice(self.gone[-20:]) if self.gone else None


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_walk(tmp_path: Path, seed: int) -> None:
    replies = iter(range(10**6))

    def reply(_: Received) -> str:
        return f"And I answer a{next(replies)}z."

    async with FakeOpenAI() as fake:
        fake.respond = reply
        settings = Settings(
            data=tmp_path / "data",
            embedder="hash",
            shards=1,
            window_messages=WINDOW,
            write_facts=False,
            llm_base_url=fake.base_url,
            plans={"free": Plan(turns_per_minute=100_000)},
        )
        taken: list[str] = []
        walk: Walk | None = None
        for _ in range(3):  # the server is another one each time
            async with running(settings, fake) as server:
                walk = walk or Walk(server, await server.character(), random.Random(seed))
                walk.server = server
                await walk.agrees()
                for _ in range(STEPS // 3):
                    taken.append(await walk.step())
                    await walk.agrees()
        assert len(set(taken)) >= 10
