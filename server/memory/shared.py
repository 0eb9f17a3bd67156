"""What every part of memory is given."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import redis.asyncio

from server.memory.embedding import Embedder
from server.memory.metrics import MemoryMetrics
from server.memory.scripts import Scripts
from server.memory.views import MemoryOptions
from server.stores.chroma import ChromaShards


@dataclass(frozen=True)
class Shared:
    """The stores, the embedder, options and the clock. `state` and `cache` may be the same server."""

    state: redis.asyncio.Redis
    cache: redis.asyncio.Redis
    chroma: ChromaShards
    scripts: Scripts
    embedder: Embedder
    options: MemoryOptions
    metrics: MemoryMetrics
    clock: Callable[[], datetime]

    @property
    def now(self) -> float:
        """Seconds since 1970, as scores of sorted sets have them."""
        return self.clock().timestamp()
