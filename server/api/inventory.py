"""Inventories: who owns which items, and how they come to them."""

from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field

from server.accounts.principal import HOME
from server.api.auth import acting_user, principal
from server.api.body import read_json, read_query
from server.api.catalog import ItemOut, item_out, viewing
from server.api.idempotency import idempotency_key
from server.api.keys import ACCOUNTS
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.api.schemas import Body, Query
from server.api.services import CATALOG
from server.catalog.items import limits
from server.catalog.items.model import Grant
from server.catalog.records import Viewer
from server.errors import Forbidden
from server.ids import check_slug

_TAG = "Catalog"


class GrantIn(Body):
    """An item for a user. With `to`, a gift from the user the request is about to that one.

    Without it, the shop grants it to the user the request is about, and says `how` they came by it.
    """

    item_id: str
    to: str | None = Field(None, description="Who is given it, out of one's own inventory.")
    how: Literal["bought", "granted"] = "granted"


class GrantOut(BaseModel):
    """How somebody came by an item. `giver`: the user who gave it; null where the shop did, or who is not here now."""

    id: str
    item_id: str
    user_id: str
    how: Literal["bought", "granted", "gift", "uploaded"]
    giver: str | None
    at: datetime


class OwnedOut(BaseModel):
    item: ItemOut
    grant: GrantOut


class InventoryQuery(Query):
    after: str | None = Field(None, max_length=100, description="Where the page begins: another page's `next`.")
    limit: int = Field(limits.PAGE, ge=1, le=limits.LONGEST_PAGE)


class InventoryOut(BaseModel):
    """What a user owns, newest first. `next`: where the following page begins, null at the end."""

    owned: list[OwnedOut]
    next: str | None


async def list_owned(request: web.Request) -> web.StreamResponse:
    query = read_query(request, InventoryQuery)
    tenant, user = principal(request).tenant, acting_user(request)
    _, viewer = viewing(request)
    page = await request.app[CATALOG].inventory.owned(tenant, user, after=query.after, limit=query.limit)
    owned = [OwnedOut(item=item_out(each.item, viewer), grant=_grant(each.grant)) for each in page.owned]
    return json_response(InventoryOut(owned=owned, next=page.next))


async def grant(request: web.Request) -> web.StreamResponse:
    body, key = await read_json(request, GrantIn), idempotency_key(request)
    acting = acting_user(request, body.user_id)
    tenant, catalog = principal(request).tenant, request.app[CATALOG]
    giver = None if body.to is None else acting
    user = acting if body.to is None else check_slug(body.to, "to")
    viewer = _granting(request) if giver is None else await _giving(request, giver, user)
    if key is not None:
        known = await catalog.inventory.answered(tenant, user, body.item_id, body.how, giver=giver, key=key)
        if known is not None:  # even if the item is gone since, or seen no longer by who gave it away
            return json_response(_grant(known))
    item = await catalog.items.get(tenant, body.item_id, viewer)
    granted = await catalog.inventory.grant(tenant, user, item, body.how, giver=giver, key=key)
    return json_response(_grant(granted.grant), status=201 if granted.new else 200)


async def revoke(request: web.Request) -> web.StreamResponse:
    who, user = principal(request), acting_user(request)
    if not who.keeps_shop:
        raise Forbidden("Only the shop's keepers take items back.")
    await request.app[CATALOG].inventory.revoke(who.tenant, user, request.match_info["item_id"])
    return no_content()


def _granting(request: web.Request) -> Viewer:
    """Raises:
    Forbidden: who asks does not keep the shop.
    """
    who = principal(request)
    if not who.keeps_shop:
        raise Forbidden("Only the shop's keepers grant items: to give one of your own away, say to whom with 'to'.")
    return Viewer(None, who.is_admin, keeper=True)


async def _giving(request: web.Request, giver: str, to: str) -> Viewer:
    """Raises:
    NotFound: there is no such user to give it to.
    """
    who = principal(request)
    if who.user is not None and who.tenant == HOME:  # whom another product has, it alone knows
        await request.app[ACCOUNTS].user(who.tenant, to)
    return Viewer(giver)


def _grant(grant: Grant) -> GrantOut:
    return GrantOut(id=grant.id, item_id=grant.item, user_id=grant.user, how=grant.how, giver=grant.giver, at=grant.at)


def routes() -> list[Route]:
    inventory = "/v1/inventory"
    return [
        Route(
            "GET",
            inventory,
            list_owned,
            "catalog",
            "What a user owns",
            _TAG,
            query=InventoryQuery,
            response=InventoryOut,
        ),
        Route(
            "POST",
            inventory,
            grant,
            "catalog",
            "Grant or give an item",
            _TAG,
            "By the shop's keepers; or, with `to`, a gift out of one's own inventory, which has it no longer. With an "
            "`Idempotency-Key` the same request again, within a week, gets the first one's grant. 200 where the grant "
            "was there already.",
            request=GrantIn,
            query=Query,
            response=GrantOut,
            status=201,
        ),
        Route(
            "DELETE",
            inventory + "/{item_id}",
            revoke,
            "catalog",
            "Take an item back",
            _TAG,
            "By the shop's keepers. It comes off whoever wears it.",
            query=Query,
            status=204,
        ),
    ]
