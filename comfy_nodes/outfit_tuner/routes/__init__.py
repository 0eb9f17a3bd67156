"""The pack's routes on ComfyUI's own server, for the chat server and the editor: `docs/pack-routes.md`.

To add some: give a module a class with what it needs in its constructor and a `routes()` that returns a list of
`route.Route`, and name it in `pack_routes`. A handler raises what is in `errors.py`, reads bodies with `body.py`, and
does not look at the token: `register` puts every route behind the guard.
"""

from __future__ import annotations

import sys
from typing import Any

from aiohttp import web

from ..presets.here import presets_here
from .presets import PresetRoutes
from .route import Route, guarded

__all__ = ["Route", "guarded", "pack_routes", "register"]


def pack_routes() -> list[Route]:
    """Every route of the pack."""
    routes: list[Route] = [*PresetRoutes(presets_here).routes()]
    return [Route("GET", "/vestige", _listing(routes)), *routes]


def register() -> None:
    """Puts the routes on ComfyUI's server, which serves each under `/api` too. Nothing happens without one."""
    server = _prompt_server()
    if server is None:
        return
    for route in pack_routes():
        server.routes.route(route.method, route.path)(guarded(route.handler))


def _prompt_server() -> Any | None:
    """Looked up and not imported: outside ComfyUI `server` is a package of this repository."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def _listing(routes: list[Route]) -> Any:
    paths = sorted({route.path for route in routes})

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"pack": "vestige", "routes": paths})

    return listing
