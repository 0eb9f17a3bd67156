"""The shop and the looks as one document, for `vestige catalog`."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.api.auth import principal
from server.api.body import read_json, read_query
from server.api.keys import SETTINGS
from server.api.respond import json_response
from server.api.routes import Route
from server.api.schemas import Query
from server.api.services import CATALOG, CHARACTERS
from server.catalog.folder_exchange.documents import MOST, Problem
from server.catalog.items import limits
from server.catalog.looks.model import Look
from server.catalog.looks.names import names_of
from server.catalog.records import Viewer

_TAG = "Catalog"


class CatalogIn(BaseModel):
    """Items of the shop and looks, by id. `dry_run`: only say what would be done, and what is wrong."""

    model_config = ConfigDict(extra="forbid")

    items: dict[str, Any] = Field({}, max_length=MOST)
    looks: dict[str, Any] = Field({}, max_length=MOST)
    dry_run: bool = False


class ImportedOut(BaseModel):
    """What was done, or would be. With `problems` nothing was: they are all there are."""

    created: list[str]
    changed: list[str]
    unchanged: list[str]
    problems: list[Problem]


class LooksQuery(Query):
    after: str | None = Field(None, max_length=64, description="Looks of characters after this one.")
    limit: int = Field(limits.PAGE, ge=1, le=limits.LONGEST_PAGE)


class LookList(BaseModel):
    """Looks by character. `next`: after which character the following page begins, null at the end."""

    looks: list[Look]
    next: str | None


async def bring_in(request: web.Request) -> web.StreamResponse:
    body = await read_json(request, CatalogIn, limit=request.app[SETTINGS].body_bytes)
    who = principal(request)

    async def names(character: str) -> Sequence[str]:
        found = await request.app[CHARACTERS].get(who.tenant, character, Viewer(who.user, admin=True))
        return names_of(found.card)

    done = await request.app[CATALOG].importer.run(
        who.tenant, Viewer(who.user, admin=True, keeper=True), body.items, body.looks, names, dry=body.dry_run
    )
    return json_response(
        ImportedOut(
            created=list(done.created),
            changed=list(done.changed),
            unchanged=list(done.unchanged),
            problems=list(done.problems),
        )
    )


async def list_looks(request: web.Request) -> web.StreamResponse:
    query = read_query(request, LooksQuery)
    looks = await request.app[CATALOG].looks.all(principal(request).tenant, after=query.after, limit=query.limit + 1)
    page = looks[: query.limit]
    return json_response(LookList(looks=list(page), next=page[-1].character if len(looks) > len(page) else None))


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/admin/catalog",
            bring_in,
            "admin",
            "Import items and looks",
            _TAG,
            "All of them or, where something is wrong, none, with everything that is. The same again changes nothing.",
            request=CatalogIn,
            response=ImportedOut,
        ),
        Route("GET", "/v1/admin/looks", list_looks, "admin", "List looks", _TAG, query=LooksQuery, response=LookList),
    ]
