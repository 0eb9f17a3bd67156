"""For those who run the server: is it up, is it whole, what does it count, what can it do."""

import asyncio
import time

import structlog
from aiohttp import web
from pydantic import BaseModel

from server import __version__
from server.api.docs import STYLE_HASH, render_docs
from server.api.keys import CHECKS, METRICS, Check
from server.api.openapi import build_document
from server.api.respond import json_bytes, json_response
from server.api.routes import ROUTES, Route
from server.errors import VestigeError

__all__ = ["install", "routes"]

_log = structlog.get_logger(__name__)

_TAG = "Operation"
_CHECK_SECONDS = 2.0
_DOCS_POLICY = (
    f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Health(BaseModel):
    status: str
    version: str


class CheckResult(BaseModel):
    """`ms`: how long the check took, in milliseconds. `error`: what is wrong, as a sentence."""

    ok: bool
    ms: int
    error: str | None = None


class Ready(BaseModel):
    """`degraded` comes with status 503."""

    status: str
    checks: dict[str, CheckResult]


class Descriptions:
    """Of the whole API: an OpenAPI document, and a page for people. Made when one is first asked for: that takes a
    fifth of a second, and most starts of a server are for something else."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._made: asyncio.Task[tuple[bytes, str]] | None = None

    async def get(self) -> tuple[bytes, str]:
        if self._made is None:
            self._made = asyncio.create_task(asyncio.to_thread(self._make), name="api-descriptions")
        return await asyncio.shield(self._made)

    def _make(self) -> tuple[bytes, str]:
        document = build_document(self._app[ROUTES])
        return json_bytes(document), render_docs(document)


DESCRIPTIONS: web.AppKey[Descriptions] = web.AppKey("descriptions", Descriptions)


def install(app: web.Application) -> None:
    """For `document` and `docs`, of the routes that the app has by the time they are asked for."""
    app[DESCRIPTIONS] = Descriptions(app)


async def health(request: web.Request) -> web.StreamResponse:
    return json_response(Health(status="ok", version=__version__))


async def ready(request: web.Request) -> web.StreamResponse:
    checks = request.app[CHECKS]
    results = await asyncio.gather(*(_run(name, check) for name, check in checks.items()))
    whole = all(result.ok for result in results)
    body = Ready(status="ok" if whole else "degraded", checks=dict(zip(checks, results, strict=True)))
    return json_response(body, status=200 if whole else 503)


async def metrics(request: web.Request) -> web.StreamResponse:
    body, content_type = request.app[METRICS].exposition()
    return web.Response(body=body, headers={"Content-Type": content_type})


async def document(request: web.Request) -> web.StreamResponse:
    written, _ = await request.app[DESCRIPTIONS].get()
    return web.Response(body=written, content_type="application/json")


async def docs(request: web.Request) -> web.StreamResponse:
    _, page = await request.app[DESCRIPTIONS].get()
    return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _DOCS_POLICY})


async def _run(name: str, check: Check) -> CheckResult:
    began, error = time.perf_counter(), None
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        error = f"It did not answer within {_CHECK_SECONDS:g} s."
    except VestigeError as failure:
        error = failure.message
    except Exception as failure:
        # whatever a store's library raises means that the store is not ready; the details are for the log
        _log.warning("check_failed", check=name, error=type(failure).__qualname__)
        error = "It failed; the server's log says more."
    return CheckResult(ok=error is None, ms=round((time.perf_counter() - began) * 1000), error=error)


def routes() -> list[Route]:
    text = ("text/plain",)
    return [
        Route("GET", "/health", health, "open", "Is the process up", _TAG, response=Health),
        Route(
            "GET",
            "/ready",
            ready,
            "ops",
            "Does everything it needs answer",
            _TAG,
            "503 with the same body where something does not.",
            response=Ready,
        ),
        Route("GET", "/metrics", metrics, "ops", "Counters for Prometheus", _TAG, produces=text),
        Route("GET", "/openapi.json", document, "ops", "This API as an OpenAPI document", _TAG),
        Route("GET", "/docs", docs, "ops", "This API as a page", _TAG, produces=("text/html",)),
    ]
