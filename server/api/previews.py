"""Previews: asking for a picture of a character that wears an item, and how the pictures of a shop page stand."""

import asyncio
import json
import re

from aiohttp import web

from server.api.auth import acting_user, principal
from server.api.body import read_json, read_query
from server.api.objects import MOST_BYTES, picture_response
from server.api.preview_schemas import (
    PreviewIn,
    PreviewOut,
    PreviewsOut,
    PreviewsQuery,
    RecordOut,
    StartFrameIn,
    StartFrameOut,
)
from server.api.respond import json_response
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import CATALOG, OBJECTS, PICTURES, who_is_meant
from server.catalog.items.model import Item
from server.catalog.records import Viewer
from server.errors import NotFound
from server.render.previews import places
from server.render.previews.previews import MOST_STATES
from server.render.previews.start_frame import check_size, start_frame
from server.render.previews.types import Person, Preview

__all__ = ["person", "routes"]

_TAG = "Pictures"
_KEY = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(r"([1-9][0-9]{2,3})x([1-9][0-9]{2,3})")
_NO_PREVIEW = "There is no such preview."
_RECORD_BYTES = 4 << 20


def person(request: web.Request, user_id: str | None = None) -> Person:
    """Whom a request about pictures is for.

    Raises:
        InvalidId, InvalidRequest, Forbidden: see `acting_user`.
    """
    who, user = principal(request), acting_user(request, user_id)
    return Person(who.tenant, user, who.tier, who.name if user == who.user else user, who.is_admin)


async def ask(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, PreviewIn)
    who = person(request, body.user_id)
    if body.scene is not None:  # the policy's words call the person by name
        meant = await who_is_meant(request, body.user_id, character_id=body.character_id)
        who = Person(who.tenant, who.user, who.tier, meant.user_name, who.admin)
    found = await request.app[PICTURES].previews.ask(
        who, body.character_id, body.item_id, scene=body.scene, variant=body.variant
    )
    return _preview(request, found, status=200 if found.state == "ready" else 202)


async def of_character(request: web.Request) -> web.StreamResponse:
    query = read_query(request, PreviewsQuery)
    who = person(request, query.user_id)
    page = await request.app[CATALOG].items.list(
        who.tenant, Viewer(who.user, who.admin), category=query.category, after=query.after, limit=query.limit
    )
    items = page.items if query.after else [*page.items, *await _own(request, who, query.category)]
    found = await request.app[PICTURES].previews.of_character(who, query.character, items[:MOST_STATES])
    admin = principal(request).is_admin
    return json_response(PreviewsOut(previews=[PreviewOut.of(one, admin=admin) for one in found], next=page.next))


async def _own(request: web.Request, who: Person, category: str | None) -> list[Item]:
    """What somebody owns and the shop does not show: own uploads, and what it shows no more."""
    if who.user is None:
        return []
    owned = (await request.app[CATALOG].inventory.owned(who.tenant, who.user)).owned
    return [each.item for each in owned if not each.item.public and category in (None, each.item.category)]


async def get(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    return _preview(request, await _meant(request))


async def picture(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    found = await _ready(request)
    objects, own = request.app[OBJECTS], found.owner is not None
    try:
        return await picture_response(request, objects, places.picture(found.folder), etag=found.key, own=own)
    except NotFound:  # lost with a disk, or deleted while a backup was made: then it can be asked for again
        await request.app[PICTURES].previews.shelf.remove(principal(request).tenant, [found.key])
        raise


async def record(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    return json_response(await _record(request, await _ready(request)))


async def make_start_frame(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, StartFrameIn)
    check_size(body.width, body.height)
    found = await _ready(request, body.user_id)
    objects, path = request.app[OBJECTS], places.start_frame(found.folder, body.width, body.height)
    content = await objects.get(places.picture(found.folder), most=MOST_BYTES)
    frame = await asyncio.to_thread(start_frame, content, body.width, body.height, key=found.key)
    await objects.add(path, frame.content)
    await request.app[PICTURES].previews.shelf.trim_start_frames(found.folder, path)
    out = StartFrameOut(
        key=found.key,
        url=f"/v1/previews/{found.key}/start-frame/{body.width}x{body.height}",
        width=body.width,
        height=body.height,
        record=frame.record.document(),
    )
    return json_response(out, status=201)


async def start_frame_picture(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    size = _SIZE.fullmatch(request.match_info["size"])
    if size is None:
        raise NotFound("There is no such start frame.", field="size")
    found = await _ready(request)
    path, own = places.start_frame(found.folder, int(size[1]), int(size[2])), found.owner is not None
    return await picture_response(request, request.app[OBJECTS], path, etag=f"{found.key}-{size[0]}", own=own)


async def _meant(request: web.Request, user_id: str | None = None) -> Preview:
    key = request.match_info["key"]
    if not _KEY.fullmatch(key):
        raise NotFound(_NO_PREVIEW, field="key")
    return await request.app[PICTURES].previews.get(person(request, user_id), key)


async def _ready(request: web.Request, user_id: str | None = None) -> Preview:
    found = await _meant(request, user_id)
    if found.state != "ready":
        raise NotFound("This preview is not made yet.", field="key")
    return found


async def _record(request: web.Request, found: Preview) -> dict[str, object]:
    raw = await request.app[OBJECTS].get(places.record(found.folder), most=_RECORD_BYTES)
    return json.loads(raw)


def _preview(request: web.Request, found: Preview, *, status: int = 200) -> web.StreamResponse:
    return json_response(PreviewOut.of(found, admin=principal(request).is_admin), status=status)


def routes() -> list[Route]:
    one = "/v1/previews/{key}"
    png = ("image/png",)
    return [
        Route(
            "POST",
            "/v1/previews",
            ask,
            "catalog",
            "Ask for a picture",
            _TAG,
            "200 with the picture's address where it is there; 202 with the job that makes it, of which there is one "
            "however many ask.",
            request=PreviewIn,
            response=PreviewOut,
        ),
        Route(
            "GET",
            "/v1/previews",
            of_character,
            "catalog",
            "How the pictures of a shop page stand",
            _TAG,
            query=PreviewsQuery,
            response=PreviewsOut,
        ),
        Route("GET", one, get, "catalog", "Read a preview", _TAG, query=Query, response=PreviewOut),
        Route(
            "GET",
            one + "/picture",
            picture,
            "catalog",
            "A preview's picture",
            _TAG,
            "The same for ever under its key. Clean: what it was made of is in its record.",
            query=Query,
            produces=("image/webp",),
        ),
        Route(
            "GET",
            one + "/record",
            record,
            "admin",
            "What a picture was made of and with",
            _TAG,
            query=Query,
            response=RecordOut,
        ),
        Route(
            "POST",
            one + "/start-frame",
            make_start_frame,
            "catalog",
            "The picture as the first frame of a video",
            _TAG,
            "Nothing is cut: the background goes on where the size has another aspect.",
            request=StartFrameIn,
            response=StartFrameOut,
            status=201,
        ),
        Route(
            "GET",
            one + "/start-frame/{size}",
            start_frame_picture,
            "catalog",
            "A start frame that was made",
            _TAG,
            query=Query,
            produces=png,
        ),
    ]
