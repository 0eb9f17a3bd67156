"""Fixtures: a `Memory` over a real Valkey and a real Chroma, and a clock that tests move."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.datafolder import DataFolder
from server.ids import Scope
from server.memory.embedding import HashEmbedder
from server.memory.service import Memory
from server.memory.views import MemoryOptions, Speakers
from server.settings import Settings
from server.stores.chroma import ChromaShards, open_chroma
from server.stores.redis import RedisPair


class Clock:
    """Time that moves when a test says so, and one second at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scope() -> Scope:
    return Scope("home", "ann", "mira")


@pytest.fixture
def names() -> Speakers:
    return Speakers("Ann", "Mira")


@pytest.fixture
async def chroma(make_settings: Callable[..., Settings], folder: DataFolder) -> AsyncIterator[ChromaShards]:
    embedder = HashEmbedder()
    async with open_chroma(make_settings(shards=1), folder, dim=embedder.dim, embedder_id=embedder.id) as shards:
        yield shards


@pytest.fixture
async def make_memory(
    redis_pair: RedisPair, chroma: ChromaShards, clock: Clock
) -> AsyncIterator[Callable[..., Memory]]:
    """`make_memory(**options)`: as many as one likes, on the same stores, as several servers would be.

    `redis`, `chroma`, `model` and `registry` may be given too.
    """
    made: list[Memory] = []

    def make(
        *,
        redis: RedisPair = redis_pair,
        chroma: ChromaShards = chroma,
        model: Any = None,
        registry: CollectorRegistry | None = None,
        **options: Any,
    ) -> Memory:
        small: dict[str, Any] = {"window_messages": 4, "hot_messages": 16}
        settings = MemoryOptions(**(small | options))
        memory = Memory(redis, chroma, HashEmbedder(), options=settings, model=model, registry=registry, clock=clock)
        made.append(memory)
        return memory

    yield make
    for memory in made:
        await memory.aclose()


@pytest.fixture
def memory(make_memory: Callable[..., Memory]) -> Memory:
    return make_memory()
