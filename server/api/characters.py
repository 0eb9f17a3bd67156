"""Characters: making, changing, importing and exporting them."""

from collections.abc import Sequence
from datetime import datetime

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.auth import acting_user, principal
from server.api.body import read_json, read_query, read_upload
from server.api.respond import attachment, json_response, no_content
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import CATALOG, CHARACTERS, MEMORY
from server.catalog import limits
from server.catalog.models import CharacterChanges, CharacterDraft
from server.catalog.records import CharacterRecord, Viewer
from server.errors import InvalidRequest
from server.ids import Scope

_TAG = "Characters"
_NOTES = 300  # characters of the creator's notes in a list
_CARD_TYPES = ("application/json", "image/png", "application/zip", "application/octet-stream", "multipart/form-data")
_PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "multipart/form-data")
_JSON_BYTES = limits.CARD_BYTES * 4  # room for a card however it is escaped


class CharacterSummary(BaseModel):
    """`damaged`: what is wrong with its file, for admins. `last_message_at`: when something was last said with it."""

    id: str
    name: str
    tags: list[str]
    avatar: str | None
    shared: bool
    mine: bool
    editable: bool
    creator_notes: str
    last_message_at: datetime | None
    damaged: str | None


class CharacterList(BaseModel):
    characters: list[CharacterSummary]


class CharacterOut(BaseModel):
    """A character. `etag` changes with every change; `notices` say what of an import could not be kept or used."""

    id: str
    name: str
    nickname: str
    description: str
    personality: str
    scenario: str
    first_mes: str
    alternate_greetings: list[str]
    mes_example: str
    system_prompt: str
    post_history_instructions: str
    creator_notes: str
    creator: str
    character_version: str
    tags: list[str]
    avatar: str | None
    shared: bool
    mine: bool
    editable: bool
    etag: str
    created: datetime
    modified: datetime
    notices: list[str]


class ExportQuery(Query):
    format: str = Field("json", pattern="^(json|png)$", description="`json` or `png`.")


