"""Any sequence of what people can do, on two servers in turn, ends as a plain list says it should."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from server.ids import Scope
from server.memory.messages import Alternative, Role, Status
from server.memory.service import Memory
from server.memory.views import Speakers
from server.stores.chroma import ChromaShards
from server.stores.redis import RedisPair
from tests.memory.conftest import Clock
from tests.memory.fakes import Scribe, window_answer
from tests.memory.test_windows import nothing_stray

NAMES = Speakers("Ann", "Mira")
STEPS = 60


@dataclass
class Line:
    id: str
    role: Role
    alternatives: list[str]
    chosen: int = 0

    @property
    def text(self) -> str:
        return self.alternatives[self.chosen]


class Play:
    """Does things to a conversation and to a list, and compares the two."""

    def __init__(self, servers: list[Memory], scope: Scope, seed: int) -> None:
        self.servers = servers
        self.scope = scope
        self.random = random.Random(seed)
        self.lines: list[Line] = []
        self.count = 0

    @property
    def memory(self) -> Memory:
        return self.random.choice(self.servers)

    def word(self) -> str:
        self.count += 1
        return f"saying {self.count} about topic{self.random.randrange(5)}"

    async def turn(self) -> None:
        said, memory = self.word(), self.memory
        turn = await memory.begin_turn(self.scope, said, speakers=NAMES)
        assert turn.user is not None
        answer = Alternative(self.word(), turn.user.created)
        done = await self.memory.finish_reply(self.scope, turn.epoch, turn.reply.seq, answer, mode="fill")
        assert done is not None
        self.lines += [
            Line(turn.user.id, Role.USER, [said]),
            Line(turn.reply.id, Role.ASSISTANT, [answer.text]),
        ]

    async def regenerate(self) -> None:
        replies = [line for line in self.lines if line.role is Role.ASSISTANT]
        if not replies:
            return
        line = self.random.choice([*replies[-3:], self.random.choice(replies)])
        message = await self.memory.message(self.scope, line.id)
        mode: Literal["add", "replace"] = "add" if self.random.random() < 0.5 else "replace"
        new = replace(message.said, text=self.word())
        epoch = await self.memory.epoch(self.scope)
        assert await self.memory.finish_reply(self.scope, epoch, message.seq, new, mode=mode) is not None
        if mode == "replace":
            line.alternatives[line.chosen] = new.text
        else:
            line.alternatives.append(new.text)
            line.chosen = len(line.alternatives) - 1

    async def choose(self) -> None:
        if self.lines:
            line = self.random.choice(self.lines)
            line.chosen = self.random.randrange(len(line.alternatives))
            await self.memory.choose(self.scope, line.id, line.chosen)

    async def edit(self) -> None:
        if self.lines:
            line = self.random.choice(self.lines)
            line.alternatives[line.chosen] = self.word()
            await self.memory.edit(self.scope, line.id, line.text)

    async def delete(self) -> None:
        if self.lines and self.random.random() < 0.3:
            place = self.random.randrange(len(self.lines))
            deleted = await self.memory.delete_from(self.scope, self.lines[place].id)
            assert deleted == len(self.lines) - place
            del self.lines[place:]

    async def forget(self) -> None:
        gone = self.random.sample(self.lines, min(len(self.lines), self.random.randrange(4)))
        assert await self.memory.forget(self.scope, [line.id for line in gone]) == len(gone)
        self.lines = [line for line in self.lines if line not in gone]

    async def reset(self) -> None:
        if self.random.random() < 0.1:
            await self.memory.reset(self.scope)
            self.lines = []

    async def upkeep(self) -> None:
        await self.memory.upkeep(self.scope)

    async def look(self) -> None:
        memory = self.memory
        shown = (await memory.history(self.scope, limit=1_000)).messages
        assert [(each.id, each.role, each.text) for each in shown] == [
            (line.id, line.role, line.text) for line in self.lines
        ]
        assert [[one.text for one in each.alternatives] for each in shown] == [line.alternatives for line in self.lines]
        assert all(each.status is Status.COMPLETE for each in shown)
        recent = [each.text for each in await memory.recent(self.scope, max_tokens=10_000)]
        assert recent == [line.text for line in self.lines][len(self.lines) - len(recent) :]
        assert len(recent) >= min(len(self.lines), 4)
        if self.lines:
            line = self.random.choice(self.lines)
            found = await memory.recall(self.scope, line.text, speakers=NAMES, budget_tokens=100_000)
            known = {turn.message_id: turn.text for span in found.spans for turn in span.turns}
            assert known == {line.id: line.text for line in self.lines}


@pytest.mark.parametrize("seed", range(8))
async def test_any_sequence_ends_as_it_should(
    make_memory: Callable[..., Memory],
    scope: Scope,
    redis_pair: RedisPair,
    chroma: ChromaShards,
    clock: Clock,
    seed: int,
) -> None:
    scribe = Scribe(window_answer("A summary.", "A fact."), "A picture.")
    servers = [make_memory(model=scribe), make_memory(model=scribe)]
    play = Play(servers, scope, seed)
    steps = [play.turn] * 6 + [play.upkeep, play.look] * 2
    steps += [play.regenerate, play.choose, play.edit, play.delete, play.forget, play.reset]
    for _ in range(STEPS):
        await play.random.choice(steps)()
    for server in servers:
        await server.idle()
    await play.upkeep()
    await play.look()
    await servers[0].remove_summary(scope)
    await servers[0].idle()
    clock.advance(minutes=10)  # calls that were cancelled while they stored something left that to the sweeper
    await servers[0].start()
    await servers[0].idle()
    await nothing_stray(redis_pair, chroma, servers[0], scope)
