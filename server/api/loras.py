"""Character LoRAs over HTTP, for those with the scope `admin`: files, versions, and which one is live."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from pydantic import BaseModel, ConfigDict, Field

from server.api.auth import principal
from server.api.body import read_json, read_query
from server.api.respond import json_response
from server.api.routes import Route
from server.api.services import LORAS, PUSHER, read_optional
from server.errors import InvalidRequest, NotFound, UnsupportedMedia
from server.loras.files import Verdict
from server.loras.push import HostVerdict
from server.loras.records import NOTES, SHA256, TRAINING, LoraFacts, LoraRecord, LoraSummary, Move
from server.loras.retrain import Concerned, concerned

__all__ = ["author", "lora_name", "lora_number", "routes"]

_TAG = "LoRAs"
_FILE = "application/octet-stream"
_PIECE_SECONDS = 60.0


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoraFileOut(BaseModel):
    """A file that was sent, and what its header tells."""

    sha256: str
    auto_v2: str
    auto_v3: str
    bytes: int
    facts: LoraFacts
    notices: list[str]


class LoraDraft(_Body):
    """`training`: the trainer's configuration as text. `dataset_report`: the sha256 of a `check-dataset` report."""

    sha256: str = Field(pattern=SHA256)
    notes: str = Field("", max_length=NOTES)
    training: str = Field("", max_length=TRAINING)
    dataset_report: str | None = Field(None, pattern=SHA256)


class LoraList(BaseModel):
    """By name, newest version first."""

    loras: list[LoraSummary]


class LoraVersionOut(BaseModel):
    """A version in full. It never changes."""

    name: str
    version: int
    live: bool
    file: LoraFileOut
    notes: str
    training: str
    dataset_report: str | None
    added: datetime
    added_by: str


class MoveOut(BaseModel):
    """Which version was live before, if any, and which is since."""

    at: datetime
    by: str
    before: int | None
    to: int


class LoraCharacter(BaseModel):
    """`hot`: its live version stays on the hosts that have it. `moves`: newest first."""

    name: str
    live: int
    hot: bool
    versions: list[LoraSummary]
    moves: list[MoveOut]


class LoraPromotion(_Body):
    """`if_live`: only where this version is live now, as one saw it."""

    version: int = Field(ge=1, le=999_999)
    if_live: int | None = Field(None, ge=1, le=999_999)


class LoraRollback(_Body):
    if_live: int | None = Field(None, ge=1, le=999_999)


class LoraHeat(_Body):
    hot: bool


class LoraVerdict(BaseModel):
    """What a file's bytes hash to now: in the store, and on each host by its name.

    `absent`: the host does not have it, and needs none yet. `unreachable`: nobody knows.
    """

    store: Verdict
    hosts: dict[str, HostVerdict]


class LoraListQuery(_Body):
    name: str | None = Field(None, description="Only this character's.")


class RetrainQuery(_Body):
    base: str = Field(max_length=64, description="The old base: ten characters or more of its sha256, or a lineage.")
    new: str | None = Field(None, max_length=64, description="The sha256 of the base that takes its place.")


class RetrainList(BaseModel):
    loras: list[Concerned]


async def upload(request: web.Request) -> web.StreamResponse:
    if request.content_type != _FILE:
        raise UnsupportedMedia(f"Send the file itself, with 'Content-Type: {_FILE}'.")
    file, new = await request.app[LORAS].take(
        principal(request).tenant, _pieces(request), length=request.content_length
    )
    return json_response(LoraFileOut.model_validate(file.model_dump()), status=201 if new else 200)


async def uploaded(request: web.Request) -> web.StreamResponse:
    file = await request.app[LORAS].file(principal(request).tenant, request.match_info["sha256"])
    return json_response(LoraFileOut.model_validate(file.model_dump()))


async def add(request: web.Request) -> web.StreamResponse:
    draft, who = await read_json(request, LoraDraft, limit=8 * (NOTES + TRAINING)), principal(request)
    record, new = await request.app[LORAS].add(
        who.tenant,
        lora_name(request),
        draft.sha256,
        by=author(request),
        notes=draft.notes,
        training=draft.training,
        dataset_report=draft.dataset_report,
    )
    return await _version(request, record, status=201 if new else 200)


async def listing(request: web.Request) -> web.StreamResponse:
    query = read_query(request, LoraListQuery)
    lines = await request.app[LORAS].registry.list_json(principal(request).tenant, query.name)
    return web.json_response(text=f'{{"loras":{lines}}}')


async def character(request: web.Request) -> web.StreamResponse:
    registry, tenant, name = request.app[LORAS].registry, principal(request).tenant, lora_name(request)
    versions = await registry.list(tenant, name)
    live = next((each.version for each in versions if each.live), None)
    if live is None:
        raise NotFound(f"There is no LoRA of {name}: add one with `vestige lora add {name} FILE`.")
    return json_response(
        LoraCharacter(
            name=name,
            live=live,
            hot=name in await registry.hot(tenant),
            versions=list(versions),
            moves=[_move(each) for each in await registry.moves(tenant, name)],
        )
    )


async def version(request: web.Request) -> web.StreamResponse:
    record = await request.app[LORAS].registry.get(principal(request).tenant, lora_name(request), lora_number(request))
    return await _version(request, record)


