"""The door to jobs: asking, looking, cancelling, replaying. Workers have another (`server.render.worker`)."""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from server.errors import Conflict, NotFound, TooManyWaiting
from server.render.jobs.codec import fields_of, seen
from server.render.jobs.follow import Hub
from server.render.jobs.queue import Queue
from server.render.jobs.scripts import STORE, Scripts, key
from server.render.jobs.types import ENDED, Job, JobEvent, JobState, Line, Order
from server.stores.errors import store_errors

__all__ = ["Asked", "Jobs", "new_job_id"]

_RETRY_SECONDS = 10
_NO_JOB = "There is no such job, or it ended long ago."


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of an ask. `ready`: its picture is there already. `none`: there is no job to join. `job` is None for
    both. `made`: nobody had asked.
    """

    outcome: Literal["ready", "none", "made", "joined", "raised"]
    job: Job | None


def new_job_id() -> str:
    """A fresh id, which the money is put aside under before there is a job."""
    return f"job-{secrets.token_hex(10)}"


class Jobs:
    """All jobs, of all tenants. Every method raises `StoreUnavailable` where Redis does not answer."""

    def __init__(self, state: Redis, queue: Queue, hub: Hub, *, waiting_most: int = 0) -> None:
        self.scripts = Scripts(state)
        self.queue = queue
        self._state = state
        self._hub = hub
        self._waiting_most = waiting_most

    async def ask(self, order: Order, *, line: Line, id: str | None = None, price: int = 0) -> Asked:
        """The job that renders `order.key`: the one that is on its way, or a new one.

        Args:
            id: of the job, if one is made; `price` is what was put aside under it, in micro-dollars.

        Raises:
            TooManyWaiting: the person waits for as many as one may.
        """
        id = id or new_job_id()
        return await self._ask(id, order.tenant, order.key, order.user, line, fields_of(order, price))

    async def join(self, tenant: str, key: str, user: str | None, line: Line) -> Asked:
        """The job that is on its way for a key, with one more who waits for it; `none` where there is no such job."""
        return await self._ask("", tenant, key, user, line, ())

    async def _ask(self, id: str, tenant: str, key: str, user: str | None, line: Line, fields: Sequence[str]) -> Asked:
        """`fields`: of a new job; none where one is only joined."""
        asker, make = user if line == "user" and user else "", "1" if fields else ""
        outcome, found = await self.scripts.run(
            "ask", id, tenant, key, asker, line, self._waiting_most or "", make, *fields
        )
        if outcome == "full":
            raise TooManyWaiting(
                f"{self._waiting_most} pictures of yours are on their way: wait for one of them, or cancel one.",
                retry_after=_RETRY_SECONDS,
            )
        if outcome in ("ready", "none"):
            return Asked(outcome, None)
        if outcome != "joined":
            await self.queue.send(line)
        return Asked(outcome, await self.get(found))

    async def get(self, id: str) -> Job:
        """One job. Raises `NotFound`."""
        (job,) = await self.look([id])
        if job is None:
            raise NotFound(_NO_JOB, field="job_id")
        return job

    async def look(self, ids: Sequence[str]) -> list[Job | None]:
        """Several jobs at once; None where there is none."""
        return seen(await self.scripts.run("look", *ids)) if ids else []

    def follow(self, id: str, after: str | None = None) -> AsyncIterator[JobEvent]:
        """What happens to a job, to its end. `after`: the id of the last event that was seen.

        Raises:
            NotFound: there is no such job.
        """
        return self._hub.follow(self, id, after)

    async def cancel(self, id: str, asker: str | None, *, anyway: bool = False) -> Job:
        """Takes an asker off a job; the last one's going ends it. `anyway` ends it whoever else waits for it.

        Raises:
            NotFound: there is no such job.
        """
        outcome = await self.scripts.run("cancel", id, asker or "", "1" if anyway else "", "")
        if outcome == "stopping":
            await self.queue.send("user")
        return await self.get(id)

    async def replay(self, id: str, asker: str | None = None) -> Job:
        """Tries a job that failed again, from the beginning; it costs nothing more.

        Raises:
            NotFound: there is no such job.
            Conflict: it is on its way, its picture is there, or another job makes it.
        """
        outcome = await self.scripts.run("replay", id, asker or "")
        if outcome == "gone":
            raise NotFound(_NO_JOB, field="job_id")
        if outcome != "replayed":
            raise Conflict(_NOT_AGAIN[outcome], reason=outcome)
        job = await self.get(id)
        await self.queue.send(job.line)
        return job

    async def discard(self, ids: Sequence[str]) -> int:
        """Takes jobs away with everything that is known of them, and what they made. How many."""
        count = int(await self.scripts.run("discard", *ids)) if ids else 0
        if count:
            await self.queue.send("user")  # a worker may have to take them off a host
        return count

    async def erase(self, tenant: str, user: str) -> set[str]:
        """Takes away everything that is known of a person: jobs of theirs, and that they wait for others. Keys of the
        jobs that went."""
        with store_errors(STORE):
            waits_for = [str(id) for id in await self._state.smembers(key("of", f"{tenant}/{user}"))]
        gone: set[str] = set()
        for ids in _pages(await self._ids(None)):
            jobs = [job for job in await self.look(ids) if job is not None and job.tenant == tenant]
            theirs = [job for job in jobs if job.owner == user or (job.user == user and job.is_over)]
            await self.discard([job.id for job in theirs])
            gone |= {job.key for job in theirs if job.owner == user}
        for id in waits_for:
            await self.scripts.run("cancel", id, user, "", "1")
        return gone

    async def listing(self, state: JobState | None, *, tenant: str | None = None, limit: int = 100) -> list[Job]:
        """The newest jobs, of one state or all, and of one tenant or all."""
        listed: list[Job] = []
        for ids in _pages(await self._ids(state)):
            found = await self.look(ids)
            listed += [job for job in found if job is not None and tenant in (None, job.tenant)]
            if len(listed) >= limit:
                break
        return listed[:limit]

    async def _ids(self, state: JobState | None) -> list[str]:
        """The newest first."""
        states: Sequence[JobState] = [state] if state else ["running", "waiting", "dead", "failed", "cancelled", "done"]
        with store_errors(STORE):
            async with self._state.pipeline(transaction=False) as pipe:
                for one in states:
                    pipe.zrevrange(key("state", one), 0, -1)
                found = await pipe.execute()
        return [str(id) for ids in found for id in ids]

    async def counts(self) -> dict[tuple[Line, JobState], int]:
        """How many wait in each line, run, and are kept of those that ended."""
        names: list[tuple[Line, JobState]] = [("user", "waiting"), ("prerender", "waiting")]
        states: list[JobState] = ["running", *sorted(ENDED)]
        with store_errors(STORE):
            async with self._state.pipeline(transaction=False) as pipe:
                for line, _ in names:
                    pipe.zcard(key("line", line))
                for state in states:
                    pipe.zcard(key("state", state))
                numbers = await pipe.execute()
        everything: list[tuple[Line, JobState]] = [*names, *(("user", state) for state in states)]
        return dict(zip(everything, map(int, numbers), strict=True))


_PAGE = 200
_NOT_AGAIN = {
    "alive": "The job is on its way already.",
    "ready": "The picture is there already.",
    "replaced": "Another job makes this picture already.",
    "spent": "What the job was to render is not kept any more: ask for the picture again.",
}


def _pages(ids: list[str]) -> list[list[str]]:
    return [ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)]
