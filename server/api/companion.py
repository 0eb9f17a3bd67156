"""What the node pack asks of a companion: who they are, what they remember and wear; and that a picture was made.

A key for this is bound to one person. With the scope `recall` it reads and does nothing else; `remember` lets it note
pictures too.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from server.api.auth import acting_user, principal
from server.api.body import message_text, read_json, read_query
from server.api.objects import picture_response
from server.api.respond import json_response
from server.api.routes import Route
from server.api.schemas import Body, MessageOut, Query, SpanOut
from server.api.services import CATALOG, CHARACTERS, HTML, MEMORY, OBJECTS, who_is_meant
from server.api.views import message_out, spans_out
from server.catalog.macros import expand
from server.catalog.records import CharacterRecord, Viewer
from server.catalog.references.store import path_of
from server.chat.party import Party, Who
from server.chat.recollection import recollect
from server.errors import Forbidden, NotFound
from server.memory.views import Idempotency

_TAG = "Companion"
API = 1
"""Counts up when an answer changes so that older packs could not read it."""
PRESET, NOTE = 200, 500
"""Characters."""
MADE = "made_picture"
"""In a message's `extra`: it tells of a picture that was made outside of the chat."""


class CompanionsOut(BaseModel):
    """`api`: the version of these answers. `writes`: whether the key may note pictures."""

    api: int
    writes: bool
    characters: list["NamedOut"]


class NamedOut(BaseModel):
    id: str
    name: str


class LoraOut(BaseModel):
    """The character's LoRA as the hosts know it: a name, and the version that is live."""

    name: str
    version: int
    sha256: str


class CompanionOut(BaseModel):
    """A character for an artist. `appearance` is the card's description, names in place."""

    id: str
    name: str
    names: list[str]
    appearance: str
    lora: LoraOut | None


class RecollectionQuery(Query):
    q: str = Field("", max_length=4_000, description="What to remember; empty reads only the summary and the newest.")
    tokens: int = Field(1_000, ge=50, le=16_000, description="At most so many tokens (words × 1.33) of text.")


class RecollectionOut(BaseModel):
    """`text` is the whole, ready for a prompt. `state` stays while nothing that is remembered changes."""

    state: str
    text: str
    tokens: int
    summary: str | None
    recent: list[MessageOut]
    memories: list[SpanOut]


class StateOut(BaseModel):
    """Hashes that change with what they stand for: memory, what is worn, and who the character is."""

    memory: str
    worn: str
    character: str


class WornItemOut(BaseModel):
    """`reference` is the sha256 of the item's picture, null where it has none."""

    id: str
    title: str
    category: str
    prompt_hint: str
    reference: str | None


class WornOut(BaseModel):
    item: WornItemOut | None


class MadeIn(Body):
    """A picture that was made. `key`: the same key is noted once; the sha256 of the picture suits."""

    key: Annotated[str, Field(min_length=8, max_length=128, pattern=r"^[\x21-\x7e]+$")]
    item_id: str | None = None
    preset: Annotated[str, Field(max_length=PRESET)] = ""
    note: Annotated[str, Field(max_length=NOTE)] = ""


class MadeOut(BaseModel):
    """Whether it was noted just now; false where this key was before."""

    noted: bool


