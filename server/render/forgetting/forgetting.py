"""Goes through what hosts are to forget until they have, and tells a person what is left."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, Gauge

from server.ending import end
from server.errors import HostUnavailable, RenderError
from server.render.fleet.fleet import Fleet
from server.render.fleet.state import FleetState
from server.render.forgetting.asking import DISK_SECONDS, ask
from server.render.forgetting.things import MEMORY, Things, about, reference
from server.render.forgetting.todo import Taken, Todo
from server.repeating import every

__all__ = ["Forgetting", "Left", "Wanted"]

BATCH = 200
AWAY_SECONDS = 5.0
"""A host that does not answer is asked again."""
FREE_SECONDS = 600.0
"""A host's memory is freed so often at most, whoever deletes pictures: its models have to be loaded again."""
ANSWER_SECONDS = 4.0
LOOK_SECONDS = 0.1
STEP_SECONDS = 1.0
STRANGERS_SECONDS = 60.0
SHOW_SECONDS = 5.0

_log = structlog.get_logger(__name__)

Wanted = Callable[[Collection[str]], Awaitable[set[str]]]
"""Which of these references somebody has (again): they stay."""


@dataclass(frozen=True, slots=True)
class Left:
    """How much of what was asked a host has still to forget, and why in a sentence."""

    host: str
    things: int
    why: str


class Forgetting:
    """The server's side of it. Any number of servers may do the same; every method raises `StoreUnavailable`."""

    def __init__(
        self, todo: Todo, fleet: Fleet, state: FleetState, wanted: Wanted, registry: CollectorRegistry
    ) -> None:
        self.todo = todo
        self._fleet = fleet
        self._state = state
        self._wanted = wanted
        self._gauge = Gauge(
            "vestige_host_to_forget",
            "Renders and references that a host has still to delete.",
            ("host",),
            registry=registry,
        )

    async def references(self, references: Collection[str]) -> None:
        """Notes references that are deleted here, for every host: an upload is known for a while only."""
        for host in self._fleet.names:
            things = [reference(one) for one in references]
            if await self._state.uploaded_any(host, [_upload(one) for one in references]):
                things.append(MEMORY)
            await self.todo.add(host, things)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Meanwhile every host is asked for what is due; one that is slow keeps no other waiting."""
        works = [every("forget", STEP_SECONDS, partial(self.step, name)) for name in self._fleet.names]
        works.append(every("forget_strangers", STRANGERS_SECONDS, self.strangers))
        works.append(every("forget_show", SHOW_SECONDS, self.show))
        tasks = [asyncio.create_task(work, name="forgetting") for work in works]
        try:
            yield
        finally:
            await end(tasks)

    async def step(self, name: str) -> None:
        """Has one host forget all that is due; what it cannot is put off."""
        while (taken := await self.todo.take(name, BATCH)).things:
            if taken.given_up:
                _log.error("forgetting_given_up", host=name, things=taken.given_up)
            if not await self._asked(name, taken):
                return

    async def strangers(self) -> None:
        """Drops what hosts were to forget that are in nobody's settings any more."""
        for host, things in (await self.todo.drop_strangers(self._fleet.names)).items():
            _log.warning("forgetting_dropped", host=host, things=things, reason="The settings do not have it any more.")

    async def stuck(self) -> Mapping[str, str]:
        """What stands in the way at hosts that could not forget something when it was last tried, in a sentence."""
        counts, why = await self.todo.counts(), await self.todo.why()
        return {
            host: f"{counts[host]} leftovers of renders or of people who were erased wait to be deleted there: {reason}"
            for host, reason in why.items()
            if counts.get(host)
        }

    async def show(self) -> None:
        """Sets the gauge."""
        counts = await self.todo.counts()
        for name in self._fleet.names:
            self._gauge.labels(name).set(counts.get(name, 0))

    async def left(self, keys: Collection[str], references: Collection[str]) -> list[Left]:
        """What hosts have still to forget of these, once all that answer had a moment to."""
        wanted, end = (frozenset(keys), frozenset(references)), time.monotonic() + ANSWER_SECONDS
        listed = (await self.todo.left()).items()
        things = {host: [text for text in texts if about(text, *wanted)] for host, texts in listed}
        while things := await self.todo.still(things):
            why = await self.todo.why()
            if time.monotonic() >= end or all(host in why or host not in self._fleet.names for host in things):
                return [Left(host, len(texts), self._why(host, why)) for host, texts in things.items()]
            await asyncio.sleep(LOOK_SECONDS)
        return []

    def _why(self, host: str, why: Mapping[str, str]) -> str:
        if host not in self._fleet.names:
            return f"{host} is not in the settings any more: what it has is its operator's to delete."
        return why.get(host, f"{host} has not done it yet.")

    async def _asked(self, name: str, taken: Taken) -> bool:
        """Whether it has forgotten all of it."""
        things = Things.of(taken.things)
        erased = things.memory
        wait = await self.todo.freed_for(name) if erased else 0.0
        things.memory = erased and not wait
        there = await self._wanted(set(things.references.values())) if things.references else set[str]()
        things.references = {text: one for text, one in things.references.items() if one not in there}
        uploads = [_upload(one) for one in things.references.values()]
        await self._state.forget_uploads(name, uploads)  # first: what is uploaded from now on is known again
        try:
            answer = await ask(self._fleet.host(name), things, spared=await self._last(name, erased=erased))
        except HostUnavailable as error:
            await self.todo.later(name, taken, taken.things, AWAY_SECONDS, error.message)
            return False
        except RenderError as error:
            await self.todo.later(name, taken, taken.things, DISK_SECONDS, error.message)
            return False
        await self._state.forget_uploads(name, uploads)  # and of what came in between nobody knows where it is
        if things.memory:
            await self.todo.freed(name, FREE_SECONDS)
            await self._state.note(name, {"tail": "[]"})
        if wait:
            answer.keep(MEMORY, wait, "")
        for seconds, why in sorted(set(answer.kept.values())):
            kept = [text for text, reason in answer.kept.items() if reason == (seconds, why)]
            await self.todo.later(name, taken, kept, seconds, why)
        await self.todo.done(name, taken, [text for text in taken.things if text not in answer.kept])
        return not answer.kept

    async def _last(self, name: str, *, erased: bool) -> str | None:
        """The render by which a restart of a host without our pack is noticed; None where it is to go as well."""
        record = (await self._state.snapshot([name])).hosts[name]
        if record.last is None or (record.seen is not None and record.seen.process is not None):
            return None
        if erased:
            await self._state.note(name, {"last": ""})
            return None
        return record.last


def _upload(sha256: str) -> str:
    return f"vestige/{sha256}.png"
