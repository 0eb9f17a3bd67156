"""Work behind the turns: windows, what they are about, sweeping. One task per kind and conversation."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from server.errors import StoreUnavailable
from server.ids import Scope
from server.memory.derive import Deriver
from server.memory.purge import Purger
from server.memory.shared import Shared
from server.memory.summary import Summaries
from server.memory.windows import WindowStore

_log = structlog.get_logger(__name__)

Kind = Literal["windows", "facts", "summary", "sweep", "purge"]
Key = tuple[Kind, Scope | None]


class Upkeep:
    """Schedules the work. What is cancelled, or fails, is left to be done again: nothing depends on its having run."""

    def __init__(
        self, shared: Shared, windows: WindowStore, deriver: Deriver, summaries: Summaries, purge: Purger
    ) -> None:
        self._windows = windows
        self._deriver = deriver
        self._summaries = summaries
        self._purge = purge
        self._metrics = shared.metrics
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._closing = False

    async def now(self, scope: Scope) -> None:
        """Does everything that is due in this conversation, here and now.

        Raises:
            StoreUnavailable: what is not done stays due.
        """
        await self._windows.close_due(scope)
        while await self._deriver.derive_due(scope):
            pass
        if await self._summaries.due(scope):
            await self._summaries.rebuild(scope)
        await self._windows.sweep()

    def settle(self, scope: Scope) -> None:
        """Begins what is due in the background; at once again when it is asked for while it runs."""
        self._start(("windows", scope), lambda: self._close(scope))

    def sweep(self) -> None:
        """Deletes abandoned records in the background."""
        self._start(("sweep", None), self._sweep)

    def purge(self) -> None:
        """Makes the stores' files forget what was deleted, in the background."""
        self._start(("purge", None), self._purge)

    def cancel(self, scope: Scope) -> None:
        """Stops asking the model about this conversation. A window that is being closed is closed."""
        for kind in ("facts", "summary"):
            self._again.discard((kind, scope))
            task = self._tasks.get((kind, scope))
            if task is not None:
                task.cancel()

    async def stop(self, scope: Scope) -> None:
        """Stops all work on this conversation and returns when it has stopped."""
        mine = [key for key in self._tasks if key[1] == scope]
        await self._end(mine)

    async def aclose(self, seconds: float) -> None:
        """Lets windows in flight be closed, for so long; gives up the rest."""
        self._closing = True
        self._again.clear()
        await self._end([key for key in self._tasks if key[0] in ("facts", "summary")])
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        await self._end(list(self._tasks))

    async def idle(self) -> None:
        """Returns when nothing is running."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _close(self, scope: Scope) -> None:
        await self._windows.close_due(scope)
        if self._closing:
            return
        self._start(("facts", scope), lambda: self._facts(scope))
        self._start(("sweep", None), self._sweep)
        await self._windows.prepare(scope)

    async def _facts(self, scope: Scope) -> None:
        await self._deriver.derive_due(scope)
        if not self._closing and await self._summaries.due(scope):
            running = self._tasks.get(("summary", scope))
            if running is not None:
                running.cancel()  # it was begun on older windows
            self._start(("summary", scope), lambda: self._summary(scope))

    async def _summary(self, scope: Scope) -> None:
        await self._summaries.rebuild(scope)

    async def _sweep(self) -> None:
        await self._windows.sweep()

    def _start(self, key: Key, work: Callable[[], Awaitable[None]]) -> None:
        if self._closing:
            return
        if key in self._tasks:
            self._again.add(key)
            return
        task = asyncio.create_task(self._guarded(key, work), name=f"memory-{key[0]}")
        self._tasks[key] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._tasks[key]
            if key in self._again:
                self._again.discard(key)
                self._start(key, work)

        task.add_done_callback(ended)

    async def _guarded(self, key: Key, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreUnavailable as error:
            self._metrics.upkeep_failures.inc()
            _log.warning("upkeep_postponed", work=key[0], reason=error.message)
        except Exception as error:  # a bug must not end the upkeep of everyone else; its text may hold a person's words
            self._metrics.upkeep_failures.inc()
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("upkeep_failed", work=key[0], error=type(error).__name__, at=f"{frame.filename}:{frame.lineno}")

    async def _end(self, keys: list[Key]) -> None:
        tasks = [self._tasks[key] for key in keys if key in self._tasks]
        for key in keys:
            self._again.discard(key)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
