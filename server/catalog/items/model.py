"""An item, and how somebody came by it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from server.catalog.records import Viewer

__all__ = ["Grant", "How", "Item", "ItemPage", "OnGrant", "OnItem", "Owned"]

How = Literal["bought", "granted", "gift", "uploaded"]
"""`bought`, `granted`: by the shop. `gift`: by another user, who has it no longer. `uploaded`: one's own picture."""


@dataclass(frozen=True, slots=True)
class Item:
    """What can be worn, or only owned where it is not `visual`.

    `reference` is the picture's sha256, None where there is none yet. `owner` None is the shop; an item of the shop
    that is not `public` is seen by those who own one and by the shop's keepers. `price` means nothing to us. `etag`
    changes with every change.
    """

    id: str
    title: str
    category: str
    visual: bool
    prompt_hint: str
    reference: str | None
    price: Mapping[str, Any] | None
    owner: str | None
    public: bool
    created: datetime
    modified: datetime
    etag: str = ""

    def mine(self, viewer: Viewer) -> bool:
        return viewer.user is not None and viewer.user == self.owner

    def editable_by(self, viewer: Viewer) -> bool:
        """The shop's by its keepers, a private one by its owner; either by an admin."""
        return viewer.admin or self.mine(viewer) or (self.owner is None and viewer.keeper)

    def visible_to(self, viewer: Viewer) -> bool:
        """Whether it is seen without being owned."""
        return self.public or self.editable_by(viewer)


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Items, newest first. `next` is where the following page begins, None at the end."""

    items: Sequence[Item]
    next: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """How a user came by an item. `id` is the same however often the grant is told: who listens can know it again.

    `giver` is the user who gave it, None where the shop did, or where the giver is no longer here.
    """

    id: str
    tenant: str
    user: str
    item: str
    how: How
    giver: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Owned:
    """An item in somebody's inventory."""

    item: Item
    grant: Grant


OnItem = Callable[[str, Item], Awaitable[None]]
"""`(tenant, item)`: told after an item was made or changed, in the process that did it."""
OnGrant = Callable[[Grant], Awaitable[None]]
"""Is told of every grant but uploads, after it is durable: at least once, so by `Grant.id` it must do nothing twice."""
