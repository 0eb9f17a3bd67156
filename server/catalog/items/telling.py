"""Grants that are still to be told to those who want to know, such as the companion that was given something.

A grant is written and noted as untold in one step, and the note goes away after everybody has been told. A server that
dies in between leaves the note, and it or another tells again: at least once, and the grant's id says which it was.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import structlog
from redis.asyncio import Redis

from server.catalog.items.codec import decode_grant
from server.catalog.items.model import Grant, OnGrant
from server.catalog.keys import UNTOLD, UNTOLD_DUE
from server.catalog.scripts import STORE, Scripts
from server.errors import StoreUnavailable
from server.frames import frames, kinds
from server.stores.errors import store_errors

__all__ = ["Teller"]

_log = structlog.get_logger("vestige.catalog")

LEASE_SECONDS = 60.0  # a teller that died is over by then
POLL_SECONDS = 5.0
AT_ONCE = 32
FIRST_DELAY, LONGEST_DELAY = 5.0, 3_600.0  # seconds; a delay is as long as the grant is old
GIVE_UP_SECONDS = 7 * 86_400.0


class Teller:
    """Tells grants, on every server; who comes first tells."""

    def __init__(self, state: Redis, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._state = state
        self._scripts = Scripts(state)
        self._clock = clock
        self._hooks: list[OnGrant] = []
        self._news = asyncio.Event()

    def on_grant(self, hook: OnGrant) -> None:
        """`hook` hears of every grant from now on, one at a time."""
        self._hooks.append(hook)

    def wake(self) -> None:
        """There is something to tell."""
        self._news.set()

    async def run(self) -> None:
        """Tells what there is to tell, until cancelled."""
        while True:
            try:
                while await self.tell():
                    pass
            except StoreUnavailable as error:
                _log.warning("grants wait to be told", reason=error.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()
            self._news.clear()

    async def tell(self) -> int:
        """Tells what is due, and answers how many grants that were.

        Raises:
            StoreUnavailable: the store does not answer; nothing is lost.
        """
        due = cast(
            list[str], await self._scripts.run("untold", (UNTOLD, UNTOLD_DUE), AT_ONCE, int(LEASE_SECONDS * 1000))
        )
        for raw in due:
            grant = decode_grant(raw)
            if await self._told(grant):
                await self._forget(grant)
        return len(due)

    async def _told(self, grant: Grant) -> bool:
        for hook in self._hooks:
            try:
                await hook(grant)
            except Exception as error:
                age = (self._clock() - grant.at).total_seconds()
                if age > GIVE_UP_SECONDS:
                    _log.error("a grant was never told", grant=grant.id, error=kinds(error), frames=frames(error))
                    return True
                delay = min(max(FIRST_DELAY, age), LONGEST_DELAY)
                _log.warning("a grant could not be told", grant=grant.id, error=type(error).__name__, retry_in=delay)
                await self._scripts.run("later", (UNTOLD_DUE,), grant.id, int(delay * 1000))
                return False
        return True

    async def _forget(self, grant: Grant) -> None:
        with store_errors(STORE):
            async with self._state.pipeline(transaction=True) as pipe:
                pipe.hdel(UNTOLD, grant.id)
                pipe.zrem(UNTOLD_DUE, grant.id)
                await pipe.execute()
