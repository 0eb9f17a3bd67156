"""Everything that is kept, as one file, while the server runs."""

from datetime import UTC, datetime

import structlog
from aiohttp import web

from server.api.auth import principal
from server.api.body import read_query
from server.api.respond import attachment
from server.api.routes import Route
from server.api.schemas import Query
from server.backup.take import Sources, take_backup
from server.errors import Forbidden

__all__ = ["SOURCES", "routes"]

SOURCES: web.AppKey[Sources] = web.AppKey("backup", Sources)
_log = structlog.get_logger(__name__)


async def backup(request: web.Request) -> web.StreamResponse:
    """A failure on the way closes the connection: a file without its manifest is refused by `restore`."""
    read_query(request, Query)
    if principal(request).role != "owner":  # admins see their tenant, and this is all of them
        raise Forbidden("A backup holds what every tenant said: only the owner takes one.", reason="owner")
    name = f"vestige-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    response = web.StreamResponse(
        headers={"Content-Type": "application/x-tar", "Content-Disposition": attachment(name)}
    )
    await response.prepare(request)
    size = 0
    async for piece in take_backup(request.app[SOURCES]):
        size += len(piece)
        await response.write(piece)
    await response.write_eof()
    _log.info("backup_sent", bytes=size)
    return response


def routes() -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/admin/backup",
            backup,
            "admin",
            "Everything that is kept, as one file",
            "Operation",
            "For the owner: conversations, memories, accounts, money, catalog and characters of all tenants; pictures "
            "and model files where they are kept in a folder. `vestige restore` takes it.",
            query=Query,
            produces=("application/x-tar",),
        )
    ]
