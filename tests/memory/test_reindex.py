"""A change of the embedder: every record gets new vectors, and a stop in the middle costs nothing."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from server.datafolder import DataFolder
from server.errors import StartupError
from server.ids import Scope
from server.memory.embedding import HashEmbedder, Kind, Vectors
from server.memory.messages import Role
from server.memory.service import Memory
from server.memory.views import MemoryOptions, Speakers
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.redis import RedisPair
from tests.memory.conftest import Clock
from tests.memory.fakes import Scribe, window_answer

NAMES = Speakers("Ann", "Mira")
OPTIONS = MemoryOptions(window_messages=4, hot_messages=16)


class Stopped(Exception):
    """Someone pressed Ctrl-C."""


class Folded(HashEmbedder):
    """Another embedder: fewer dimensions, the same letters."""

    def __init__(self, dim: int) -> None:
        self.id = f"hash:{dim}"
        self.dim = dim
        self.texts = 0

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.texts += len(texts)
        full = await super().embed(texts, kind)
        folded = full.reshape(len(full), -1, self.dim).sum(axis=1)
        return folded / np.maximum(np.linalg.norm(folded, axis=1, keepdims=True), 1e-6)


async def fill(memory: Memory, scope: Scope) -> None:
    for number in range(40):
        role = Role.ASSISTANT if number % 2 else Role.USER
        await memory.append(scope, role, f"line {number} of {scope.user}", speakers=NAMES)
    await memory.upkeep(scope)
    await memory.set_summary(scope, f"About {scope.user}.")


async def test_reindexing_can_be_stopped_and_goes_on(
    make_settings: Callable[..., Settings], folder: DataFolder, redis_pair: RedisPair, clock: Clock
) -> None:
    settings = make_settings(shards=2)
    scopes = [Scope("home", user, "mira") for user in ("ann", "bob", "cleo")]
    old, new = HashEmbedder(), Folded(32)
    before = {}
    async with open_chroma(settings, folder, dim=old.dim, embedder_id=old.id) as chroma:
        memory = Memory(redis_pair, chroma, old, options=OPTIONS, model=Scribe(window_answer("S.", "F.")), clock=clock)
        for scope in scopes:
            await fill(memory, scope)
            before[scope] = await memory.export(scope)
        await memory.aclose()

    with pytest.raises(StartupError, match="reindex"):
        async with open_chroma(settings, folder, dim=new.dim, embedder_id=new.id):
            pass

    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 12:
            raise Stopped

    async with open_chroma(settings, folder, dim=new.dim, embedder_id=new.id, reindexing=True) as chroma:
        with pytest.raises(Stopped):
            await Memory(redis_pair, chroma, new, options=OPTIONS, clock=clock).reindex(stop)
    assert seen[0] == (0, 27) and 0 < new.texts < 27 * 4

    async with open_chroma(settings, folder, dim=new.dim, embedder_id=new.id, reindexing=True) as chroma:
        memory = Memory(redis_pair, chroma, new, options=OPTIONS, clock=clock)
        assert await memory.reindex(lambda done, total: seen.append((done, total))) == 27
    assert seen[-1] == (27, 27)
    assert new.texts == 27 * 4 + 27  # each turn and each fact once

    async with open_chroma(settings, folder, dim=new.dim, embedder_id=new.id) as chroma:
        memory = Memory(redis_pair, chroma, new, options=OPTIONS, clock=clock)
        for scope in scopes:
            assert await memory.export(scope) == before[scope]
            found = await memory.recall(scope, f"line 7 of {scope.user}", speakers=NAMES, budget_tokens=100)
            assert f"line 7 of {scope.user}" in [turn.text for span in found.spans for turn in span.turns]
        assert await memory.reindex(lambda done, total: None) == 27  # nothing to do, and no harm
        await memory.aclose()


async def test_a_reindexing_that_was_given_up_for_another_loses_nothing(
    make_settings: Callable[..., Settings], folder: DataFolder, redis_pair: RedisPair, scope: Scope, clock: Clock
) -> None:
    first, second, third = HashEmbedder(), Folded(32), Folded(16)
    async with open_chroma(make_settings(shards=2), folder, dim=first.dim, embedder_id=first.id) as chroma:
        memory = Memory(redis_pair, chroma, first, options=OPTIONS, clock=clock)
        await fill(memory, scope)
        before = await memory.export(scope)

    def stop(done: int, total: int) -> None:
        if done:
            raise Stopped

    settings = make_settings(shards=3)
    async with open_chroma(settings, folder, dim=second.dim, embedder_id=second.id, reindexing=True) as chroma:
        with pytest.raises(Stopped):
            await Memory(redis_pair, chroma, second, options=OPTIONS, clock=clock).reindex(stop)
    settings = make_settings(shards=1)
    async with open_chroma(settings, folder, dim=third.dim, embedder_id=third.id, reindexing=True) as chroma:
        await Memory(redis_pair, chroma, third, options=OPTIONS, clock=clock).reindex(lambda done, total: None)
    async with open_chroma(settings, folder, dim=third.dim, embedder_id=third.id) as chroma:
        assert await Memory(redis_pair, chroma, third, options=OPTIONS, clock=clock).export(scope) == before
