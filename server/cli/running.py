"""How the command line finds the server that has a data folder open: a private file with its address and token."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx

from server.datafolder import DataFolder
from server.errors import StartupError
from server.settings import Settings

if TYPE_CHECKING:
    from server.cli.admin import AdminApi

T = TypeVar("T")

_NAME = "server.json"
_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server on this machine. `token` is the owner's credential for as long as it runs."""

    pid: int
    url: str
    token: str

    def __repr__(self) -> str:
        return f"Running(pid={self.pid}, url={self.url!r})"


@contextmanager
def announced(folder: DataFolder, running: Running) -> Iterator[None]:
    """Leaves word of this server in its data folder, readable by its own account only, while it runs."""
    path = folder.run / _NAME
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(running), file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find(data: Path) -> Running | None:
    """The server that has this folder open and answers; None where there is none."""
    try:
        running = Running(**json.loads((DataFolder(data).run / _NAME).read_text(encoding="utf-8")))
        httpx.get(f"{running.url}/health", timeout=_SECONDS).raise_for_status()
    except (OSError, ValueError, TypeError, httpx.HTTPError):
        return None
    return running


def running_server(data: Path) -> Running:
    """The server that has this folder open.

    Raises:
        StartupError: there is none.
    """
    running = find(data)
    if running is None:
        raise StartupError(f"No server runs on {data}: start it with `vestige serve`, or name its folder with --data.")
    return running


def with_server(settings: Settings, use: "Callable[[AdminApi], Awaitable[T]]") -> T:
    """What `use` returns, called with the API of the running server.

    Raises:
        StartupError: no server runs on this data folder.
        CommandFailed: it refused.
    """
    from server.cli.admin import running_api  # what it needs takes a second to import

    running = running_server(settings.data)

    async def call() -> T:
        async with running_api(running) as api:
            return await use(api)

    return asyncio.run(call())
