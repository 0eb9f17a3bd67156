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


class Halved(HashEmbedder):
    """Another embedder: half as many dimensions, the same letters."""

    id = "hash:halved"
    dim = 32

    def __init__(self) -> None:
        self.texts = 0

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        self.texts += len(texts)
        full = await super().embed(texts, kind)
        halved = full[:, :32] + full[:, 32:]
        return halved / np.maximum(np.linalg.norm(halved, axis=1, keepdims=True), 1e-6)


async def test_reindexing_can_be_stopped_and_goes_on(
    make_settings: Callable[..., Settings], folder: DataFolder, redis_pair: RedisPair, clock: Clock
) -> None:
    settings = make_settings(shards=2)
    scopes = [Scope("home", user, "mira") for user in ("ann", "bob", "cleo")]
    old, new = HashEmbedder(), Halved()
    before = {}
    async with open_chroma(settings, folder, dim=old.dim, embedder_id=old.id) as chroma:
        memory = Memory(redis_pair, chroma, old, options=OPTIONS, model=Scribe(window_answer("S.", "F.")), clock=clock)
        for scope in scopes:
            for number in range(40):
                role = Role.ASSISTANT if number % 2 else Role.USER
                await memory.append(scope, role, f"line {number} of {scope.user}", speakers=NAMES)
            await memory.upkeep(scope)
            await memory.set_summary(scope, f"About {scope.user}.")
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
