"""References: the pictures that items are made with, by upload or by address."""

from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.api.body import read_json, read_query, read_upload
from server.api.catalog import viewing
from server.api.objects import picture_response
from server.api.respond import json_response
from server.api.routes import JSON, Route
from server.api.schemas import Query
from server.api.services import OBJECTS, REFERENCES
from server.catalog.limits import FILE_BYTES
from server.catalog.references import Reference
from server.catalog.references.store import path_of
from server.errors import Conflict, InvalidRequest, NotFound, UnsupportedMedia

MOST_OF_ONE = 500
"""References of one person; those that no item uses go after a day."""

_TAG = "References"
_PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "application/octet-stream", "multipart/form-data")


class ReferenceByUrl(BaseModel):
    """`url`: an https address, presigned ones too. It is fetched now and kept nowhere."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=8_192)
    user_id: str | None = None


class FindingOut(BaseModel):
    """What will hurt the pictures made with it. `text` says what to do."""

    kind: Literal["busy_background", "person", "small", "cropped"]
    text: str


class ReferenceOut(BaseModel):
    """A stored picture, re-encoded and without metadata. `picture` is its address; sizes in pixels and bytes."""

    sha256: str
    width: int
    height: int
    bytes: int
    findings: list[FindingOut]
    picture: str


async def add(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    references = request.app[REFERENCES]
    if request.content_type in JSON:
        body = await read_json(request, ReferenceByUrl)
        tenant, user = await _bringing(request, body.user_id)
        return _reference(await references.fetch(body.url, tenant, user))
    if request.content_type not in _PICTURE_TYPES:
        raise UnsupportedMedia('Send a PNG, JPEG or WebP as it is, a form with the part "file", or {"url"} as JSON.')
    tenant, user = await _bringing(request)
    upload = await read_upload(request, limit=FILE_BYTES + 16_384)
    if not upload.content:
        raise InvalidRequest("The picture is empty.", field="body")
    return _reference(await references.add(upload.content, tenant, user))


async def read(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    return _reference(await request.app[REFERENCES].get(await _seen(request)), status=200)


async def picture(request: web.Request) -> web.StreamResponse:
    read_query(request, Query)
    sha256 = await _seen(request)
    return await picture_response(request, request.app[OBJECTS], path_of(sha256), etag=sha256, own=True)


async def _bringing(request: web.Request, user_id: str | None = None) -> tuple[str, str | None]:
    """The tenant, and whose the picture will be; None is the shop.

    Raises:
        Conflict: they have too many already.
    """
    tenant, viewer = viewing(request, user_id)
    bounded = not (viewer.keeper or viewer.admin)
    if bounded and await request.app[REFERENCES].count(tenant, viewer.user) >= MOST_OF_ONE:
        raise Conflict(f"You have {MOST_OF_ONE} pictures already: delete items that you do not need.")
    return tenant, viewer.user


async def _seen(request: web.Request) -> str:
    """The reference that the path names, if who asks brought it or is an admin.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    sha256, references = request.match_info["sha256"], request.app[REFERENCES]
    tenant, viewer = viewing(request)
    seen = await references.may_use(sha256, tenant, viewer.user)
    if not seen and viewer.admin:
        seen = await references.known_in(sha256, tenant)
    if not seen:
        raise NotFound("There is no such reference: add the picture first.")
    return sha256


def _reference(reference: Reference, *, status: int = 201) -> web.Response:
    out = ReferenceOut(
        sha256=reference.sha256,
        width=reference.width,
        height=reference.height,
        bytes=reference.bytes,
        findings=[FindingOut(kind=finding.kind, text=finding.text) for finding in reference.findings],
        picture=f"/v1/references/{reference.sha256}/picture",
    )
    return json_response(out, status=status)


def routes() -> list[Route]:
    references = "/v1/references"
    one = references + "/{sha256}"
    return [
        Route(
            "POST",
            references,
            add,
            "catalog",
            "Add a picture",
            _TAG,
            'A PNG, JPEG or WebP: the body itself, the part `file` of a form, or `{"url"}` as JSON. The same picture '
            "twice is one reference. `findings` say what will hurt the pictures made with it.",
            request=ReferenceByUrl,
            query=Query,
            consumes=(*_PICTURE_TYPES, *JSON),
            response=ReferenceOut,
            status=201,
        ),
        Route("GET", one, read, "catalog", "Read a reference", _TAG, query=Query, response=ReferenceOut),
        Route("GET", one + "/picture", picture, "catalog", "The picture", _TAG, query=Query, produces=("image/png",)),
    ]
