"""What lies in a data folder whose server has ended, read past the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.datafolder import DataFolder
from server.ids import Scope, parse_scope
from server.memory.embedding.hashing import HashEmbedder
from server.memory.keys import SCOPES, Keys
from server.memory.log import WindowRef
from server.settings import Settings
from server.stores.chroma import ChromaShards, open_chroma
from server.stores.redis import RedisPair, open_redis


@dataclass(frozen=True, slots=True)
class Stored:
    """Both stores of a data folder."""

    redis: RedisPair
    chroma: ChromaShards

    async def scopes(self) -> list[Scope]:
        """All conversations."""
        return [parse_scope(str(name)) for name in await self.redis.state.zrange(SCOPES, 0, -1)]

    async def live_windows(self, scope: Scope) -> list[WindowRef]:
        """The windows of which the conversation consists, oldest first."""
        return [WindowRef.read(str(raw)) for raw in await self.redis.state.lrange(Keys.of(scope).windows, 0, -1)]

    async def window_records(self, scope: Scope) -> list[str]:
        """The ids of all records of windows in the index, live or not."""
        found = await self.chroma.find(str(scope), {"scope": str(scope)})
        return [record.id for record in found if record.metadata["kind"] == "window"]


@asynccontextmanager
async def stored(data: Path, *, shards: int = 1) -> AsyncIterator[Stored]:
    """The stores, opened as the server opens them."""
    settings = Settings(data=data, embedder="hash", shards=shards)
    with DataFolder(data).open() as folder:
        async with (
            open_redis(settings, folder) as redis,
            open_chroma(settings, folder, dim=HashEmbedder.dim, embedder_id=HashEmbedder.id) as chroma,
        ):
            yield Stored(redis, chroma)