async def verify(request: web.Request) -> web.StreamResponse:
    loras, tenant = request.app[LORAS], principal(request).tenant
    record = await loras.registry.get(tenant, lora_name(request), lora_number(request))
    store, hosts = await asyncio.gather(
        loras.files.verify(record.file.sha256), request.app[PUSHER].verify(tenant, record.short)
    )
    return json_response(LoraVerdict(store=store, hosts=dict(hosts)))


async def promote(request: web.Request) -> web.StreamResponse:
    asked, who = await read_json(request, LoraPromotion), principal(request)
    moved = await request.app[LORAS].registry.promote(
        who.tenant, lora_name(request), asked.version, by=author(request), if_live=asked.if_live
    )
    return json_response(_move(moved))


async def rollback(request: web.Request) -> web.StreamResponse:
    asked, who = await read_optional(request, LoraRollback), principal(request)
    moved = await request.app[LORAS].registry.rollback(
        who.tenant, lora_name(request), by=author(request), if_live=asked.if_live
    )
    return json_response(_move(moved))


async def heat(request: web.Request) -> web.StreamResponse:
    asked = await read_json(request, LoraHeat)
    registry, tenant, name = request.app[LORAS].registry, principal(request).tenant, lora_name(request)
    await registry.set_hot(tenant, name, asked.hot)
    live = await registry.live(tenant, name)
    if live is not None:
        await request.app[PUSHER].follow(tenant, live)
    return await character(request)


async def retrain(request: web.Request) -> web.StreamResponse:
    query = read_query(request, RetrainQuery)
    versions = await request.app[LORAS].registry.list(principal(request).tenant)
    return json_response(RetrainList(loras=list(concerned(versions, query.base, new=query.new))))


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; given up where nothing comes for a minute."""
    try:
        while True:
            async with asyncio.timeout(_PIECE_SECONDS):
                piece = await request.content.readany()
            if not piece:
                return
            yield piece
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The body did not arrive in time.") from None
    except (PayloadEncodingError, web.RequestPayloadError) as error:
        raise InvalidRequest("The body broke off or is not framed as its headers say.", field="body") from error


async def _version(request: web.Request, record: LoraRecord, *, status: int = 200) -> web.StreamResponse:
    live = await request.app[LORAS].registry.live(principal(request).tenant, record.name)
    out = LoraVersionOut.model_validate(
        {**record.model_dump(), "live": live is not None and live.version == record.version}
    )
    return json_response(out, status=status)


def _move(move: Move) -> MoveOut:
    return MoveOut(at=move.at, by=move.by, before=move.before, to=move.to)


def author(request: web.Request) -> str:
    """Who changes something, as it is kept: an API key's id, else the role alone, so that no person's id stays when
    they are deleted.
    """
    who = principal(request)
    return who.credential if who.kind == "key" else who.role


def lora_name(request: web.Request) -> str:
    """The character's name in a route's path."""
    return request.match_info["lora"]


def lora_number(request: web.Request) -> int:
    """The version in a route's path.

    Raises:
        NotFound: it is no number.
    """
    text = request.match_info["version"].removeprefix("v")
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise NotFound("A version is a number, such as 3 or v3.")
    return int(text)


def routes() -> list[Route]:
    files, loras = "/v1/admin/lora-files", "/v1/admin/loras"
    one = loras + "/{lora}"
    return [
        Route(
            "POST",
            files,
            upload,
            "admin",
            "Send a LoRA file",
            _TAG,
            "A safetensors file of at most 4 GB as the body. It is hashed while it comes in, and kept once it is whole "
            "and its header is true; the same file again answers 200.",
            consumes=(_FILE,),
            response=LoraFileOut,
            status=201,
        ),
        Route("GET", files + "/{sha256}", uploaded, "admin", "A LoRA file", _TAG, response=LoraFileOut),
        Route("GET", loras, listing, "admin", "List LoRAs", _TAG, query=LoraListQuery, response=LoraList),
        Route("GET", one, character, "admin", "A character's LoRAs", _TAG, response=LoraCharacter),
        Route(
            "POST",
            one + "/versions",
            add,
            "admin",
            "Add a version",
            _TAG,
            "Of a file that was sent. A character's first version goes live. A file that is a version already answers "
            "200 with that one, as it was recorded.",
            request=LoraDraft,
            response=LoraVersionOut,
            status=201,
        ),
        Route("GET", one + "/versions/{version}", version, "admin", "A version in full", _TAG, response=LoraVersionOut),
        Route(
            "POST",
            one + "/versions/{version}/verify",
            verify,
            "admin",
            "Hash a version's file anew",
            _TAG,
            "In the store and on every host. What is damaged in the store is replaced by sending the file again.",
            response=LoraVerdict,
        ),
        Route(
            "PUT",
            one + "/live",
            promote,
            "admin",
            "Make a version live",
            _TAG,
            "Only this character's previews change. 409 where another version is live than `if_live`.",
            request=LoraPromotion,
            response=MoveOut,
        ),
        Route(
            "POST",
            one + "/rollback",
            rollback,
            "admin",
            "Go back to the version that was live before",
            _TAG,
            request=LoraRollback,
            response=MoveOut,
        ),
        Route(
            "PUT",
            one + "/hot",
            heat,
            "admin",
            "Keep the live version on the hosts",
            _TAG,
            request=LoraHeat,
            response=LoraCharacter,
        ),
        Route(
            "GET",
            "/v1/admin/lora-retrain",
            retrain,
            "admin",
            "What a change of base concerns",
            _TAG,
            query=RetrainQuery,
            response=RetrainList,
        ),
    ]
