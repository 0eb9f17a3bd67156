"""`vestige backup` and `vestige restore`."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from server.backup.archive import BackupError, Manifest, read_manifest
from server.backup.restore import restore_backup
from server.backup.take import Sources, take_backup
from server.cli.running import Running, find
from server.datafolder import DataFolder
from server.memory.embedding import make_embedder
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.objects_open import open_objects
from server.stores.redis import open_redis

_SECONDS = 120.0
"""Between two pieces of a backup: a large conversation takes its time."""


def backup(settings: Settings, file: Path) -> None:
    """Writes `file`, of the running server or of a data folder at rest; it appears whole or not at all.

    Raises:
        BackupError: the file exists, there is nothing to back up, or the backup broke off.
    """
    if file.exists():
        raise BackupError(f"{file} exists: name a new file, so that an older backup is never lost to a newer one.")
    if not settings.data.exists() and settings.redis_url is None:
        raise BackupError(f"There is no data folder {settings.data}: say with --data which one to back up.")
    manifest = asyncio.run(_backup(settings, file))
    print(f"{file}: {_told(manifest)}")
    if manifest.external:
        print("Pictures and model files are in the bucket that objects_url names, and not in this file.")


def restore(settings: Settings, file: Path) -> None:
    """Restores `file` into an empty data folder and empty stores.

    Raises:
        BackupError: the file is damaged, or something is there already.
    """
    if not file.is_file():
        raise BackupError(f"{file} does not exist.")
    manifest = asyncio.run(restore_backup(file, settings))
    print(f"{settings.data}: {_told(manifest)}")


def _told(manifest: Manifest) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in manifest.counts.items())
    return f"{counts}, as of {manifest.created}."


async def _backup(settings: Settings, file: Path) -> Manifest:
    part = file.with_name(f".{file.name}.part")
    running = find(settings.data)
    pieces = _sent(running) if running is not None else _read(settings)
    try:
        columns = TextColumn("backing up"), DownloadColumn(), TimeElapsedColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as out:
                async with pieces as stream:
                    async for piece in stream:
                        await asyncio.to_thread(out.write, piece)
                        bar.advance(task, len(piece))
                out.flush()
                await asyncio.to_thread(os.fsync, out.fileno())
        manifest = await asyncio.to_thread(read_manifest, part)
        part.rename(file)
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


@asynccontextmanager
async def _sent(running: Running) -> AsyncIterator[AsyncIterator[bytes]]:
    headers = {"Authorization": f"Bearer {running.token}"}
    timeout = httpx.Timeout(_SECONDS)
    try:
        async with (
            httpx.AsyncClient(base_url=running.url, headers=headers, timeout=timeout) as client,
            client.stream("GET", "/v1/admin/backup") as response,
        ):
            if response.is_error:
                await response.aread()
                raise BackupError(response.json()["error"]["message"])
            yield response.aiter_bytes()
    except httpx.HTTPError as error:
        raise BackupError(f"The backup broke off ({type(error).__name__}): look at the server's log.") from error


@asynccontextmanager
async def _read(settings: Settings) -> AsyncIterator[AsyncIterator[bytes]]:
    embedder = make_embedder(settings.embedder, threads=1)
    try:
        with DataFolder(settings.data).open() as folder:
            async with (
                open_redis(settings, folder) as redis,
                open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id) as chroma,
                open_objects(settings) as objects,
            ):
                yield take_backup(Sources.of(settings, folder, redis, chroma, embedder, objects))
    finally:
        embedder.close()
