"""What a new picture costs: put aside under its job's id before there is a job, and settled once when it ended.

The ledger is the one of `server.routing.ledger`; the steps here survive the death of any process between any two:

    reserve       money aside under the job's id           dies here → `settle_all` finds no job and takes it back
    ask           the job, with its price                  dies here → the sweep finds the job
    the job ends  with what is to be settled, in one step  dies here → `settle_all` reads it
    settle_all    ends the hold, a second time for nothing, and strikes it off
"""

from typing import Protocol

import structlog

from server.render.jobs.jobs import Jobs
from server.render.jobs.scripts import STORE, key
from server.render.previews.types import Person
from server.stores.errors import store_errors

__all__ = ["Ledger", "Purse"]

AT_ONCE = 100
ORPHAN_MS = 120_000
"""Between the money and the job lie milliseconds: what has no job for so long never got one."""
_STATUS = {"done": "done", "cancelled": "cancelled"}

_log = structlog.get_logger(__name__)


class Ledger(Protocol):
    """What is needed of the ledger; `name` is a job's id, amounts are micro-dollars."""

    async def put_aside(self, person: Person, name: str, amount: int) -> None:
        """Raises `BudgetExceeded`, `GenerationDisabled`."""
        ...

    async def end(self, name: str, cost: int, status: str) -> None: ...

    async def take_back(self, name: str) -> None: ...

    async def names(self, older_ms: int, most: int, skip: int) -> list[str]:
        """The oldest first, without the first `skip`."""
        ...


class Purse:
    """`price` of a picture in micro-dollars; 0 asks nobody."""

    def __init__(self, ledger: Ledger, jobs: Jobs, price: int) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self.price = price
        self._passed = 0

    async def reserve(self, person: Person, job: str) -> None:
        """Raises:
        BudgetExceeded: a ceiling leaves no room.
        GenerationDisabled: the ledger does not answer.
        """
        if self.price:
            await self._ledger.put_aside(person, job, self.price)

    async def release(self, job: str) -> None:
        """The job was not made after all."""
        if self.price:
            await self._ledger.take_back(job)

    async def settle_all(self) -> None:
        """Settles what ended, and takes back what never began. Raises `StoreUnavailable`."""
        state, at = self._jobs.scripts.state, key("unsettled")
        with store_errors(STORE):
            due = [str(one) for one in await state.zrange(at, 0, AT_ONCE - 1)]
        for member in due:
            job, ended, cost = member.split("|")
            await self._ledger.end(job, int(cost), _STATUS.get(ended, "failed"))
            with store_errors(STORE):
                await state.zrem(at, member)
        if self.price:
            await self._take_back_orphans()

    async def _take_back_orphans(self) -> None:
        """Looks at the next few, the oldest first, and after the last at the oldest again: those that stay since their
        jobs are alive hide none that came later."""
        names = await self._ledger.names(ORPHAN_MS, AT_ONCE, self._passed)
        if not names:
            self._passed = 0
            return
        state = self._jobs.scripts.state
        with store_errors(STORE):
            waiting = await state.zrange(key("unsettled"), 0, -1)
        unsettled = {str(member).partition("|")[0] for member in waiting}
        for name, job in zip(names, await self._jobs.look(names), strict=True):
            if job is None and name not in unsettled:
                await self._ledger.take_back(name)
                _log.warning("render_hold_taken_back", job=name)
            else:
                self._passed += 1
