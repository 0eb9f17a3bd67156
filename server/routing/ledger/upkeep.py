"""The ledger's background: this server's heartbeat, what dead servers left, and asking what generations cost.

Any number of servers do the same over one Redis; each step claims what it takes, so none is done twice at once.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from server.ending import end
from server.errors import ModelError, StoreUnavailable
from server.repeating import every
from server.routing.ledger.ledger import Ledger
from server.routing.ledger.webhook import TELL_EVERY_SECONDS, Webhook

Generations = Callable[[str, str], Awaitable[int | None]]
"""`(provider, generation id)` → micro-dollars by the provider's record, None where it has none yet; may raise
`ModelError`, and must answer within `CLAIM_SECONDS`."""

LEASE_SECONDS = 15.0
"""A server that was silent for so long is dead to the others. A third of it between two heartbeats."""
OLDEST_SECONDS = 2 * 3_600.0
"""No attempt is under way for so long: `total_seconds` is an hour at most."""
AT_ONCE = 200
ASK_AT_ONCE = 16
ASK_EVERY_SECONDS = 1.0
CLAIM_SECONDS = 30.0
"""Whoever takes a question and dies has only delayed it by so much."""
DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds between two questions about the same generation; the last one from then on."""
GIVE_UP_SECONDS = 86_400.0
"""After a day without an answer the reserve counts as spent."""
DRAIN_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Upkeep:
    """One server's share of the ledger's housekeeping. Times in seconds.

    `alone`: the store is this server's own, so whatever others left in it, they are dead.
    """

    def __init__(
        self, ledger: Ledger, generations: Generations | None, *, lease: float = LEASE_SECONDS, alone: bool = False
    ) -> None:
        self._ledger = ledger
        self._scripts = ledger.scripts
        self._generations = generations
        self._lease = lease
        self._alone = alone
        self.beat_seconds = lease / 3

    async def beat(self) -> None:
        """Renews this server's lease and takes over orphans, all there are."""
        while True:
            asked, ended, *events = await self._scripts.run(
                "beat",
                self._ledger.server,
                round(self._lease * 1000),
                round(OLDEST_SECONDS * 1000),
                AT_ONCE,
                self._ledger.tells,
                "1" if self._alone else "",
            )
            self._ledger.note(events)
            if not asked and not ended:
                return
            _log.warning("orphans_found", to_ask=asked, at_full_reserve=ended)

    async def leave(self) -> None:
        """Waits a moment for settlements under way; what is left is another server's to find."""
        await self._ledger.drain(DRAIN_SECONDS)
        try:
            await self._scripts.run("leave", self._ledger.server)
        except StoreUnavailable as error:
            _log.warning("ledger_waits", step="leave", reason=error.message)

    async def ask(self) -> None:
        """Asks about everything that is due."""
        while holds := await self._scripts.run("claim", "due", ASK_AT_ONCE, round(CLAIM_SECONDS * 1000)):
            await asyncio.gather(*map(self._ask, holds))

    async def _ask(self, hold: str) -> None:
        found = await self._scripts.run("question", hold)
        if not found:
            return
        generation, facts, times, age = found
        cost = await self._recorded(json.loads(facts)["provider"], generation)
        if cost is not None:
            await self._ledger.close(hold, cost)
        elif age >= GIVE_UP_SECONDS * 1000:
            _log.error("generation_without_record", asked=times + 1)
            await self._ledger.close(hold, None)
        else:
            delay = DELAYS[min(times, len(DELAYS) - 1)]
            await self._scripts.run("later", "due", hold, round(delay * 1000))

    async def _recorded(self, provider: str, generation: str) -> int | None:
        if self._generations is None:  # the provider was taken out of the settings meanwhile
            return None
        try:
            return await self._generations(provider, generation)
        except ModelError as error:
            _log.warning("generation_record_unavailable", reason=error.message)
            return None


@asynccontextmanager
async def running(upkeep: Upkeep, webhook: Webhook | None = None) -> AsyncIterator[None]:
    """Does all of it until left; then leaves what is unsettled to the others.

    Raises:
        StoreUnavailable: the ledger does not answer at the start.
    """
    await upkeep.beat()
    works = [(upkeep.beat_seconds, upkeep.beat), (ASK_EVERY_SECONDS, upkeep.ask)]
    if webhook is not None:
        works.append((TELL_EVERY_SECONDS, webhook.tell))
    tasks = [
        asyncio.create_task(every(f"ledger_{work.__name__}", seconds, work, at_once=False), name="ledger-upkeep")
        for seconds, work in works
    ]
    try:
        yield
    finally:
        await end(tasks)
        await upkeep.leave()
