"""What the routes of the catalog share: who looks at it, and what items look like on the wire."""

from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.auth import acting_user, principal
from server.catalog.items.model import Item
from server.catalog.records import Viewer

__all__ = ["ItemOut", "item_out", "viewing"]


class ItemOut(BaseModel):
    """An item. `visual`: whether it shows on a character. `picture`: its address, null without one.

    `reference`, `owner` and `etag` are for those who may change it.
    """

    id: str
    title: str
    category: str
    visual: bool
    prompt_hint: str
    price: dict[str, Any] | None = Field(description="The price tag, as the shop wrote it.")
    public: bool
    private: bool
    mine: bool
    editable: bool
    picture: str | None
    reference: str | None
    owner: str | None
    etag: str | None
    created: datetime
    modified: datetime


def viewing(request: web.Request, user_id: str | None = None) -> tuple[str, Viewer]:
    """The tenant, and whose eyes look at its catalog. A service's key that names nobody keeps the shop.

    Raises:
        InvalidId, InvalidRequest, Forbidden: see `acting_user`.
    """
    who = principal(request)
    if who.user is None and user_id is None and "user_id" not in request.query:
        return who.tenant, Viewer(None, who.is_admin, keeper=who.keeps_shop)
    return who.tenant, Viewer(acting_user(request, user_id), who.is_admin, keeper=who.is_admin)


def item_out(item: Item, viewer: Viewer) -> ItemOut:
    editable = item.editable_by(viewer)
    return ItemOut(
        id=item.id,
        title=item.title,
        category=item.category,
        visual=item.visual,
        prompt_hint=item.prompt_hint,
        price=None if item.price is None else dict(item.price),
        public=item.public,
        private=item.owner is not None,
        mine=item.mine(viewer),
        editable=editable,
        # its picture's version is in it, so that a new picture is never the old one in a cache
        picture=f"/v1/items/{item.id}/picture?v={item.reference[:16]}" if item.reference else None,
        reference=item.reference if editable else None,
        owner=item.owner if editable else None,
        etag=item.etag if editable else None,
        created=item.created,
        modified=item.modified,
    )
