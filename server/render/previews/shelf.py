"""The previews that are there, those that are on their way, and those that failed."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from server.errors import NotFound
from server.render.forgetting.things import of_record
from server.render.forgetting.todo import Todo
from server.render.jobs.jobs import Jobs
from server.render.jobs.scripts import STORE, key
from server.render.jobs.types import Job
from server.render.previews import places
from server.render.previews.types import Preview, PreviewState
from server.stores.errors import store_errors
from server.stores.objects import Objects

__all__ = ["Shelf", "Wanted", "as_asked", "of_job", "ready"]


START_FRAMES = 8
"""Sizes of one picture that are kept."""
_NOTED = 50_000
_PAGE = 500
MAX_RECORD = 4 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A preview that is asked about."""

    key: str
    character: str
    item: str | None
    owner: str | None = None
    made_with: str | Mapping[str, Any] | None = None


class Shelf:
    """Reads and removes previews. Every method may raise `StoreUnavailable`."""

    def __init__(self, state: Redis, jobs: Jobs, objects: Objects, todo: Todo) -> None:
        self._state = state
        self._jobs = jobs
        self._objects = objects
        self._todo = todo
        self._noted: set[tuple[str, str]] = set()

    async def find(self, tenant: str, key_: str) -> Preview | None:
        """One that is ready; None where there is none."""
        with store_errors(STORE):
            raw = await self._state.get(key("preview", tenant, key_))
        return None if raw is None else ready(str(raw))

    async def all(self, tenant: str, keys: Sequence[str]) -> dict[str, Preview]:
        """Those that are ready, on their way or failed lately, by key, in two round trips; a third where one became
        ready meanwhile."""
        if not keys:
            return {}
        with store_errors(STORE):
            raws = await self._state.mget(
                [key(kind, tenant, one) for kind in ("preview", "key", "failed") for one in keys]
            )
        there, underway, failed = (raws[at : at + len(keys)] for at in range(0, len(raws), len(keys)))
        pictures = {one: ready(str(raw)) for one, raw in zip(keys, there, strict=True) if raw}
        ids = [now or before for one, now, before in zip(keys, underway, failed, strict=True) if one not in pictures]
        jobs = await self._jobs.look([str(id) for id in ids if id])
        found = {job.key: of_job(job) for job in jobs if job is not None} | pictures
        done = [job.key for job in jobs if job is not None and job.state == "done"]
        return found | await self._made_meanwhile(tenant, done)

    async def _made_meanwhile(self, tenant: str, keys: Sequence[str]) -> dict[str, Preview]:
        if not keys:
            return {}
        with store_errors(STORE):
            raws = await self._state.mget([key("preview", tenant, one) for one in keys])
        return {one: ready(str(raw)) for one, raw in zip(keys, raws, strict=True) if raw}

    async def states(self, tenant: str, wanted: Sequence[Wanted]) -> list[Preview]:
        """Each as it is now; those that nobody asked for are `none`."""
        found = await self.all(tenant, [one.key for one in wanted])
        return [as_asked(found.get(one.key), one) for one in wanted]

    async def also(self, tenant: str, there: Preview, wanted: Wanted) -> Preview:
        """The same picture as that of another pair; noted, so that it stays as long as either shows it."""
        pair = f"{wanted.character}/{wanted.item or ''}"
        if (there.character, there.item) != (wanted.character, wanted.item) and (wanted.key, pair) not in self._noted:
            with store_errors(STORE):
                await self._state.sadd(key("also", tenant, wanted.key), pair)
            self._noted.add((wanted.key, pair))
            if len(self._noted) > _NOTED:
                self._noted.clear()
        return as_asked(there, wanted)

    async def pairs(self, tenant: str, preview: Preview) -> list[tuple[str, str | None]]:
        """Every `(character, item)` that was shown with this picture."""
        with store_errors(STORE):
            also = await self._state.smembers(key("also", tenant, preview.key))
        others = [str(pair).partition("/") for pair in also]
        return [(preview.character, preview.item), *((character, item or None) for character, _, item in others)]

    async def keys(self, tenant: str) -> list[str]:
        """All that are ready, the oldest first."""
        with store_errors(STORE):
            return [str(one) for one in await self._state.zrange(key("previews", tenant), 0, -1)]

    async def elsewhere(self, tenant: str, key_: str) -> Preview | None:
        """The very same picture at another tenant's."""
        with store_errors(STORE):
            names = {str(name) for name in await self._state.smembers(key("tenants"))} - {tenant}
            raws = await self._state.mget([key("preview", name, key_) for name in sorted(names)]) if names else []
        return next((ready(str(raw)) for raw in raws if raw), None)

    async def remove(self, tenant: str, keys: Collection[str]) -> None:
        """Takes previews away: in one step what leads to them, then the files that it led to and no others."""
        for one in keys:
            with store_errors(STORE):
                async with self._state.pipeline(transaction=True) as pipe:
                    pipe.getdel(key("preview", tenant, one))
                    pipe.delete(key("failed", tenant, one), key("also", tenant, one))
                    pipe.zrem(key("previews", tenant), one)
                    raw, *_ = await pipe.execute()
            if raw:
                await self.remove_files(ready(str(raw)).folder)

    async def left(self, folders: Collection[tuple[str, str]]) -> list[str]:
        """Those of these folders, by key and job, that no preview leads to and none will: their jobs are over."""
        jobs = await self._jobs.look([job for _, job in folders])
        over = [at for at, job in zip(folders, jobs, strict=True) if job is None or job.is_over]
        led_to: set[str] = set()
        with store_errors(STORE):  # only now: what a job led to before it was over is seen
            for tenant in await self._state.smembers(key("tenants")) if over else ():
                raws = await self._state.mget([key("preview", str(tenant), one) for one, _ in over])
                led_to |= {ready(str(raw)).folder for raw in raws if raw}
        return [at for at in (places.folder(one, job) for one, job in over) if at not in led_to]

    async def size(self, folder: str) -> int:
        """The bytes of all that lies in a preview's folder in the object store."""
        return sum([stored.size async for stored in self._objects.list(folder)])

    async def trim_start_frames(self, folder: str, newest: str) -> None:
        """Keeps the last few start frames of a picture, and `newest` among them: anybody may ask for any size."""
        frames = [stored async for stored in self._objects.list(folder) if places.is_start_frame(stored.path)]
        frames.sort(key=lambda stored: (stored.path == newest, stored.modified))
        for stored in frames[:-START_FRAMES]:
            await self._objects.delete(stored.path)

    async def owned(self, tenant: str, user: str) -> list[Preview]:
        """One person's private previews."""
        found: list[Preview] = []
        keys = await self.keys(tenant)
        for at in range(0, len(keys), _PAGE):
            page = await self.all(tenant, keys[at : at + _PAGE])
            found += [preview for preview in page.values() if preview.owner == user]
        return found

    async def remove_files(self, folder: str) -> None:
        """Everything that lies in a preview's folder, and what the host that made it has left of it. Of the files the
        record goes first, for without it nothing counts."""
        await self._leave_host(folder)
        paths = [stored.path async for stored in self._objects.list(folder)]
        paths.sort(key=lambda path: path != places.record(folder))
        for path in paths:
            await self._objects.delete(path)

    async def _leave_host(self, folder: str) -> None:
        """Notes for the host that made it to forget it, as long as the record still says which that was."""
        try:
            record = json.loads(await self._objects.get(places.record(folder), most=MAX_RECORD))
        except (NotFound, ValueError):
            return
        place = of_record(record)
        if place is not None:
            await self._todo.add(*place)


