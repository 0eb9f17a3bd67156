"""The items of all tenants, in the state Redis: what servers and workers see alike."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import structlog
from redis.asyncio import Redis

from server.catalog.etags import matches
from server.catalog.items import limits
from server.catalog.items.codec import decode_item
from server.catalog.items.drafts import ItemChanges, ItemDraft
from server.catalog.items.model import Item, ItemPage, OnItem
from server.catalog.items.writing import Changed, item_change, write
from server.catalog.keys import REFERENCES, Keys
from server.catalog.places import check_place, id_at
from server.catalog.records import Viewer
from server.catalog.scripts import STORE, Scripts
from server.errors import Conflict, Forbidden, InvalidRequest, NotFound, VestigeError
from server.ids import check_slug, new_id
from server.stores.errors import store_errors

__all__ = ["Items", "KnownReferences"]

_log = structlog.get_logger("vestige.catalog")

_TRIES = 5
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


class KnownReferences(Protocol):
    """The pictures that are stored, and who brought them: `server.catalog.references.References`."""

    async def get(self, sha256: str) -> object:
        """Raises:
        NotFound: there is no such picture.
        """
        ...

    async def may_use(self, sha256: str, tenant: str, user: str | None) -> bool:
        """Whether this person (None: the shop) brought the picture."""
        ...

    async def known_in(self, sha256: str, tenant: str) -> bool:
        """Whether anybody of the tenant did."""
        ...


class Items:
    """Items by tenant. Every method may raise `StoreUnavailable`.

    Everyone sees what is public and what they own; the shop's keepers all of the shop's; a private item its owner and
    admins alone. What is not seen is not found.
    """

    def __init__(
        self, state: Redis, references: KnownReferences, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._scripts = Scripts(state)
        self._references = references
        self._clock = clock
        self._listeners: list[OnItem] = []

    def on_put(self, listener: OnItem) -> None:
        """Has `listener` told of every item that this process makes or changes."""
        self._listeners.append(listener)

    async def told(self, tenant: str, item: Item) -> None:
        """Tells the listeners; one that fails changes nothing."""
        for listener in self._listeners:
            try:
                await listener(tenant, item)
            except VestigeError as error:
                _log.warning("an item was not followed", item=item.id, reason=error.message)

    async def list(
        self,
        tenant: str,
        viewer: Viewer,
        *,
        category: str | None = None,
        mine: bool = False,
        hidden: bool = False,
        after: str | None = None,
        limit: int = limits.PAGE,
    ) -> ItemPage:
        """The shop's public items, newest first; one's own uploads with `mine`; the shop's others with `hidden`.

        Raises:
            InvalidRequest: `after` is no page's `next`.
            Forbidden: `hidden`, by somebody who does not keep the shop.
        """
        keys = Keys(tenant)
        if hidden and not (viewer.keeper or viewer.admin):
            raise Forbidden("Only the shop's keepers see what it does not show.", field="hidden")
        if mine:
            shelf = None if viewer.user is None else keys.own(viewer.user)
        else:
            shelf = keys.hidden if hidden else keys.shop if category is None else keys.category(category)
        if shelf is None:
            return ItemPage((), None)
        filtered = category if mine or hidden else None
        return await self._page(tenant, shelf, filtered, check_place(after), limit)

    async def get(self, tenant: str, id: str, viewer: Viewer) -> Item:
        """One item.

        Raises:
            NotFound: there is none, or the viewer does not see it.
        """
        return (await self._seen(tenant, id, viewer))[1]

    async def find(self, tenant: str, id: str) -> Item | None:
        """One item, whoever may see it; None where there is none."""
        return (await self._read(tenant, id))[1]

    async def titles(self, tenant: str, ids: Collection[str]) -> Mapping[str, str]:
        """The titles of the items that are (still) there, by id, whoever may see them."""
        return {id: item.title for id, item in (await self.found(tenant, ids)).items()}

    async def found(self, tenant: str, ids: Collection[str]) -> Mapping[str, Item]:
        """The items that are (still) there, by id, whoever may see them."""
        names = [id for id in dict.fromkeys(ids) if _ID.fullmatch(id)]
        if not names:
            return {}
        with store_errors(STORE):
            raws = cast(list[str | None], await self._state.hmget(Keys(tenant).items, names))
        return {id: decode_item(id, raw) for id, raw in zip(names, raws, strict=True) if raw is not None}

    async def create(self, tenant: str, draft: ItemDraft, viewer: Viewer) -> Item:
        """A new item: of the shop, or the viewer's own, who has it in their inventory from then on.

        Raises:
            Forbidden: it is for the shop, and the viewer does not keep it.
            InvalidRequest: there is no such reference of theirs, or it is private and the viewer is nobody.
            Conflict: the id is taken, or was an item's that is deleted.
            TooLarge: there are too many already.
        """
        owner = viewer.user if draft.private else None
        if draft.private and owner is None:
            raise InvalidRequest("A private item is somebody's: name them with user_id.", field="user_id")
        if not draft.private and not (viewer.keeper or viewer.admin):
            raise Forbidden('Only the shop\'s keepers add to it: send "private": true for an item of your own.')
        id = new_id("item") if draft.id is None else check_slug(draft.id, "id")
        await self.check_reference(tenant, draft.reference, viewer)
        now = self._now()
        public = owner is None and draft.public is not False
        item = Item(id=id, owner=owner, public=public, created=now, modified=now, **draft.fields())
        change = item_change(tenant, id, "", item)
        try:
            await write(self._scripts, tenant, [change])
        except Changed:
            raise Conflict("There is an item with this id already.", field="id") from None
        made = decode_item(id, change.now)
        await self.told(tenant, made)
        return made

    async def update(
        self, tenant: str, id: str, changes: ItemChanges, viewer: Viewer, if_match: str | None = None
    ) -> Item:
        """The item with the fields that were sent replaced.

        Raises:
            NotFound: as `get`.
            Forbidden: the viewer sees it but may not change it.
            Conflict: `if_match` is an etag and the item has another one by now.
            InvalidRequest: there is no such reference, or none that they brought; or a private item was to be public.
        """
        sent = changes.sent()
        for _ in range(_TRIES):
            raw, item = await self._editable(tenant, id, viewer, if_match)
            if sent.get("reference") != item.reference:
                await self.check_reference(tenant, sent.get("reference"), viewer)
            if item.owner is not None and sent.get("public"):
                raise InvalidRequest("A private item cannot be public.", field="public")
            change = item_change(tenant, id, raw, replace(item, **sent, modified=self._now()))
            try:
                await write(self._scripts, tenant, [change])
            except Changed:
                continue  # read again: with `if_match` that ends here
            changed = decode_item(id, change.now)
            await self.told(tenant, changed)
            return changed
        raise Conflict("This item is being changed by others all the time: try again.", item_id=id)

    async def delete(self, tenant: str, id: str, viewer: Viewer, if_match: str | None = None) -> None:
        """Removes the item from the shop and from everyone's inventory. Its id never comes back.

        Raises:
            NotFound, Forbidden, Conflict: as `update`.
        """
        for _ in range(_TRIES):
            raw, _item = await self._editable(tenant, id, viewer, if_match)
            try:
                await write(self._scripts, tenant, [item_change(tenant, id, raw, None)])
            except Changed:
                continue
            return
        raise Conflict("This item is being changed by others all the time: try again.", item_id=id)

    async def own(self, tenant: str, user: str) -> "list[Item]":
        """All of a person's own uploads, newest first."""
        return list((await self._page(tenant, Keys(tenant).own(user), None, None, limits.OWN_ITEMS)).items)

    async def erase(self, tenant: str, user: str) -> int:
        """Removes a person's own uploads, and says how many there were."""
        for _ in range(_TRIES):
            raws = {item.id: (await self._read(tenant, item.id))[0] for item in await self.own(tenant, user)}
            changes = [item_change(tenant, id, raw, None) for id, raw in raws.items() if raw is not None]
            try:
                await write(self._scripts, tenant, changes)
            except Changed:
                continue
            return len(changes)
        raise Conflict("This person's items are being changed all the time: try again.", field="user_id")

    async def shown(self, references: Collection[str]) -> "set[str]":
        """Those of the references that an item of any tenant shows."""
        names = list(references)
        if not names:
            return set()
        with store_errors(STORE):
            counts = cast(list[str | None], await self._state.hmget(REFERENCES, names))
        return {name for name, count in zip(names, counts, strict=True) if count is not None}

    async def check_reference(self, tenant: str, sha256: str | None, viewer: Viewer) -> None:
        """Raises:
        InvalidRequest: there is no such picture, or the viewer did not bring it: knowing its hash is no right to it.
        """
        if sha256 is None:
            return
        try:
            await self._references.get(sha256)
        except NotFound:
            known = False
        else:
            known = await self._references.may_use(sha256, tenant, viewer.user) or (
                viewer.admin and await self._references.known_in(sha256, tenant)
            )
        if not known:
            raise InvalidRequest("There is no such reference of yours: upload the picture first.", field="reference")

    async def _page(self, tenant: str, shelf: str, category: str | None, after: str | None, limit: int) -> ItemPage:
        """Goes on until the page is full: a filter, or what was deleted a moment ago, leaves gaps."""
        items: list[Item] = []
        upper = "+" if after is None else f"({after}"
        while True:
            with store_errors(STORE):
                places = cast(
                    "list[str]",
                    await self._state.zrange(
                        shelf, cast(Any, upper), cast(Any, "-"), desc=True, bylex=True, offset=0, num=limit + 1
                    ),
                )
            ids = [id_at(place) for place in places]
            found = await self.found(tenant, ids)
            for at, id in enumerate(ids):
                item = found.get(id)
                if item is not None and category in (None, item.category):
                    items.append(item)
                    if len(items) == limit:
                        return ItemPage(items, places[at] if at + 1 < len(places) else None)
            if len(places) <= limit:
                return ItemPage(items, None)
            upper = f"({places[-1]}"

    async def _read(self, tenant: str, id: str) -> tuple[str | None, Item | None]:
        if not _ID.fullmatch(id):
            return None, None
        with store_errors(STORE):
            raw = cast(str | None, await self._state.hget(Keys(tenant).items, id))
        return raw, None if raw is None else decode_item(id, raw)

    async def _seen(self, tenant: str, id: str, viewer: Viewer) -> tuple[str, Item]:
        raw, item = await self._read(tenant, id)
        if raw is None or item is None or not (item.visible_to(viewer) or await self._owned(tenant, viewer.user, id)):
            raise NotFound("There is no such item.", item_id=id)
        return raw, item

    async def _owned(self, tenant: str, user: str | None, id: str) -> bool:
        if user is None:
            return False
        with store_errors(STORE):
            return bool(await self._state.hexists(Keys(tenant).inventory(user), id))

    async def _editable(self, tenant: str, id: str, viewer: Viewer, if_match: str | None) -> tuple[str, Item]:
        raw, item = await self._seen(tenant, id, viewer)
        if not item.editable_by(viewer):
            raise Forbidden("This item is not yours to change.", item_id=item.id)
        if not matches(if_match, item.etag):
            raise Conflict("This item was changed meanwhile: load it again, then save.", etag=item.etag)
        return raw, item

    def _now(self) -> datetime:
        """To the millisecond, as it is kept."""
        now = self._clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
