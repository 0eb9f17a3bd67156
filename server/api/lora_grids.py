"""QA grids over HTTP, for those with the scope `admin`: a LoRA's versions side by side over fixed prompts and seeds."""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from server.api.auth import principal
from server.api.loras import author, lora_name, lora_number
from server.api.respond import json_response
from server.api.routes import Route
from server.api.services import GRIDS, read_optional
from server.render.grids.model import MOST_PICTURES, Grid, GridPrompt, GridState
from server.render.previews.subject import MAX_SCENE
from server.render.previews.types import Person

__all__ = ["routes"]

_TAG = "LoRAs"


class GridDraft(BaseModel):
    """`against`: a version to hold it against. `character_id`: in whose look; one that wears this LoRA if left out.

    `prompts`: scene and composition. `prompts` and `seeds`: the standard ones if left out.
    """

    model_config = ConfigDict(extra="forbid")

    against: int | None = Field(None, ge=1, le=999_999)
    character_id: str | None = None
    prompts: list[Annotated[str, Field(min_length=1, max_length=MAX_SCENE)]] = Field([], max_length=MOST_PICTURES)
    seeds: list[Annotated[int, Field(ge=0, lt=2**64)]] = Field([], max_length=MOST_PICTURES)


class GridOut(BaseModel):
    """`ready` and `running` of `total` pictures. `problems`: why some are missing that nothing makes any more.

    `finished`: nothing more comes by itself; the sheet shows what is there.
    """

    id: str
    lora: str
    version: int
    against: int | None
    character_id: str
    prompts: list[GridPrompt]
    seeds: list[int]
    created: datetime
    by: str
    total: int
    ready: int
    running: int
    finished: bool
    problems: list[str]
    sheet: str


class GridList(BaseModel):
    """The grids of a version by id, newest first."""

    grids: list[str]


async def ask(request: web.Request) -> web.StreamResponse:
    draft, who = await read_optional(request, GridDraft), principal(request)
    state = await request.app[GRIDS].ask(
        Person(who.tenant, who.user, who.tier, who.name, admin=True),
        lora_name(request),
        lora_number(request),
        by=author(request),
        against=draft.against,
        character=draft.character_id,
        prompts=draft.prompts,
        seeds=draft.seeds,
    )
    return json_response(_grid(state), status=202)


async def listing(request: web.Request) -> web.StreamResponse:
    found = await request.app[GRIDS].all(principal(request).tenant, lora_name(request), lora_number(request))
    return json_response(GridList(grids=[grid.id for grid in found]))


async def one(request: web.Request) -> web.StreamResponse:
    state = await request.app[GRIDS].get(
        principal(request).tenant, lora_name(request), lora_number(request), request.match_info["grid"]
    )
    return json_response(_grid(state))


async def sheet(request: web.Request) -> web.StreamResponse:
    made = await request.app[GRIDS].sheet(
        principal(request).tenant, lora_name(request), lora_number(request), request.match_info["grid"]
    )
    return web.Response(body=made, content_type="image/png", headers={"Cache-Control": "private, no-cache"})


def _grid(state: GridState) -> GridOut:
    grid: Grid = state.grid
    return GridOut(
        id=grid.id,
        lora=grid.lora,
        version=grid.version,
        against=grid.against,
        character_id=grid.character,
        prompts=list(grid.prompts),
        seeds=list(grid.seeds),
        created=datetime.fromisoformat(grid.created),
        by=grid.by,
        total=state.total,
        ready=state.ready,
        running=state.running,
        finished=state.finished,
        problems=list(state.problems),
        sheet=f"/v1/admin/loras/{grid.lora}/versions/{grid.version}/grids/{grid.id}/sheet",
    )


def routes() -> list[Route]:
    grids = "/v1/admin/loras/{lora}/versions/{version}/grids"
    return [
        Route(
            "POST",
            grids,
            ask,
            "admin",
            "Render a grid",
            _TAG,
            "Fixed prompts by fixed seeds through the render queue, behind all people; with `against` two versions "
            "beside each other. The same grid again renders what is missing of it.",
            request=GridDraft,
            response=GridOut,
            status=202,
        ),
        Route("GET", grids, listing, "admin", "A version's grids", _TAG, response=GridList),
        Route("GET", grids + "/{grid}", one, "admin", "How far a grid is", _TAG, response=GridOut),
        Route(
            "GET",
            grids + "/{grid}/sheet",
            sheet,
            "admin",
            "A grid's contact sheet",
            _TAG,
            "409 while pictures are still to come.",
            produces=("image/png",),
        ),
    ]