def ready(raw: str) -> Preview:
    """A preview as the worker wrote it."""
    found = json.loads(raw)
    return Preview(
        key=found["key"],
        state="ready",
        character=found["character"],
        item=found["item"],
        url=f"/v1/previews/{found['key']}/picture",
        folder=places.folder(found["key"], found["job"]),
        width=found["width"],
        height=found["height"],
        created=datetime.fromisoformat(found["created"]),
        made_with=found["made_with"],
        owner=found["owner"],
    )


def as_asked(found: Preview | None, wanted: Wanted) -> Preview:
    """As it is asked about: two pairs that come to the same picture share it, and each has its own name for it."""
    if found is None:
        made_with, owner = wanted.made_with, wanted.owner
        return Preview(wanted.key, "none", wanted.character, wanted.item, made_with=made_with, owner=owner)
    return replace(found, character=wanted.character, item=wanted.item)


def of_job(job: Job) -> Preview:
    """A preview that a job makes, or could not make."""
    state: PreviewState = "running" if job.state == "running" else "waiting" if job.state == "waiting" else "failed"
    if job.state in ("cancelled", "done"):  # cancelled: as if nobody had asked; done: the picture was thrown away since
        state = "none"
    return Preview(job.key, state, job.character, job.item, owner=job.owner, job=job if state != "none" else None)
