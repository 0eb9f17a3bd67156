"""A route of the pack: what it answers to, and the guard that every one of them stands behind."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath

from aiohttp import web

from .auth import authorise
from .errors import RouteError

__all__ = ["Handler", "Route", "guarded"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Route:
    """`path` begins with `/vestige`. The handler raises `RouteError` for whatever it refuses."""

    method: str
    path: str
    handler: Handler


def guarded(handler: Handler) -> Handler:
    """The handler, for those who have the token; whatever it raises becomes an answer in the pack's error shape."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            authorise(request)
            response = await handler(request)
        except RouteError as error:
            response = web.json_response(error.payload(), status=error.status)
            if error.status == 401:
                response.headers["WWW-Authenticate"] = 'Bearer realm="vestige"'
        except web.HTTPException:
            raise
        except Exception as error:
            # the place, not the message: it may quote what somebody sent
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{PurePath(place.filename).name}:{place.lineno}"
            _log.error("%s %s failed with %s at %s", request.method, _template(request), type(error).__name__, where)
            _log.debug("The failure in full", exc_info=True)
            response = web.json_response(
                RouteError("Something in the pack failed: see ComfyUI's log.").payload(), status=500
            )
        if not response.prepared:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return answer


def _template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "?" if resource is None else resource.canonical
