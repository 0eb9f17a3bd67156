"""One at a time per conversation, in order of arrival; conversations do not wait for each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.ids import Scope


class Lines:
    """A line per scope that exists while somebody stands in it."""

    def __init__(self) -> None:
        self._locks: dict[Scope, asyncio.Lock] = {}
        self._waiting: dict[Scope, int] = {}

    @asynccontextmanager
    async def turn(self, scope: Scope) -> AsyncIterator[None]:
        """Waits until everyone who came before has left."""
        lock = self._locks.setdefault(scope, asyncio.Lock())
        self._waiting[scope] = self._waiting.get(scope, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[scope] -= 1
            if not self._waiting[scope]:
                del self._waiting[scope], self._locks[scope]
