"""What a user's character has on."""

from aiohttp import web
from pydantic import BaseModel

from server.api.auth import acting_scope
from server.api.body import read_json, read_query
from server.api.catalog import ItemOut, item_out, viewing
from server.api.respond import json_response, no_content
from server.api.routes import Route
from server.api.schemas import Body, Query
from server.api.services import CATALOG, CHARACTERS
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.ids import Scope

_TAG = "Catalog"


class WornIn(Body):
    """What to put on: an item that the user owns."""

    item_id: str


class WornOut(BaseModel):
    """What the character has on; null where nothing is chosen."""

    item: ItemOut | None


async def read(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    scope, viewer = await _dressing(request)
    worn = await request.app[CATALOG].worn.get(scope.tenant, scope.user, scope.character)
    return _worn(worn, viewer)


async def put_on(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, WornIn)
    scope, viewer = await _dressing(request, body.user_id)
    catalog = request.app[CATALOG]
    item = await catalog.items.get(scope.tenant, body.item_id, viewer)
    return _worn(await catalog.worn.put(scope.tenant, scope.user, scope.character, item.id), viewer)


async def take_off(request: web.Request) -> web.StreamResponse:
    scope, _ = await _dressing(request)
    await request.app[CATALOG].worn.take_off(scope.tenant, scope.user, scope.character)
    return no_content()


async def _dressing(request: web.Request, user_id: str | None = None) -> tuple[Scope, Viewer]:
    """Whose character is dressed, and who looks; the user it is about must see the character."""
    scope = acting_scope(request, request.match_info["character_id"], user_id).scope
    _, viewer = viewing(request, user_id)
    await request.app[CHARACTERS].get(scope.tenant, scope.character, Viewer(scope.user, viewer.admin))
    return scope, viewer


def _worn(item: Item | None, viewer: Viewer) -> web.StreamResponse:
    return json_response(WornOut(item=None if item is None else item_out(item, viewer)))


def routes() -> list[Route]:
    worn = "/v1/characters/{character_id}/worn"
    return [
        Route("GET", worn, read, "catalog", "What it has on", _TAG, query=Query, response=WornOut),
        Route(
            "PUT",
            worn,
            put_on,
            "catalog",
            "Put an item on",
            _TAG,
            "One that the user owns: 403 otherwise, and 422 for one that cannot be seen. It takes the place of what "
            "the character had on.",
            request=WornIn,
            query=Query,
            response=WornOut,
        ),
        Route("DELETE", worn, take_off, "catalog", "Take it off", _TAG, query=Query, status=204),
    ]
