"""What every worker looks after once a second, for all: jobs that came loose, and lines that nobody was told of."""

import structlog

from server.render.fleet.fleet import Fleet
from server.render.jobs.jobs import Jobs
from server.render.worker.worker import Worker
from server.repeating import every

__all__ = ["EVERY_SECONDS", "Upkeep"]

EVERY_SECONDS = 1.0
ALIVE_MS = 10_000
"""A worker that was not heard of for so long is none."""
AT_ONCE = 500

_log = structlog.get_logger(__name__)


class Upkeep:
    """One worker's share; any number of them do the same, and each step is atomic."""

    def __init__(self, jobs: Jobs, fleet: Fleet, worker: Worker, *, every: float = EVERY_SECONDS) -> None:
        self._jobs = jobs
        self._fleet = fleet
        self._worker = worker
        self._seconds = every

    async def run(self) -> None:
        """Until cancelled; a store that does not answer is waited for."""
        await every("sweep", self._seconds, self.sweep)

    async def sweep(self) -> None:
        """One round. Raises `StoreUnavailable`."""
        obstacle = "" if await self._fleet.available() else "no_host"
        user, ahead, loose = await self._jobs.scripts.run("sweep", self._worker.name, ALIVE_MS, AT_ONCE, obstacle)
        if loose:
            _log.info("jobs_came_loose", count=loose)
        if obstacle:
            return
        if user:
            await self._jobs.queue.send("user")
        if ahead:
            await self._jobs.queue.send("prerender")
