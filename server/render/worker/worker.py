"""Works on jobs: takes what is next, renders it, and says how it ended, whatever happens meanwhile."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace

import structlog
from redis.asyncio import Redis

from server.errors import (
    GraphRejected,
    HostUnavailable,
    InvalidRequest,
    NotFound,
    RenderError,
    StoreUnavailable,
    VestigeError,
)
from server.frames import frames, kinds
from server.render.fleet.fleet import Fleet
from server.render.fleet.types import Claim, Verdict
from server.render.jobs.codec import error_json, needs_json
from server.render.jobs.jobs import Jobs
from server.render.worker.frames import Frames
from server.render.worker.held import Held
from server.render.worker.lease import Lost, Unwanted, kept
from server.render.worker.rendering import Renderer, Result
from server.render.worker.taking import LEASE_MS, Taken, Taker

__all__ = ["ATTEMPTS", "LOSSES", "Worker"]

ATTEMPTS = 4
"""How often a job may fail at hosts before it is put aside for a person to look at."""
LOSSES = 25
"""How often its host may die or vanish under it. Hosts do that by themselves, but a job may be what kills them."""
PATIENCE = 2
"""So often the host that has a job is asked for it again before another one begins anew."""
BACKOFF_MS = (1_000, 4_000, 15_000, 30_000)
STORE_MS = 5_000
LEAVE_SECONDS = 2.0
TAKEN_AWAY = 2
"""Whose job it was has been erased meanwhile."""
INSIST_SECONDS = (0.1, 0.5, 1.0, 2.0)

_log = structlog.get_logger(__name__)


class Worker:
    """One process' work. `name` is its own among all workers; times in milliseconds."""

    def __init__(
        self, jobs: Jobs, fleet: Fleet, renderer: Renderer, state: Redis, *, name: str, lease_ms: int = LEASE_MS
    ) -> None:
        self.name = name
        self.busy = 0
        self._jobs = jobs
        self._scripts = jobs.scripts
        self._fleet = fleet
        self._renderer = renderer
        self._state = state
        self._lease_ms = lease_ms
        self._taker = Taker(jobs.scripts, fleet, name, lease_ms=lease_ms)
        self._stopping = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """What a ticket asks for: renders what is next, then the next, until nothing can begin now."""
        while not self._stopping.is_set():
            try:
                taken = await self._taker.take()
            except StoreUnavailable as error:
                _log.warning("line_waits", reason=error.message)
                return  # the sweep says it again
            if taken is None:
                return
            if self._stopping.is_set():
                await self._leave(taken.held, taken.claim)
                return
            await self._jobs.queue.send(taken.held.line)  # somebody else may begin the one after
            await self._work(taken)

    async def drain(self, seconds: float) -> None:
        """Takes nothing more; what does not end within `seconds` is left on its host for another worker to find."""
        self._stopping.set()
        if self._working:
            await asyncio.wait(self._working, timeout=seconds)
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _work(self, taken: Taken) -> None:
        """In a task of its own, which `drain` may end while the thread that waits for it goes on."""
        task = asyncio.create_task(self._job(taken.held, taken.claim), name=taken.held.id)
        self._working.add(task)
        self.busy += 1
        try:
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error(
                    "job_left", job=taken.held.id, error=kinds(error), frames=frames(error)
                )  # its lease runs out
        finally:
            self.busy -= 1
            self._working.discard(task)

    async def _job(self, held: Held, claim: Claim | None) -> None:
        with structlog.contextvars.bound_contextvars(job=held.id, host=held.host or None):
            if claim is None:
                await self._unwanted(held)
                return
            shown = Frames(self._state, held.id)
            try:
                async with self._fleet.holding(claim), kept(self._scripts, held, self._lease_ms):
                    result = await self._renderer.stored(held) or await self._renderer.render(held, claim, shown)
                    await self._done(held, result)
                await self._release(claim, seconds=result.seconds, prompt_id=held.prompt_id)
            except Lost:
                _log.warning("job_lost")
                await self._release(claim)
            except Unwanted:
                await self._unwanted(held)
                await self._release(claim)
            except asyncio.CancelledError:
                await self._leave(held, claim)
                raise
            except Exception as error:  # whatever it is, the job must not be lost with it
                await self._failed(held, claim, error)
            finally:
                await shown.close()

    async def _done(self, held: Held, result: Result) -> None:
        seconds = "" if result.seconds is None else f"{result.seconds:.3f}"
        measure = f"{held.order.width * held.order.height / 1e6:.1f} MP"
        said = await self._insist("done", held.id, held.fence, result.preview, seconds, measure)
        if said == TAKEN_AWAY:
            await self._renderer.remove(held)
        elif not said:
            raise Lost
        held.over = True
        _log.info("job_done", line=held.line, seconds=result.seconds, attempts=held.attempts, losses=held.losses)
        for host, prompt_id in held.stale:
            await self._renderer.drop(host, prompt_id)

    async def _unwanted(self, held: Held) -> None:
        for host, prompt_id in (*held.stale, (held.host, held.prompt_id)):
            await self._renderer.drop(host, prompt_id)
        ended = await self._insist("fail", held.id, held.fence, "cancelled", "")
        if ended:  # it may have been stored already, with a person's words in its record
            with suppress(StoreUnavailable):  # the collector finds it
                await self._renderer.remove(held)
        _log.info("job_cancelled" if ended else "job_wanted_again")

    async def _leave(self, held: Held, claim: Claim | None) -> None:
        """Gives the job to whoever comes next; its render goes on. Without an answer from Redis the lease runs out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._insist("back", held.id, held.fence, 0, "keep", "", "", "")
                if claim is not None:
                    await self._release(claim)

    async def _release(
        self,
        claim: Claim,
        *,
        seconds: float | None = None,
        prompt_id: str | None = None,
        error: VestigeError | None = None,
    ) -> Verdict:
        """Where Redis does not answer the claim runs out by itself."""
        try:
            return await self._fleet.release(claim, seconds=seconds, prompt_id=prompt_id, error=error)
        except StoreUnavailable:
            return Verdict(again=True)

    async def _failed(self, held: Held, claim: Claim, error: Exception) -> None:
        """Tries again what may go well another time; gives up what cannot."""
        known = error if isinstance(error, VestigeError) else None
        if known is None:
            _log.error("job_broke", error=kinds(error), frames=frames(error))
        written = error_json(known.code, known.message) if known else error_json("internal", _BROKE)
        if isinstance(error, StoreUnavailable):  # the host has the picture, and there will be room for it
            await self._release(claim)
            _log.warning("job_waits_for_store", reason=error.message)
            await self._insist("back", held.id, held.fence, STORE_MS, "keep", "", written, "")
            return
        verdict = await self._release(claim, error=error if isinstance(error, RenderError) else None)
        again = verdict.again and not isinstance(error, GraphRejected | InvalidRequest | NotFound)
        lost = isinstance(error, HostUnavailable)
        count, tries, most = ("losses", held.losses, LOSSES) if lost else ("attempts", held.attempts, ATTEMPTS)
        most = most if verdict.times is None else min(most, verdict.times + 1)
        _log.warning("job_failed", code=known.code if known else "internal", again=again, count=count, before=tries)
        if not again or tries + 1 >= most:
            await self._insist("fail", held.id, held.fence, "dead" if again else "failed", written)
            return
        needs = ""
        if verdict.elsewhere and held.host not in held.order.needs.avoid:
            needs = needs_json(replace(held.order.needs, avoid=(*held.order.needs.avoid, held.host)))
        kept_there = "drop" if not lost else "keep" if tries < PATIENCE else "loose"
        wait = BACKOFF_MS[min(tries, len(BACKOFF_MS) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 - it is no secret
        await self._insist("back", held.id, held.fence, round(wait), kept_there, count, written, needs)

    async def _insist(self, name: str, *args: str | int) -> int:
        """A step that must be taken, until Redis has taken it. 0: the job is another's by now."""
        tries = 0
        while True:
            try:
                return int(await self._scripts.run(name, *args))
            except StoreUnavailable as error:
                if tries == 0:
                    _log.warning("job_waits_for_store", step=name, reason=error.message)
            await asyncio.sleep(INSIST_SECONDS[min(tries, len(INSIST_SECONDS) - 1)])
            tries += 1


_BROKE = "Something went wrong inside the worker; its log says what."
