"""The administration API for the command line: of the running server, or of one that lives as long as the command.

Either way a command is an HTTP call, so that it does the same whether the server runs or not.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from server.cli.running import Running, find
from server.errors import NotFound, VestigeError
from server.settings import Settings

SECONDS = 30.0


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
        seconds: float = SECONDS,
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

    async def fetch(self, path: str, *, seconds: float = SECONDS) -> bytes:
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
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=SECONDS) as client:
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
    from server.cli.alone import alone  # what it needs takes a second to import

    async with alone(settings) as client:
        yield AdminApi(client)
