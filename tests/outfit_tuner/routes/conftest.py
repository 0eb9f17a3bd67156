"""A real aiohttp server with the pack's routes on a real socket."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from comfy_nodes.outfit_tuner.routes import Route, guarded
from comfy_nodes.outfit_tuner.routes.auth import TOKEN_VARIABLE

TOKEN = "correct-horse-battery-staple"
Serve = Callable[[Sequence[Route]], Awaitable[httpx.AsyncClient]]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    return TOKEN


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves routes; the client has the token."""
    async with AsyncExitStack() as stack:

        async def start(routes: Sequence[Route]) -> httpx.AsyncClient:
            table = web.RouteTableDef()
            for route in routes:
                table.route(route.method, route.path)(guarded(route.handler))
            app = web.Application()
            app.add_routes(table)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            client = httpx.AsyncClient(
                base_url=str(server.make_url("/")),
                headers={"Authorization": f"Bearer {TOKEN}"},
                trust_env=False,
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # not used, and an empty one is made at once
            )
            return await stack.enter_async_context(client)

        yield start
