"""The pack's routes on ComfyUI's own server, for the chat server and the editor: `docs/pack-routes.md`.

To add some: give a module a class with what it needs in its constructor and a `routes()` that returns a list of
`route.Route`, and name it in `pack_routes`. A handler raises what is in `errors.py`, reads bodies with `body.py`, and
does not look at the token: `register` puts every route behind the guard.
"""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from ...host import prompt_server
from ..forgetting.here import forgetter_here
from ..models_here import files_here, hashes_here, loras_here, pushed_loras_here
from ..presets.here import presets_here
from ..references.here import fetcher_here, references_here
from ..submissions.here import submissions_here
from .forget import ForgetRoutes
from .lora_files import LoraFileRoutes
from .loras import LoraRoutes
from .models import ModelRoutes
from .presets import PresetRoutes
from .references import ReferenceRoutes
from .route import Route, guarded
from .submit import SubmitRoutes

__all__ = ["Route", "guarded", "pack_routes", "register"]

_PROCESS = uuid.uuid4().hex  # another one after each restart


def pack_routes() -> list[Route]:
    """Every route of the pack."""
    routes: list[Route] = [
        *LoraRoutes(loras_here, hashes_here).routes(),
        *LoraFileRoutes(pushed_loras_here).routes(),
        *ModelRoutes(files_here, hashes_here).routes(),
        *PresetRoutes(presets_here).routes(),
        *ReferenceRoutes(references_here, fetcher_here).routes(),
        *SubmitRoutes(submissions_here).routes(),
        *ForgetRoutes(forgetter_here).routes(),
    ]
    return [Route("GET", "/vestige", _listing(routes)), *routes]


def register() -> None:
    """Puts the routes on ComfyUI's server, which serves each under `/api` too. Nothing happens without one."""
    try:
        server = prompt_server()
    except RuntimeError:
        return
    for route in pack_routes():
        server.routes.route(route.method, route.path)(guarded(route.handler))


def _listing(routes: list[Route]) -> Any:
    paths = sorted({route.path for route in routes})

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"pack": "vestige", "process": _PROCESS, "routes": paths})

    return listing
