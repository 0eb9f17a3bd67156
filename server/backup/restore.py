"""Restores a backup into stores that hold nothing yet."""

import asyncio
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

from redis.asyncio import Redis

from server.backup.archive import BackupError, Manifest, lines_of, opened, read_manifest
from server.backup.keys import MINE, load
from server.datafolder import DataFolder
from server.datafolder.schema import schema_version, stamp
from server.ids import parse_scope
from server.memory.embedding import Embedder, make_embedder
from server.memory.records import record_to_summary, record_to_window, summary_to_record, window_to_record
from server.settings import Settings
from server.stores.chroma import ChromaShards, Record, open_chroma
from server.stores.objects_open import open_objects
from server.stores.redis import open_redis

__all__ = ["restore_backup"]

_BATCH = 256
_SPOOL = "restoring"


async def restore_backup(path: Path, settings: Settings) -> Manifest:
    """Restores into the data folder and the stores that the settings name; all of it or nothing.

    The data folder must not exist or be empty, and the stores must hold nothing of ours. A folder appears under its
    name when all is there; what a failed restore wrote into stores elsewhere is to be cleared there.

    Raises:
        BackupError: the file is damaged, or there is something already.
        StartupError, StoreUnavailable: a store does not open, or fails on the way.
    """
    manifest = await asyncio.to_thread(read_manifest, path)
    _check(manifest, settings)
    target = settings.data
    if target.exists() and any(target.iterdir()):
        raise BackupError(f"{target} is not empty: name a new folder with --data. Nothing was changed.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        await _fill(path, settings.model_copy(update={"data": part}))
        stamp(part, manifest.schema)
        (part / "run" / _SPOOL).unlink(missing_ok=True)
        await asyncio.to_thread(_in_place, part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest


def _check(manifest: Manifest, settings: Settings) -> None:
    if manifest.schema > schema_version():
        raise BackupError("This backup was made by a newer vestige: update this one first.")
    embedder = make_embedder(settings.embedder, threads=1)
    try:
        if (manifest.embedder, manifest.dim) != (embedder.id, embedder.dim):
            raise BackupError(
                f"This backup's memories are indexed with {manifest.embedder!r}, and the settings say "
                f"{settings.embedder!r}: restore with that embedder, then change it and run `vestige reindex`."
            )
    finally:
        embedder.close()


async def _fill(path: Path, settings: Settings) -> None:
    embedder = make_embedder(settings.embedder, threads=1)
    try:
        with DataFolder(settings.data).open() as folder:
            async with (
                open_redis(settings, folder) as redis,
                open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id) as chroma,
                open_objects(settings) as objects,
            ):
                await _refuse_what_is_there(redis.state)
                characters = settings.characters or folder.characters
                if characters.exists() and any(characters.iterdir()):
                    raise BackupError(f"{characters} holds characters already: restore into an empty folder.")
                await load(redis.state, _redis_rows(path))
                await _windows(path, chroma, embedder)
                for name, file in _members(path, "characters/", "objects/"):
                    if name.startswith("characters/"):
                        await asyncio.to_thread(_write, characters / name.removeprefix("characters/"), file)
                    else:
                        await objects.put(
                            name.removeprefix("objects/"), await asyncio.to_thread(_spooled, file, folder)
                        )
    finally:
        embedder.close()


async def _refuse_what_is_there(state: Redis) -> None:
    async for _ in state.scan_iter(match=MINE, count=1_000):
        raise BackupError("The store at redis_url holds conversations already: restore into an empty one.")


async def _redis_rows(path: Path) -> AsyncIterator[dict[str, Any]]:
    for name, file in _members(path, "redis/"):
        for row in lines_of(name, file):
            yield row


async def _windows(path: Path, chroma: ChromaShards, embedder: Embedder) -> None:
    for name, file in _members(path, "windows/"):
        waiting: dict[str, list[Record]] = {}
        for row in lines_of(name, file):
            records = waiting.setdefault(row["scope"], [])
            records.append(_record(row, embedder.dim))
            if len(records) >= _BATCH:
                await chroma.add(row["scope"], records)
                records.clear()
        for scope, records in waiting.items():
            if records:
                await chroma.add(scope, records)


def _record(row: dict[str, Any], dim: int) -> Record:
    """The record with the embedding that it was written with: it follows from what is in it."""
    record, scope = Record(row["id"], None, row["document"], row["metadata"]), parse_scope(row["scope"])
    if record.metadata["kind"] == "summary":
        return summary_to_record(scope, int(record.metadata["epoch"]), record.id, record_to_summary(record), dim)
    return window_to_record(scope, record_to_window(record))


def _members(path: Path, *prefixes: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The members under these prefixes, in order; every name was checked with the manifest."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            if member.name.startswith(prefixes):
                yield member.name, opened(tar, member)


def _in_place(part: Path, target: Path) -> None:
    if target.exists():
        target.rmdir()  # it was empty, and fails if it no longer is
    part.rename(target)


def _write(path: Path, file: IO[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as out:
        shutil.copyfileobj(file, out)
    path.chmod(0o600)


def _spooled(file: IO[bytes], folder: DataFolder) -> Path:
    """The member as a file of its own: a model file does not fit into memory."""
    path = folder.run / _SPOOL
    with path.open("wb") as out:
        shutil.copyfileobj(file, out)
    return path
