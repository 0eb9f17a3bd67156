"""The administration API for the command line: of the running server, or of one that lives as long as the command.

Either way a command is an HTTP call, so that it does the same whether the server runs or not.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiohttp import web

from server.accounts.service import Accounts
from server.api import admin, middlewares
from server.api.keys import ACCOUNTS, METRICS, SETTINGS
from server.api.routes import add_routes
from server.cli.running import Running, find
from server.datafolder import DataFolder
from server.errors import NotFound, VestigeError
from server.metrics import Metrics
from server.settings import Settings
from server.stores.redis import open_redis

_SECONDS = 30.0


class CommandFailed(VestigeError):
    """The server refused; its own sentence says why."""


class AdminApi:
    """Calls with the owner's credential."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> Any:
        """The answer's JSON, None where it has none.

        Raises:
            NotFound: the server knows no such thing.
            CommandFailed: it refused, or went away.
        """
        return _json(await self._asked(method, path, json=body, params=query, timeout=seconds))

    async def send(self, path: str, pieces: AsyncIterator[bytes], length: int, *, seconds: float) -> Any:
        """Posts a file of `length` bytes as it is read; the answer's JSON. Raises as `call`."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        return _json(await self._asked("POST", path, content=pieces, headers=headers, timeout=seconds))

    async def fetch(self, path: str, *, seconds: float = _SECONDS) -> bytes:
        """The answer as it is, such as a picture. Raises as `call`."""
        return (await self._asked("GET", path, timeout=seconds)).content

    async def _asked(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = await self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise CommandFailed(f"The server did not answer ({type(error).__name__}): try again.") from error
        if response.is_error:
            refused = NotFound if response.status_code == NotFound.status else CommandFailed
            raise refused(response.json()["error"]["message"])
        return response


def _json(response: httpx.Response) -> Any:
    return response.json() if response.content else None


@asynccontextmanager
async def running_api(running: Running) -> AsyncIterator[AdminApi]:
    """The API of a server that runs."""
    headers = {"Authorization": f"Bearer {running.token}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=_SECONDS) as client:
        yield AdminApi(client)


@asynccontextmanager
async def admin_api(settings: Settings) -> AsyncIterator[AdminApi]:
    """The API of whichever server has the data folder open, or else of our own.

    Raises:
        StartupError: no server runs, and the data folder or the store cannot be opened either.
    """
    running = find(settings.data)
    if running is not None:
        async with running_api(running) as api:
            yield api
        return
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
        client = httpx.AsyncClient(transport=transport, base_url=url, headers=headers, timeout=_SECONDS)
        yield AdminApi(await stack.enter_async_context(client))
