"""The hot buffer: the newest closed windows of a conversation, in the cache.

The newest messages of all are in the tail, which is read from the state store on every turn. Behind them lies this
list. It is a cache and nothing else: an entry is a window under its record's id, and a record's text never changes, so
an entry can be missing but never wrong; which windows live, the state store says.
"""

from collections.abc import Mapping, Sequence

import structlog

from server.errors import StoreUnavailable
from server.ids import Scope
from server.memory.keys import Keys
from server.memory.shared import Shared
from server.stores.errors import store_errors

_log = structlog.get_logger(__name__)


class HotBuffer:
    """At most `windows` entries per conversation, for `hot_seconds` after the last. A dead cache costs time only."""

    def __init__(self, shared: Shared) -> None:
        self._client = shared.cache
        self._metrics = shared.metrics
        self._seconds = shared.options.hot_seconds
        self._windows = -(-shared.options.hot_messages // shared.options.window_messages)

    @property
    def windows(self) -> int:
        return self._windows

    async def read(self, scope: Scope) -> dict[str, str]:
        """Encoded messages by record id."""
        try:
            with store_errors("cache"):
                entries = await self._client.lrange(Keys.of(scope).hot, 0, -1)
        except StoreUnavailable as error:
            self._failed("read", error)
            return {}
        return dict(str(entry).split(" ", 1) for entry in entries)

    async def append(self, scope: Scope, id: str, raw: str) -> None:
        """Adds the window that has just closed."""
        await self._write(scope, {id: raw}, fresh=False)

    async def replace(self, scope: Scope, windows: Mapping[str, str]) -> None:
        """Fills the buffer anew, oldest first."""
        await self._write(scope, windows, fresh=True)

    async def drop(self, scope: Scope) -> None:
        """Takes the text out.

        Raises:
            StoreUnavailable: the cache does not answer, so it may still hold what should go.
        """
        with store_errors("cache"):
            await self._client.delete(Keys.of(scope).hot)

    async def _write(self, scope: Scope, windows: Mapping[str, str], *, fresh: bool) -> None:
        entries: Sequence[str] = [f"{id} {raw}" for id, raw in windows.items()]
        if not entries:
            return
        key = Keys.of(scope).hot
        pipe = self._client.pipeline(transaction=True)
        if fresh:
            pipe.delete(key)
        pipe.rpush(key, *entries)
        pipe.ltrim(key, -self._windows, -1)
        pipe.expire(key, self._seconds)
        try:
            with store_errors("cache"):
                await pipe.execute()
        except StoreUnavailable as error:
            self._failed("write", error)

    def _failed(self, what: str, error: StoreUnavailable) -> None:
        self._metrics.cache_failures.inc()
        _log.warning("hot_buffer_unavailable", doing=what, reason=error.message)
