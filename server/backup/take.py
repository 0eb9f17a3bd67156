"""Takes a backup while the server runs.

Each conversation is read at one moment, and with exactly the windows and summaries it had then: where a window was
rewritten between the two, it is read again. Money, accounts and the catalog are read key by key.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis

from server import __version__
from server.backup.archive import VERSION, BackupError, Manifest, Writer, now_text, packed
from server.backup.keys import keys_of, read, scope_keys
from server.catalog.files import disk_errors, read_file
from server.datafolder import DataFolder
from server.datafolder.schema import schema_version
from server.errors import NotFound, StoreUnavailable
from server.memory.embedding import Embedder
from server.settings import Settings
from server.stores.chroma import ChromaShards, Record
from server.stores.objects import Objects
from server.stores.redis import RedisPair

__all__ = ["Sources", "take_backup"]

_TRIES = 20
_RETRY_SECONDS = 0.1
_ROWS = 2_000
"""Rows of a member at most: what is held in memory at once."""
_BYTES = 8 << 20
_CHARACTER_FILE = 64 << 20
_ENDINGS = (".tmp",)
_OBJECTS = ("references", "previews", "loras", "grids")


@dataclass(frozen=True)
class Sources:
    """What is backed up. `objects` None: they are kept elsewhere, and stay out of the file."""

    state: Redis
    chroma: ChromaShards
    embedder: Embedder
    characters: Path
    objects: Objects | None
    settings: Settings

    @classmethod
    def of(
        cls,
        settings: Settings,
        folder: DataFolder,
        redis: RedisPair,
        chroma: ChromaShards,
        embedder: Embedder,
        objects: Objects,
    ) -> Self:
        """Everything; but for pictures in a bucket, which has copies of its own."""
        elsewhere = settings.objects_url is not None and settings.objects_url.startswith("s3://")
        kept = None if elsewhere else objects
        return cls(redis.state, chroma, embedder, settings.characters or folder.characters, kept, settings)


async def take_backup(sources: Sources) -> AsyncIterator[bytes]:
    """The bytes of the file.

    Raises:
        StoreUnavailable: a store does not answer.
        BackupError: something changed faster than it could be read.
    """
    writer, keys = Writer(), scope_keys(await keys_of(sources.state))
    counts = {"conversations": 0, "windows": 0, "keys": 0, "characters": 0, "objects": 0}
    redis_rows, window_rows = _Rows("redis", writer), _Rows("windows", writer)
    for scope, names in keys.items():
        if not scope:
            for start in range(0, len(names), _ROWS):
                for piece in redis_rows.add(await read(sources.state, names[start : start + _ROWS])):
                    yield piece
            continue
        rows, records = await _conversation(sources, scope, names)
        counts["conversations"] += 1
        for piece in (*redis_rows.add(rows), *window_rows.add([_row(scope, record) for record in records])):
            yield piece
    for piece in (*redis_rows.rest(), *window_rows.rest()):
        yield piece
    counts["keys"], counts["windows"] = redis_rows.count, window_rows.count
    async for name, data in _characters(sources.characters):
        counts["characters"] += name.endswith("/card.json")
        yield writer.whole(f"characters/{name}", data)
    if sources.objects is not None:
        async for piece in _objects(sources.objects, writer, counts):
            yield piece
    yield writer.end(
        Manifest(
            version=VERSION,
            created=now_text(datetime.now(UTC)),
            vestige=__version__,
            schema=schema_version(),
            embedder=sources.embedder.id,
            dim=sources.embedder.dim,
            shards=sources.settings.shards,
            counts=counts,
            external=[] if sources.objects is not None else ["objects"],
        )
    )


class _Rows:
    """Rows that become members of bounded size."""

    def __init__(self, folder: str, writer: Writer) -> None:
        self.count = 0
        self._folder = folder
        self._writer = writer
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._number = 0

    def add(self, rows: Sequence[dict[str, Any]]) -> list[bytes]:
        full: list[bytes] = []
        for row in rows:
            self._rows.append(row)
            self.count += 1
            self._bytes += len(str(row))
            if len(self._rows) >= _ROWS or self._bytes >= _BYTES:
                full += self.rest()
        return full

    def rest(self) -> list[bytes]:
        if not self._rows:
            return []
        self._number += 1
        rows, self._rows, self._bytes = self._rows, [], 0
        return [self._writer.whole(f"{self._folder}/{self._number:06}.jsonl.gz", packed(rows))]


async def _conversation(
    sources: Sources, scope: str, names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[Record]]:
    """The keys of a conversation at one moment, and every record that they name."""
    for _ in range(_TRIES):
        rows = await read(sources.state, names)
        wanted = _named(rows)
        records = await sources.chroma.get(scope, wanted)
        if len(records) == len(wanted):
            return rows, records
        await asyncio.sleep(_RETRY_SECONDS)  # a window was rewritten in between, or is being written
    raise BackupError("A conversation changes faster than it can be read: make the backup again in a quieter moment.")


def _named(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of the records that a conversation's keys name: its windows, and its summary."""
    found: list[str] = []
    for row in rows:
        if row["key"].endswith("}:windows"):
            found += [json.loads(one)["id"] for one in row["value"] if one]
        elif row["key"].endswith("}:meta"):
            found += [row["value"][name] for name in ("summary", "correction") if row["value"].get(name)]
    return list(dict.fromkeys(found))


def _row(scope: str, record: Record) -> dict[str, Any]:
    return {"scope": scope, "id": record.id, "document": record.document, "metadata": dict(record.metadata)}


async def _characters(folder: Path) -> AsyncIterator[tuple[str, bytes]]:
    """Every file of every character, by its path within the folder."""

    def listed() -> list[Path]:
        return sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink() and not path.name.endswith(_ENDINGS)
        )

    with disk_errors():
        paths = await asyncio.to_thread(listed)
    for path in paths:
        relative = path.relative_to(folder)
        if any(part.startswith(".part-") for part in relative.parts):
            continue  # half made, or half removed
        try:
            with disk_errors():
                data = await asyncio.to_thread(read_file, path, _CHARACTER_FILE)
        except StoreUnavailable:
            if path.exists():
                raise
            continue  # removed meanwhile
        yield relative.as_posix(), data


async def _objects(objects: Objects, writer: Writer, counts: dict[str, int]) -> AsyncIterator[bytes]:
    for prefix in _OBJECTS:
        async for stored in objects.list(prefix):
            try:
                async for piece in writer.member(f"objects/{stored.path}", stored.size, objects.read(stored.path)):
                    yield piece
            except NotFound:
                raise BackupError("A picture was deleted while it was read: make the backup again.") from None
            counts["objects"] += 1
