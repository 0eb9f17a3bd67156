"""Takes away the pictures that nothing points to any more: an item that is gone, a look or LoRA that is another now."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from redis.asyncio import Redis

from server.catalog.records import Viewer
from server.errors import InvalidRequest, NotFound
from server.render.graphs.key import unverified
from server.render.jobs.scripts import STORE, key
from server.render.previews import places
from server.render.previews.shelf import Shelf
from server.render.previews.subject import Subjects
from server.render.previews.types import Person, Preview
from server.stores.errors import store_errors
from server.stores.objects import Objects

__all__ = ["Collected", "Collector", "Pinned"]

Pinned = Callable[[Collection[str]], Awaitable[set[str]]]
"""Which of these keys a conversation still shows."""

PAGE = 200
HALF_MADE = timedelta(days=1)
"""A picture is stored a moment before Redis knows of it."""

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """Previews and stray files looked at, those that nothing points to, and their bytes."""

    looked_at: int
    unused: int
    bytes: int


class Collector:
    """Collects for all tenants. `pinned`: None where no conversation shows pictures."""

    def __init__(
        self, state: Redis, shelf: Shelf, subjects: Subjects, objects: Objects, pinned: Pinned | None, *, days: int
    ) -> None:
        self._state = state
        self._shelf = shelf
        self._subjects = subjects
        self._objects = objects
        self._pinned = pinned
        self._keep = timedelta(days=days)

    async def collect(self, *, dry_run: bool) -> Collected:
        """Looks at everything that is older than what is kept in any case.

        Raises:
            StoreUnavailable: a store does not answer; what was found so far is gone.
            HostUnavailable: no host was ever seen, so nobody knows what is current.
        """
        looked_at, unused, size = 0, 0, 0
        with store_errors(STORE):
            tenants = sorted(str(name) for name in await self._state.smembers(key("tenants")))
        for tenant in tenants:
            for keys in _pages(await self._old(tenant)):
                looked_at += len(keys)
                gone = await self._unused(tenant, keys)
                unused += len(gone)
                for one in gone:
                    size += await self._shelf.size(one.folder)
                if not dry_run:
                    await self._shelf.remove(tenant, [one.key for one in gone])
        strays = await self._strays()
        for one in strays:
            size += await self._shelf.size(one)
            if not dry_run:
                await self._shelf.remove_files(one)
        collected = Collected(looked_at + len(strays), unused + len(strays), size)
        _log.info("previews_collected", looked_at=collected.looked_at, unused=collected.unused, dry_run=dry_run)
        return collected

    async def _old(self, tenant: str) -> list[str]:
        before = (datetime.now(UTC) - self._keep).timestamp() * 1000
        with store_errors(STORE):
            found = await self._state.zrangebyscore(key("previews", tenant), "-inf", before)
        return [str(one) for one in found]

    async def _unused(self, tenant: str, keys: list[str]) -> list[Preview]:
        shown = await self._pinned(keys) if self._pinned is not None else set[str]()
        found = await self._shelf.all(tenant, [one for one in keys if one not in shown])
        return [preview for preview in found.values() if not await self._is_current(tenant, preview)]

    async def _is_current(self, tenant: str, preview: Preview) -> bool:
        """Whether a character would be shown with this very picture today."""
        owner = preview.owner
        person, viewer = Person(tenant, owner, "", "", admin=True), Viewer(owner, admin=True)
        for character, item in await self._shelf.pairs(tenant, preview):
            try:
                pair = await self._subjects.pair(tenant, character, item, viewer)
                subject = await self._subjects.subject(pair, person)
            except (NotFound, InvalidRequest):
                continue
            # a file whose hash no host tells just now may be the one that it was: when in doubt it stays
            if subject.key == preview.key or unverified(subject.graph, subject.hashes):
                return True
        return False

    async def _strays(self) -> list[str]:
        """Folders that no preview leads to: a worker was killed, or somebody was erased, in between."""
        before = datetime.now(UTC) - HALF_MADE
        seen = {
            places.key_and_job(stored.path)
            async for stored in self._objects.list("previews")
            if stored.modified < before
        }
        strays: list[str] = []
        for folders in _pages(sorted(seen)):
            strays += await self._shelf.left(folders)
        return strays


def _pages(found: list[_T]) -> list[list[_T]]:
    return [found[at : at + PAGE] for at in range(0, len(found), PAGE)]
