"""One declaration per operation. The router and the OpenAPI document are both made from it, so they cannot drift."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from server.api.auth import authenticate, before_generating
from server.api.keys import ERRORS, SETTINGS, ErrorBody
from server.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Access = Literal["open", "ops", "any", "chat", "memory", "characters", "catalog", "recall", "remember", "admin"]

JSON = ("application/json",)


@dataclass(frozen=True, slots=True)
class Route:
    """An operation: where it is, who may use it, what goes in and out.

    `access`: `open` to everyone; `ops` to everyone on a server that only loopback reaches, else to any credential;
    `any` to every credential; or the scope it takes. The check runs before the handler, so a handler cannot forget it.
    `events`: the server-sent events of an operation that streams, name → model of the data. `errors`: how its errors
    look where clients expect another shape than ours. `generates`: a model's reply is what is asked for.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    access: Access
    summary: str
    tag: str
    description: str = ""
    request: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    consumes: tuple[str, ...] = JSON
    produces: tuple[str, ...] = JSON
    events: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    errors: ErrorBody | None = None
    generates: bool = False


ROUTES: web.AppKey[list[Route]] = web.AppKey("routes", list)


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Puts `routes` into the app's router, each behind its access check, and notes them for the document."""
    noted = app.setdefault(ROUTES, [])
    for route in routes:
        app.router.add_route(route.method, route.path, guarded(route))
        noted.append(route)


def guarded(route: Route) -> Handler:
    """`route.handler` behind the check of who may use it."""

    async def handler(request: web.Request) -> web.StreamResponse:
        access = route.access
        if route.errors is not None:
            request[ERRORS] = route.errors
        if access != "open" and not (access == "ops" and only_loopback(request.app[SETTINGS])):
            with before_generating() if route.generates else nullcontext():
                who = await authenticate(request)
            if access not in ("ops", "any"):
                who.need(access)
        return await route.handler(request)

    return handler


def only_loopback(settings: Settings) -> bool:
    """Whether nobody but this machine's own programs reaches the server, as far as the settings can tell.

    A server bound to loopback behind a proxy has a public name, and is not private.
    """
    return settings.on_loopback and not settings.public_url and not settings.allowed_hosts
