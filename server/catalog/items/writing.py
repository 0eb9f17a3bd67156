"""Changes to items and looks, and the one step that makes them: all or none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.catalog.items import limits
from server.catalog.items.codec import decode_item, encode_grant, encode_item
from server.catalog.items.model import Grant, Item
from server.catalog.keys import REFERENCES, Keys
from server.catalog.places import place
from server.catalog.scripts import Scripts
from server.errors import Conflict, TooLarge, VestigeError
from server.ids import new_id

__all__ = ["Change", "Changed", "item_change", "write"]


class Changed(Conflict):
    """Something lies there that was not expected: it was changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record: what is expected to lie there, and what shall. Empty text is no record."""

    key: str
    id: str
    was: str
    now: str
    leaves: Mapping[str, str] = field(default_factory=dict)
    joins: Mapping[str, str] = field(default_factory=dict)
    unshown: str = ""
    shown: str = ""
    owner: str = ""
    grant: str = ""

    def data(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def item_change(tenant: str, id: str, was: str, now: Item | None) -> Change:
    """The change from the record `was` (empty for none) to `now` (None to delete it)."""
    keys = Keys(tenant)
    before = decode_item(id, was) if was else None
    either = now or before
    owner = (either.owner or "") if either else ""
    grant = Grant(new_id("grant"), tenant, owner, id, "uploaded", None, now.created) if owner and now else None
    return Change(
        keys.items,
        id,
        was,
        encode_item(now) if now else "",
        _shelves(keys, before),
        _shelves(keys, now),
        (before.reference or "") if before else "",
        (now.reference or "") if now else "",
        owner,
        encode_grant(grant) if grant else "",
    )


async def write(scripts: Scripts, tenant: str, changes: Sequence[Change]) -> None:
    """Makes all of the changes, or none.

    Raises:
        Changed: a record is not what it was expected to be; details.id.
        Conflict: an id is of an item that was deleted; details.id.
        TooLarge: a shelf would hold too many.
        StoreUnavailable: the store does not answer; the changes may have been made.
    """
    keys = Keys(tenant)
    owners = {change.owner for change in changes if change.owner}
    most = {keys.shop: limits.SHOP_ITEMS, keys.hidden: limits.SHOP_ITEMS}
    most |= {keys.own(owner): limits.OWN_ITEMS for owner in owners}
    state, at = await scripts.run(
        "write",
        (keys.gone, REFERENCES),
        keys.prefix,
        json.dumps(most),
        json.dumps([change.data() for change in changes], ensure_ascii=False),
    )
    if state != "done":
        raise _refusal(str(state), str(at), most)


def _shelves(keys: Keys, item: Item | None) -> dict[str, str]:
    if item is None:
        return {}
    if item.owner is not None:
        names = (keys.own(item.owner),)
    else:
        names = (keys.shop, keys.category(item.category)) if item.public else (keys.hidden,)
    return dict.fromkeys(names, place(item.created, item.id))


def _refusal(state: str, at: str, most: Mapping[str, int]) -> VestigeError:
    if state == "changed":
        return Changed("This was changed meanwhile: load it again, then save.", id=at)
    if state == "gone":
        return Conflict("An item with this id was deleted, and ids never come back: choose another.", id=at)
    return TooLarge(f"There are {most[at]:,} already, which is the most: delete one first.", most=most[at])
