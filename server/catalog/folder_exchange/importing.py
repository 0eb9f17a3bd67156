"""Bringing a document in: everything is looked at first, then all of it is written in one step."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from redis.asyncio import Redis

from server.catalog.folder_exchange.documents import (
    ItemDocument,
    LookDocument,
    Problem,
    item_problems,
    look_problems,
)
from server.catalog.items.codec import decode_item
from server.catalog.items.items import Items
from server.catalog.items.model import Item
from server.catalog.items.writing import Change, Changed, item_change, write
from server.catalog.keys import Keys
from server.catalog.looks.looks import Looks, check_names, decode_look, look_change
from server.catalog.records import Viewer
from server.catalog.scripts import STORE, Scripts
from server.errors import Conflict, InvalidRequest, NotFound
from server.stores.errors import store_errors

__all__ = ["Imported", "Importer", "NamesOf"]

NamesOf = Callable[[str], Awaitable[Sequence[str]]]
"""A character's id → what people call it; `NotFound` where there is no such character."""

_TRIES = 5
_TOLD = 20
_LOOKUPS = 16  # at a time, at the object store


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do. With `problems` it did nothing."""

    created: Sequence[str]
    changed: Sequence[str]
    unchanged: Sequence[str]
    problems: Sequence[Problem]


@dataclass(slots=True)
class _Plan:
    created: list[str]
    changed: list[str]
    unchanged: list[str]
    changes: list[Change]
    problems: list[Problem]


class Importer:
    """Imports into one tenant's shop."""

    def __init__(
        self, state: Redis, items: Items, looks: Looks, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._looks = looks
        self._scripts = Scripts(state)
        self._items = items
        self._clock = clock

    async def run(
        self,
        tenant: str,
        viewer: Viewer,
        items: Mapping[str, Any],
        looks: Mapping[str, Any],
        names_of: NamesOf,
        *,
        dry: bool,
    ) -> Imported:
        """Makes the shop's items and the looks of `items` and `looks` (by id) what they say; others stay as they are.

        `dry`: only looks whether it could be done, pictures aside: they may still have to be uploaded.

        Raises:
            Conflict: the catalog is changed by others all the time.
            TooLarge: the shop would have too many items.
            StoreUnavailable: the store does not answer; all was written, or nothing.
        """
        for _ in range(_TRIES):
            plan = await self._plan(tenant, viewer, items, looks, names_of, pictures=not dry)
            if not plan.problems and not dry and plan.changes:
                try:
                    await write(self._scripts, tenant, plan.changes)
                except Changed:
                    continue
                await self._tell(tenant, plan.changes)
            if plan.problems:
                return Imported((), (), (), plan.problems)
            return Imported(plan.created, plan.changed, plan.unchanged, ())
        raise Conflict("The catalog is being changed by others all the time: try again.")

    async def _tell(self, tenant: str, changes: Sequence[Change]) -> None:
        """Whoever follows items and looks hears of a few; after a whole shop pictures would be made for hours."""
        for change in changes if len(changes) <= _TOLD else ():
            if change.key == Keys(tenant).looks:
                await self._looks.told(tenant, decode_look(change.id, change.now))
            else:
                await self._items.told(tenant, decode_item(change.id, change.now))

    async def _plan(
        self,
        tenant: str,
        viewer: Viewer,
        items: Mapping[str, Any],
        looks: Mapping[str, Any],
        names_of: NamesOf,
        *,
        pictures: bool,
    ) -> _Plan:
        plan = _Plan([], [], [], [], [])
        keys = Keys(tenant)
        was, gone = await self._records(keys.items, list(items)), await self._gone(keys, list(items))
        read = {id: item_problems(id, data) for id, data in items.items()}
        unknown = await self._unknown(tenant, viewer, read, was) if pictures else {}
        for id, (document, problems) in read.items():
            where = f"items/{id}"[:120]
            if id in gone:
                problems.append(Problem(where=where, problem="An item of this id was deleted: give it another id."))
            if document is None or problems:
                plan.problems += problems
                continue
            before = was.get(id, "")
            if before and decode_item(id, before).owner is not None:
                plan.problems.append(Problem(where=where, problem="This is the id of somebody's own upload."))
                continue
            if document.reference in unknown:
                plan.problems.append(Problem(where=where, problem=unknown[document.reference]))
                continue
            _put(plan, where, before, self._item_change(tenant, id, before, document))
        looked = await self._records(keys.looks, list(looks))
        for character, data in looks.items():
            look, problems = look_problems(character, data)
            where = f"looks/{character}"[:120]
            if look is not None:
                problems += await _name_problems(where, character, look, names_of)
            if look is None or problems:
                plan.problems += problems
                continue
            before = looked.get(character, "")
            change = look_change(tenant, character, before, look)
            _put(plan, where, before, None if change.now == before else change)
        return plan

    async def _unknown(
        self,
        tenant: str,
        viewer: Viewer,
        read: Mapping[str, tuple[ItemDocument | None, list[Problem]]],
        was: Mapping[str, str],
    ) -> Mapping[str | None, str]:
        """The references that cannot be used, and why. One that an item shows already is good where it is."""
        shown = {id: decode_item(id, raw).reference for id, raw in was.items()}
        given = {id: document.reference for id, (document, _) in read.items() if document is not None}
        asked = {reference for id, reference in given.items() if reference != shown.get(id)}
        wrong: dict[str | None, str] = {}
        at_once = asyncio.Semaphore(_LOOKUPS)

        async def check(reference: str | None) -> None:
            async with at_once:
                try:
                    await self._items.check_reference(tenant, reference, viewer)
                except InvalidRequest as error:
                    wrong[reference] = error.message

        await asyncio.gather(*map(check, asked))
        return wrong

    def _item_change(self, tenant: str, id: str, before: str, document: ItemDocument) -> Change | None:
        """None where nothing changes."""
        now = self._clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        fields = {name: getattr(document, name) for name in ItemDocument.model_fields}
        if not before:
            return item_change(tenant, id, "", Item(id=id, owner=None, created=now, modified=now, **fields))
        there = decode_item(id, before)
        if replace(there, **fields) == there:
            return None
        return item_change(tenant, id, before, replace(there, **fields, modified=now))

    async def _records(self, key: str, ids: Sequence[str]) -> dict[str, str]:
        if not ids:
            return {}
        with store_errors(STORE):
            raws = cast(list[str | None], await self._state.hmget(key, list(ids)))
        return {id: raw for id, raw in zip(ids, raws, strict=True) if raw is not None}

    async def _gone(self, keys: Keys, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        with store_errors(STORE):
            flags = cast(list[int], await self._state.smismember(keys.gone, list(ids)))
        return {id for id, flag in zip(ids, flags, strict=True) if flag}


def _put(plan: _Plan, where: str, before: str, change: Change | None) -> None:
    if change is None:
        plan.unchanged.append(where)
        return
    (plan.changed if before else plan.created).append(where)
    plan.changes.append(change)


async def _name_problems(where: str, character: str, look: LookDocument, names_of: NamesOf) -> list[Problem]:
    try:
        check_names(look, await names_of(character))
    except NotFound:
        return [Problem(where=where, problem="There is no such character here: import its card first.")]
    except InvalidRequest as error:
        return [Problem(where=where, problem=error.message)]
    return []
