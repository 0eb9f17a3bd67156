"""Items: the shop's, for everyone to see, and one's own uploads."""

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.body import read_json, read_query
from server.api.catalog import ItemOut, item_out, viewing
from server.api.objects import picture_response
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import CATALOG, OBJECTS
from server.catalog.fields import Category
from server.catalog.items import limits
from server.catalog.items.drafts import ItemChanges, ItemDraft
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.catalog.references.store import path_of
from server.errors import NotFound

_TAG = "Catalog"


class ItemsQuery(Query):
    category: Category | None = Field(None, description="Only those of this category.")
    mine: bool = Field(False, description="One's own uploads, not the shop's items.")
    hidden: bool = Field(False, description="What the shop does not show, for its keepers.")
    after: str | None = Field(None, max_length=100, description="Where the page begins: another page's `next`.")
    limit: int = Field(limits.PAGE, ge=1, le=limits.LONGEST_PAGE)


class PictureQuery(Query):
    v: str | None = Field(None, max_length=64, description="The picture's version: part of its address, not looked at.")


class ItemList(BaseModel):
    """Items, newest first. `next`: where the following page begins, null at the end."""

    items: list[ItemOut]
    next: str | None


async def list_items(request: web.Request) -> web.StreamResponse:
    query = read_query(request, ItemsQuery)
    tenant, viewer = viewing(request)
    page = await request.app[CATALOG].items.list(
        tenant,
        viewer,
        category=query.category,
        mine=query.mine,
        hidden=query.hidden,
        after=query.after,
        limit=query.limit,
    )
    return json_response(ItemList(items=[item_out(item, viewer) for item in page.items], next=page.next))


async def create(request: web.Request) -> web.StreamResponse:
    draft = await read_json(request, ItemDraft)
    tenant, viewer = viewing(request)
    return _item(await request.app[CATALOG].items.create(tenant, draft, viewer), viewer, status=201)


async def read(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, viewer = viewing(request)
    return _item(await request.app[CATALOG].items.get(tenant, _id(request), viewer), viewer)


async def change(request: web.Request) -> web.StreamResponse:
    changes = await read_json(request, ItemChanges)
    tenant, viewer = viewing(request)
    changed = await request.app[CATALOG].items.update(
        tenant, _id(request), changes, viewer, if_match=request.headers.get("If-Match")
    )
    return _item(changed, viewer)


async def delete(request: web.Request) -> web.StreamResponse:
    tenant, viewer = viewing(request)
    await request.app[CATALOG].items.delete(tenant, _id(request), viewer, if_match=request.headers.get("If-Match"))
    return no_content()


async def picture(request: web.Request) -> web.StreamResponse:
    read_query(request, PictureQuery)
    tenant, viewer = viewing(request)
    item = await request.app[CATALOG].items.get(tenant, _id(request), viewer)
    if item.reference is None:
        raise NotFound("This item has no picture.", item_id=item.id)
    return await picture_response(
        request, request.app[OBJECTS], path_of(item.reference), etag=item.reference, own=item.owner is not None
    )


def _id(request: web.Request) -> str:
    return request.match_info["item_id"]


def _item(item: Item, viewer: Viewer, *, status: int = 200) -> web.StreamResponse:
    headers = {"ETag": f'"{item.etag}"'} if item.editable_by(viewer) else {}
    return json_response(item_out(item, viewer), status=status, headers=headers)


def routes() -> list[Route]:
    items = "/v1/items"
    one = items + "/{item_id}"
    return [
        Route(
            "GET",
            items,
            list_items,
            "catalog",
            "List items",
            _TAG,
            "What the shop shows, newest first; with `mine` one's own uploads.",
            query=ItemsQuery,
            response=ItemList,
        ),
        Route(
            "POST",
            items,
            create,
            "catalog",
            "Add an item",
            _TAG,
            'To the shop, by its keepers; with `"private": true` an upload of one\'s own, which is owned at once.',
            request=ItemDraft,
            query=Query,
            response=ItemOut,
            status=201,
        ),
        Route("GET", one, read, "catalog", "Read an item", _TAG, query=Query, response=ItemOut),
        Route(
            "PATCH",
            one,
            change,
            "catalog",
            "Change an item",
            _TAG,
            "Fields that are not sent stay. With `If-Match` an item that was changed meanwhile answers 409.",
            request=ItemChanges,
            query=Query,
            response=ItemOut,
        ),
        Route(
            "DELETE",
            one,
            delete,
            "catalog",
            "Delete an item",
            _TAG,
            "It leaves every inventory and comes off whoever wears it, and its id never comes back. To end its sale "
            "only, take `public` away.",
            query=Query,
            status=204,
        ),
        Route(
            "GET",
            one + "/picture",
            picture,
            "catalog",
            "The item's picture",
            _TAG,
            query=PictureQuery,
            produces=("image/png",),
        ),
    ]
