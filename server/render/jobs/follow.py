"""Following jobs: one subscription per process wakes everyone who waits; what happened is read from the streams."""

import asyncio
import base64
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from server.ending import end
from server.errors import StoreUnavailable
from server.render.jobs.scripts import STORE, key
from server.render.jobs.types import Job, JobEvent, JobState
from server.stores.errors import store_errors

if TYPE_CHECKING:
    from server.render.jobs.jobs import Jobs

__all__ = ["Hub", "open_hub"]

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""A place in line changes without an event of the job itself, and a subscription may miss some."""
RECONNECT_SECONDS = 0.5
_PAGE = 256
Kind = Literal["job", "done", "failed", "cancelled"]


class Hub:
    """Wakes those who follow a job in this process."""

    def __init__(self, state: Redis) -> None:
        self._state = state
        self._followers: dict[str, set[_Follower]] = defaultdict(set)

    async def run(self) -> None:
        """Listens until cancelled. While the store does not answer, followers look by themselves."""
        while True:
            with suppress(RedisError, OSError):
                async with self._state.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(key("told"), key("frames"))
                    await self._listen(pubsub)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def follow(self, jobs: "Jobs", id: str, after: str | None = None) -> AsyncIterator[JobEvent]:
        """See `Jobs.follow`."""
        follower = _Follower()
        self._followers[id].add(follower)
        try:
            job = await jobs.get(id)
            at = after or await self._last(id)
            if after is None or job.is_over:
                yield JobEvent(_kind(job), job, at)
            while not job.is_over:
                await follower.wait(LOOK_SECONDS)
                if follower.frame is not None and job.state == "running":
                    frame, follower.frame = follower.frame, None
                    yield JobEvent("frame", job, None, frame)
                before = job
                try:
                    events = await self._since(id, at)
                    job = await jobs.get(id)
                except StoreUnavailable:
                    continue  # it comes back, and the job with it
                for at, kind, state, share in events:
                    if kind == "job" and not (job.is_over and state == job.state):
                        yield JobEvent("job", replace(job, state=state, share=share), at)
                if job.is_over:
                    yield JobEvent(_kind(job), job, at)
                elif not events and (job.position, job.waiting, job.line) != (
                    before.position,
                    before.waiting,
                    before.line,
                ):
                    yield JobEvent("job", job, None)
        finally:
            self._followers[id].discard(follower)
            if not self._followers[id]:
                del self._followers[id]

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=LOOK_SECONDS)
            if message is None:
                continue
            if message["channel"] == key("told"):
                for follower in self._followers.get(message["data"], ()):
                    follower.wake()
            else:
                id, _, frame = message["data"].partition(" ")
                if id in self._followers:
                    picture = base64.b64decode(frame)
                    for follower in self._followers[id]:
                        follower.show(picture)

    async def _last(self, id: str) -> str:
        with store_errors(STORE):
            newest = await self._state.xrevrange(key("events", id), count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def _since(self, id: str, after: str) -> list[tuple[str, str, JobState, float]]:
        with store_errors(STORE):
            found = await self._state.xrange(key("events", id), min=f"({after}", count=_PAGE)
        entries = cast(list[tuple[str, dict[str, str]]], found)
        return [
            (str(at), fields["kind"], cast(JobState, fields["state"]), float(fields["share"])) for at, fields in entries
        ]


class _Follower:
    """Somebody who waits. `frame`: the newest live preview they have not seen."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.frame: bytes | None = None

    def wake(self) -> None:
        self._woken.set()

    def show(self, frame: bytes) -> None:
        self.frame = frame
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()


@asynccontextmanager
async def open_hub(state: Redis) -> AsyncIterator[Hub]:
    """A hub that listens until left."""
    hub = Hub(state)
    listening = asyncio.create_task(hub.run(), name="jobs-hub")
    try:
        yield hub
    finally:
        await end([listening])


def _kind(job: Job) -> Kind:
    if not job.is_over:
        return "job"
    return "failed" if job.state == "dead" else cast(Kind, job.state)
