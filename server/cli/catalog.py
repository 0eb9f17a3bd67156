"""`vestige catalog`: the shop and the looks as a folder, out of the running server and into it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.options import ConfigFile, Data, load_for
from server.cli.running import with_server
from server.errors import InvalidRequest, NotFound, VestigeError

if TYPE_CHECKING:
    from server.catalog.folder_exchange.folder import CatalogFolder
    from server.cli.admin import AdminApi

catalog = typer.Typer(help="The shop's items and the characters' looks, as a folder of files.", no_args_is_help=True)

LONG_SECONDS = 600.0
_PAGE = "200"
_UPLOADS = 4  # at a time
_SHOWN = 200

Folder = Annotated[Path, typer.Argument(metavar="DIR")]


@catalog.command("export")
def export_folder(context: typer.Context, folder: Folder, data: Data = None, config: ConfigFile = None) -> None:
    """Write the shop's items with their pictures, and all looks, into a new folder. People's uploads stay out."""
    from server.catalog.folder_exchange.documents import ItemDocument, LookDocument
    from server.catalog.folder_exchange.folder import new_folder

    async def bring_out(api: "AdminApi") -> tuple[int, int]:
        with new_folder(folder) as writer:
            for hidden in ("false", "true"):
                async for item in _pages(api, "/v1/items", "items", hidden=hidden):
                    sha256 = item["reference"]
                    picture = None if sha256 is None else await api.fetch(f"/v1/references/{sha256}/picture")
                    writer.item(item["id"], {name: item[name] for name in ItemDocument.model_fields}, picture)
            async for look in _pages(api, "/v1/admin/looks", "looks"):
                writer.look(look["character"], {name: look[name] for name in LookDocument.model_fields})
            return len(writer.items), len(writer.looks)

    items, looks = with_server(load_for(context, config, data).settings, bring_out)
    print(f"{items} items and {looks} looks are in {folder}.")


@catalog.command("import")
def import_folder(
    context: typer.Context,
    folder: Folder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Bring a folder's items and looks in: all, or none where anything is wrong. The same again changes nothing."""
    from server.catalog.folder_exchange.folder import read_folder

    settings = load_for(context, config, data).settings
    read = read_folder(folder)
    _look_at_pictures(read)

    async def bring_in(api: "AdminApi") -> dict[str, Any]:
        done = await _sent(api, read, dry=True)
        # what the files say is known already; what only the server knows is told in the same go
        lines = _lines(read) + [line for line in _refused(done) if line not in _lines(read)]
        if not lines and not dry_run:
            lines = await _upload(api, read)
            if not lines:
                done = await _sent(api, read, dry=False)
                lines = _refused(done)
        _stop_at(lines)
        return done

    done = with_server(settings, bring_in)
    for what in ("created", "changed"):
        for where in done[what]:
            print(f"{what} {where}")
    print(f"{len(done['unchanged'])} unchanged." + (" Nothing was written." if dry_run else ""))


async def _pages(api: "AdminApi", path: str, name: str, **query: str) -> AsyncIterator[dict[str, Any]]:
    """Everything in a list that comes in pages."""
    after: dict[str, str] = {}
    while True:
        page = await api.call("GET", path, query={**query, **after, "limit": _PAGE})
        for each in page[name]:
            yield each
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def _look_at_pictures(read: "CatalogFolder") -> None:
    """Notes what is wrong with pictures that are not as they were exported."""
    from server.catalog.references.clean import clean

    for id in read.pictures:
        try:
            content = read.picture(id)
            if hashlib.sha256(content).hexdigest() != read.items[id].get("reference"):
                clean(content)
        except InvalidRequest as error:
            read.wrong(f"items/{id}/reference.png", error.message)


async def _upload(api: "AdminApi", read: "CatalogFolder") -> list[str]:
    """Brings the pictures that the server lacks, and notes under which sha256 it has each; else, what is wrong."""
    lines: list[str] = []
    at_once = asyncio.Semaphore(_UPLOADS)

    async def upload(id: str) -> None:
        async with at_once:
            try:
                read.items[id]["reference"] = await _reference(api, read.items[id].get("reference"), read.picture(id))
            except VestigeError as error:
                lines.append(f"items/{id}/reference.png: {error.message}")

    await asyncio.gather(*map(upload, read.pictures))
    return sorted(lines)


async def _reference(api: "AdminApi", recorded: object, content: bytes) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 == recorded:
        try:
            return (await api.call("GET", f"/v1/references/{sha256}"))["sha256"]
        except NotFound:
            pass  # it is from another server

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return (await api.send("/v1/references", pieces(), len(content), seconds=LONG_SECONDS))["sha256"]


async def _sent(api: "AdminApi", read: "CatalogFolder", *, dry: bool) -> dict[str, Any]:
    body = {"items": read.items, "looks": read.looks, "dry_run": dry}
    return await api.call("POST", "/v1/admin/catalog", body, seconds=LONG_SECONDS)


def _lines(read: "CatalogFolder") -> list[str]:
    return [f"{each.where}: {each.problem}" for each in read.problems]


def _refused(done: dict[str, Any]) -> list[str]:
    return [f"{each['where']}: {each['problem']}" for each in done["problems"]]


def _stop_at(lines: Iterable[str]) -> None:
    """Raises:
    InvalidRequest: there are any; they are printed first.
    """
    lines = list(lines)
    if not lines:
        return
    for line in lines[:_SHOWN]:
        typer.echo(line, err=True)
    many = f"{len(lines)} things are" if len(lines) > 1 else "One thing is"
    raise InvalidRequest(f"{many} wrong, so nothing was imported.")