async def list_characters(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, viewer = _asking(request)
    records = await request.app[CHARACTERS].list(tenant, viewer)
    last = await _last_messages(request, tenant, viewer, records)
    return json_response(
        CharacterList(characters=[_summary(record, viewer, said) for record, said in zip(records, last, strict=True)])
    )


async def create(request: web.Request) -> web.StreamResponse:
    draft = await read_json(request, CharacterDraft, limit=_JSON_BYTES)
    tenant, viewer = _asking(request)
    made = await request.app[CHARACTERS].create(tenant, draft, viewer.user)
    return _character(request, made, viewer, status=201)


async def read(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    tenant, viewer = _asking(request)
    return _character(request, await request.app[CHARACTERS].get(tenant, _id(request), viewer), viewer)


async def change(request: web.Request) -> web.StreamResponse:
    changes = await read_json(request, CharacterChanges, limit=_JSON_BYTES)
    tenant, viewer = _asking(request)
    changed = await request.app[CHARACTERS].update(
        tenant, _id(request), changes, viewer, if_match=request.headers.get("If-Match")
    )
    return _character(request, changed, viewer)


async def delete(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    await request.app[CHARACTERS].delete(tenant, _id(request), viewer)
    await request.app[CATALOG].looks.delete(tenant, _id(request))
    return no_content()


async def duplicate(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    made = await request.app[CHARACTERS].duplicate(tenant, _id(request), viewer)
    return _character(request, made, viewer, status=201)


async def import_card(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    upload = await read_upload(request, limit=limits.FILE_BYTES + 16_384)
    made = await request.app[CHARACTERS].import_card(tenant, upload.content, viewer.user)
    return _character(request, made, viewer, status=201)


async def export_card(request: web.Request) -> web.StreamResponse:
    query = read_query(request, ExportQuery)
    tenant, viewer = _asking(request)
    file = await request.app[CHARACTERS].export_card(
        tenant, _id(request), viewer, "png" if query.format == "png" else "json"
    )
    return web.Response(
        body=file.content,
        content_type=file.content_type,
        headers={"Content-Disposition": attachment(file.filename)},
    )


async def set_avatar(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    upload = await read_upload(request, limit=limits.FILE_BYTES + 16_384)
    if not upload.content:
        raise InvalidRequest("The picture is empty.", field="body")
    changed = await request.app[CHARACTERS].set_avatar(tenant, _id(request), upload.content, viewer)
    return _character(request, changed, viewer)


async def drop_avatar(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    changed = await request.app[CHARACTERS].set_avatar(tenant, _id(request), None, viewer)
    return _character(request, changed, viewer)


async def avatar(request: web.Request) -> web.StreamResponse:
    tenant, viewer = _asking(request)
    portrait = await request.app[CHARACTERS].avatar(tenant, _id(request), viewer)
    headers = {"ETag": f'"{portrait.etag}"', "Cache-Control": "private, no-cache"}
    if any(tag.value in (portrait.etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=portrait.content, content_type=portrait.content_type, headers=headers)


def _asking(request: web.Request) -> tuple[str, Viewer]:
    """The tenant, and whose eyes look at it. A key that belongs to nobody and names no one sees what is shared."""
    who = principal(request)
    if who.user is None and "user_id" not in request.query:
        return who.tenant, Viewer(None, who.is_admin)
    return who.tenant, Viewer(acting_user(request), who.is_admin)


def _id(request: web.Request) -> str:
    return request.match_info["character_id"]


async def _last_messages(
    request: web.Request, tenant: str, viewer: Viewer, records: Sequence[CharacterRecord]
) -> list[datetime | None]:
    if viewer.user is None:
        return [None] * len(records)
    scopes = [Scope(tenant, viewer.user, record.id) for record in records]
    return await request.app[MEMORY].last_message_at(scopes)


def _summary(record: CharacterRecord, viewer: Viewer, last_message_at: datetime | None) -> CharacterSummary:
    card = record.card
    return CharacterSummary(
        id=record.id,
        name=card.name,
        tags=list(card.tags),
        avatar=_avatar(record),
        shared=record.shared,
        mine=record.mine(viewer),
        editable=record.editable_by(viewer),
        creator_notes=card.creator_notes[:_NOTES],
        last_message_at=last_message_at,
        damaged=record.damaged,
    )


def _character(
    request: web.Request, record: CharacterRecord, viewer: Viewer, *, status: int = 200
) -> web.StreamResponse:
    card = record.card
    out = CharacterOut(
        id=record.id,
        name=card.name,
        nickname=card.nickname,
        description=card.description,
        personality=card.personality,
        scenario=card.scenario,
        first_mes=card.first_mes,
        alternate_greetings=list(card.alternate_greetings),
        mes_example=card.mes_example,
        system_prompt=card.system_prompt,
        post_history_instructions=card.post_history_instructions,
        creator_notes=card.creator_notes,
        creator=card.creator,
        character_version=card.character_version,
        tags=list(card.tags),
        avatar=_avatar(record),
        shared=record.shared,
        mine=record.mine(viewer),
        editable=record.editable_by(viewer),
        etag=record.etag,
        created=record.created,
        modified=record.modified,
        notices=list(record.notices),
    )
    return json_response(out, status=status, headers={"ETag": f'"{record.etag}"'})


def _avatar(record: CharacterRecord) -> str | None:
    """The picture's address; its version is in it, so that a new picture is never the old one in a cache."""
    return None if record.avatar is None else f"/v1/characters/{record.id}/avatar?v={record.avatar}"


def routes() -> list[Route]:
    characters = "/v1/characters"
    one = characters + "/{character_id}"
    return [
        Route("GET", characters, list_characters, "characters", "List", _TAG, query=Query, response=CharacterList),
        Route(
            "POST",
            characters,
            create,
            "characters",
            "Create a character",
            _TAG,
            request=CharacterDraft,
            response=CharacterOut,
            status=201,
        ),
        Route(
            "POST",
            characters + "/import",
            import_card,
            "characters",
            "Import a card",
            _TAG,
            "A character card v1, v2 or v3 as PNG, JSON or CHARX; the body itself, or the part `file` of a form.",
            consumes=_CARD_TYPES,
            response=CharacterOut,
            status=201,
        ),
        Route("GET", one, read, "characters", "Read a character", _TAG, query=Query, response=CharacterOut),
        Route(
            "PUT",
            one,
            change,
            "characters",
            "Change a character",
            _TAG,
            "Fields that are not sent stay. With `If-Match` a character that was changed meanwhile answers 409.",
            request=CharacterChanges,
            response=CharacterOut,
        ),
        Route(
            "DELETE",
            one,
            delete,
            "characters",
            "Delete a character",
            _TAG,
            "What people said with it stays theirs until they clear it: DELETE /v1/memory/{character_id}.",
            query=Query,
            status=204,
        ),
        Route(
            "POST",
            one + "/duplicate",
            duplicate,
            "characters",
            "Copy a character",
            _TAG,
            query=Query,
            response=CharacterOut,
            status=201,
        ),
        Route(
            "GET",
            one + "/export",
            export_card,
            "characters",
            "Download a card",
            _TAG,
            query=ExportQuery,
            produces=("application/json", "image/png"),
        ),
        Route(
            "PUT",
            one + "/avatar",
            set_avatar,
            "characters",
            "Set the picture",
            _TAG,
            consumes=_PICTURE_TYPES,
            response=CharacterOut,
        ),
        Route(
            "DELETE",
            one + "/avatar",
            drop_avatar,
            "characters",
            "Take the picture away",
            _TAG,
            query=Query,
            response=CharacterOut,
        ),
        Route(
            "GET",
            one + "/avatar",
            avatar,
            "characters",
            "The picture",
            _TAG,
            produces=("image/webp",),
        ),
    ]