async def index(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    user = _bound(request)
    who = principal(request)
    found = await request.app[CHARACTERS].list(who.tenant, Viewer(user))
    named = [NamedOut(id=one.id, name=one.card.char) for one in found if one.damaged is None]
    return json_response(CompanionsOut(api=API, writes="remember" in who.scopes, characters=named))


async def companion(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who, record = await _meant(request)
    return json_response(await _companion(request, who, record))


async def memory(request: web.Request) -> web.StreamResponse:
    query = read_query(request, RecollectionQuery)
    who, record = await _meant(request)
    state = await request.app[MEMORY].state(who.scope)  # before: what changes meanwhile is read again
    found = await recollect(request.app[MEMORY], Party.of(who, record.card), query.q, query.tokens)
    html = request.app[HTML]
    return json_response(
        RecollectionOut(
            state=state,
            text=found.text,
            tokens=found.tokens,
            summary=found.summary,
            recent=[await message_out(one, html) for one in found.recent],
            memories=spans_out(found.spans),
        )
    )


async def state(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who, record = await _meant(request)
    worn = await _worn(request, who)
    found = StateOut(
        memory=await request.app[MEMORY].state(who.scope),
        worn=_hash(worn),
        character=_hash(await _companion(request, who, record)),
    )
    etag = _hash(found)
    if any(tag.value == etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": f'"{etag}"'})
    response = json_response(found)
    response.headers["ETag"] = f'"{etag}"'
    return response


async def worn(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    who, _ = await _meant(request)
    return json_response(await _worn(request, who))


async def worn_picture(request: web.Request) -> web.StreamResponse:
    """The picture of what is worn, through this server: a pack follows no redirect."""
    read_query(request, Query)
    who, _ = await _meant(request)
    item = (await _worn(request, who)).item
    if item is None or item.reference is None:
        raise NotFound("The character wears nothing that has a picture.")
    path = path_of(item.reference)
    return await picture_response(request, request.app[OBJECTS], path, etag=item.reference, own=True)


async def made(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, MadeIn)
    note = message_text(request, body.note) if body.note.strip() else ""
    who, record = await _meant(request)
    party = Party.of(who, record.card)
    title = None
    if body.item_id is not None:
        found = await request.app[CATALOG].items.get(who.scope.tenant, body.item_id, Viewer(who.scope.user))
        title = found.title
    noted = await request.app[MEMORY].note(
        who.scope,
        told(party, title, note),
        at=datetime.now(UTC),
        idempotency=Idempotency(
            _digest(f"{MADE}\0{body.key}"), _digest("\0".join((body.item_id or "", body.preset, note)))
        ),
        extra={MADE: "1", "item": body.item_id or "", "preset": body.preset},
        greeting=party.greeting(),
        speakers=party.speakers,
    )
    return json_response(MadeOut(noted=noted), status=201 if noted else 200)


def told(party: Party, title: str | None, note: str) -> str:
    """What stands in the conversation: words that the companion can speak of."""
    worn = f" wearing {title}" if title else ""
    more = f": {note}" if note else "."
    return f"({party.who.user_name} made a picture of {party.card.char}{worn}{more})"


async def _companion(request: web.Request, who: Who, record: CharacterRecord) -> CompanionOut:
    looks = request.app[CATALOG].looks
    look = await looks.find(who.scope.tenant, record.id)
    lora = await looks.lora(who.scope.tenant, look) if look is not None else None
    card = record.card
    return CompanionOut(
        id=record.id,
        name=card.char,
        names=sorted({card.char, card.name}),
        appearance=expand(card.description, card.char, who.user_name),
        lora=None if lora is None else LoraOut(name=lora.name, version=lora.version, sha256=lora.sha256),
    )


async def _worn(request: web.Request, who: Who) -> WornOut:
    item = await request.app[CATALOG].worn.get(who.scope.tenant, who.scope.user, who.scope.character)
    if item is None:
        return WornOut(item=None)
    return WornOut(
        item=WornItemOut(
            id=item.id,
            title=item.title,
            category=item.category,
            prompt_hint=item.prompt_hint,
            reference=item.reference,
        )
    )


async def _meant(request: web.Request) -> tuple[Who, CharacterRecord]:
    """Whose companion this is about.

    Raises:
        Forbidden: the key is not bound to a person.
        NotFound: there is no such character for them.
    """
    user = _bound(request)
    who = await who_is_meant(request)
    record = await request.app[CHARACTERS].get(who.scope.tenant, who.scope.character, Viewer(user))
    return who, record


def _bound(request: web.Request) -> str:
    if principal(request).user is None:
        raise Forbidden("This key is not bound to a user: create one with `vestige keys create NAME --user ID`.")
    return acting_user(request)


def _hash(model: BaseModel) -> str:
    return _digest(model.model_dump_json())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def routes() -> list[Route]:
    """Everything under `/v1/companion`."""
    here = "/v1/companion/{character_id}"
    return [
        Route("GET", "/v1/companion", index, "recall", "Which companions there are", _TAG, response=CompanionsOut),
        Route("GET", here, companion, "recall", "Who a companion is", _TAG, query=Query, response=CompanionOut),
        Route(
            "GET",
            f"{here}/memory",
            memory,
            "recall",
            "What a companion remembers",
            _TAG,
            query=RecollectionQuery,
            response=RecollectionOut,
        ),
        Route(
            "GET",
            f"{here}/state",
            state,
            "recall",
            "Whether anything changed",
            _TAG,
            "Cheap; with `If-None-Match` 304 while nothing did.",
            query=Query,
            response=StateOut,
        ),
        Route("GET", f"{here}/worn", worn, "recall", "What a companion wears", _TAG, query=Query, response=WornOut),
        Route(
            "GET",
            f"{here}/worn/picture",
            worn_picture,
            "recall",
            "The picture of what a companion wears",
            _TAG,
            query=Query,
            produces=("image/png",),
        ),
        Route(
            "POST",
            f"{here}/pictures",
            made,
            "remember",
            "Note that a picture was made",
            _TAG,
            "The companion can speak of it then. The same key is noted once.",
            request=MadeIn,
            response=MadeOut,
            status=201,
        ),
    ]
