"""The administration API without a server that runs: of one that lives as long as the command."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
from aiohttp import web

from server.accounts.service import Accounts
from server.api import admin, middlewares
from server.api.keys import ACCOUNTS, METRICS, SETTINGS
from server.api.routes import add_routes
from server.cli.admin import SECONDS
from server.datafolder import DataFolder
from server.metrics import Metrics
from server.settings import Settings
from server.stores.redis import open_redis


@asynccontextmanager
async def alone(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in as the owner.

    Raises:
        StartupError: the data folder or the store cannot be opened.
    """
    token = secrets.token_urlsafe(32)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data).open())
        redis = await stack.enter_async_context(open_redis(settings, folder))
        app = web.Application()
        app[SETTINGS], app[METRICS] = settings, Metrics()
        app[ACCOUNTS] = Accounts(redis.state, settings, owner_token=token)
        middlewares.install(app)
        add_routes(app, admin.routes())
        runner = web.AppRunner(app, **middlewares.server_options())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # a private folder of its own: the data folder's path may be too long for a socket
        socket = Path(stack.enter_context(TemporaryDirectory(prefix="vestige-"))) / "admin.sock"
        await web.UnixSite(runner, str(socket)).start()
        # plain HTTP on our own socket, whatever people use: all that the address is for is a name that is answered to
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{urlsplit(settings.public_url).netloc if settings.public_url else f'{host}:{settings.port}'}"
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.AsyncClient(transport=transport, base_url=url, headers=headers, timeout=SECONDS)
        yield await stack.enter_async_context(client)
