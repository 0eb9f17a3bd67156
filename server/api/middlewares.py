"""What happens to every request and response, whichever handler is behind: `install(app)` puts it on.

    observe     request id, one log line, metrics
    errors      whatever went wrong, as JSON in the one shape
    gate        Host, Origin, compressed bodies
    → the route's own access check (routes.py) → the handler

`server_options` belongs to it: what the HTTP server under the app must be told.
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from server.api.auth import drop_cookie
from server.api.hosts import check_host, check_origin
from server.api.keys import ERRORS, METRICS, PRINCIPAL, REQUEST_ID, SETTINGS, STALE_COOKIE, STANDINGS, STARTED
from server.api.respond import error_json, json_response, limit_headers
from server.api.wire import LINE_BYTES, WireLog
from server.errors import (
    GenerationDisabled,
    RateLimited,
    StoreUnavailable,
    Unauthenticated,
    UnsupportedMedia,
    VestigeError,
)
from server.frames import frames, kinds

__all__ = ["install", "server_options"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = frozenset({"/health", "/ready", "/metrics"})
_CLIENT_LEFT = 499

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Beside what a handler says itself, such as the hash of a page's own style."""

_SENTENCES = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
}


def install(app: web.Application) -> None:
    """Puts the middlewares and headers on `app`, which has its services already."""
    app.middlewares.extend((_observe, _errors, _gate))
    app.on_response_prepare.append(_prepare)


def server_options() -> dict[str, Any]:
    """Keyword arguments for `web.AppRunner`.

    Nothing is decompressed: aiohttp would do so while the bytes arrive, before any handler can refuse them, and a body
    of thousands of empty gzip members stalls it (CVE-2026-128131).
    """
    return {
        "access_log": None,
        "logger": WireLog(),
        "auto_decompress": False,
        "max_line_size": LINE_BYTES,
        "max_field_size": 8_190,
        "max_headers": 64,
        "lingering_time": 2.0,
    }


@web.middleware
async def _observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    route = _route(request)
    status, began = _CLIENT_LEFT, time.perf_counter()
    with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            seconds = time.perf_counter() - began
            request.app[METRICS].request(request.method if route != "unmatched" else "any", route, status, seconds)
            who = request.get(PRINCIPAL)
            log = _log.debug if route in _QUIET else _log.info
            log(
                "request",
                method=request.method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                who=None if who is None else who.credential,
            )


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except VestigeError as error:
        if isinstance(error, StoreUnavailable | GenerationDisabled):
            request.app[METRICS].store_error(str(error.details.get("store", "other")))
        shape = request.get(ERRORS)
        response = error_json(error, None if shape is None else shape(error))
        if isinstance(error, Unauthenticated | RateLimited) and request.get(STALE_COOKIE):
            # the browser would show it again with every request, and each would count as a wrong credential
            drop_cookie(request, response)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _http_error(error)
    except ConnectionResetError:
        # the client left while we read from it or wrote to it: nobody is there to be answered
        return web.Response(status=_CLIENT_LEFT)
    except Exception as error:
        # the message of an unforeseen exception may quote what a person wrote: its type and place must do
        _log.error("unexpected_error", error=kinds(error), frames=frames(error))
        response = error_json(
            VestigeError("Something went wrong inside the server; its log says what.", request_id=request[REQUEST_ID])
        )
    if request.get(STARTED):
        # half an answer went out: breaking the connection is the one way left to say that it is not whole
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=response.status)
    return response


@web.middleware
async def _gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    check_host(request)
    check_origin(request)
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("Compressed bodies are not taken: send it as it is, without Content-Encoding.")
    return await handler(request)


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    request[STARTED] = True
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if (request.app[SETTINGS].public_url or "").startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.setdefault("Cache-Control", "no-store")
    if standings := request.get(STANDINGS):
        response.headers.update(limit_headers(standings))
    response.headers["Server"] = "vestige"
    response.headers["X-Request-Id"] = request[REQUEST_ID]


def _route(request: web.Request) -> str:
    """The route's template, so that neither logs nor labels hold what a client put into an address."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical


def _http_error(error: web.HTTPException) -> web.Response:
    code = error.reason.lower().replace(" ", "_")
    message = _SENTENCES.get(error.status, f"{error.reason}.")
    allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    body = {"error": {"code": code, "message": message, "details": {}}}
    return json_response(body, status=error.status, headers=allowed)
