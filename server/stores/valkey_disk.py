"""What keeps the embedded Valkey's append-only file on the disk.

Valkey's own `appendfsync everysec` holds writes back in memory while a sync runs, up to 2 s, but acknowledges them: a
kill of Valkey in that moment loses them (measured: 1,380 of 15,008 with a sync of 1.5 s). So Valkey runs with
`appendfsync no`, by which every acknowledged write is with the kernel, and the server does the sync each second: a kill
of either process loses nothing, a power cut at most about a second.

A full disk is kept from Valkey too. It notices one only after it has acknowledged the write that did not fit; so writes
are refused while there is less than `RESERVE` free.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import redis.asyncio
import structlog
from redis.exceptions import RedisError

__all__ = ["RESERVE", "AppendOnlyDisk"]

_log = structlog.get_logger(__name__)

RESERVE = 16 * 1024 * 1024
_SECONDS = 1.0
_sync = getattr(os, "fdatasync", os.fsync)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class AppendOnlyDisk:
    """Syncs the append-only files in `folder`, and watches the space that is left there.

    Args:
        free: bytes that may still be written on the folder's disk.
    """

    def __init__(self, folder: Path, client: redis.asyncio.Redis, free: Callable[[Path], int] = _free) -> None:
        self._folder = folder
        self._files = folder / "appendonlydir"
        self._client = client
        self._free = free
        self._synced: dict[str, int] = {}
        self._refusing: bool | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Once a second, until `stop`."""
        while not self._stopped.is_set():
            try:
                await asyncio.to_thread(self.sync)
                await self.guard()
            except (OSError, RedisError) as error:
                _log.error("valkey_disk", reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await self._stopped.wait()

    def stop(self) -> None:
        """Lets `run` end after what it is at: a command cut off would leave its connection open."""
        self._stopped.set()

    def restarted(self) -> None:
        """A new Valkey process runs: it refuses nothing yet."""
        self._refusing = None

    def sync(self) -> None:
        """Puts what was appended since the last call on the disk. Blocks."""
        for path in self._files.glob("*.aof"):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # a rewrite has just replaced it
            try:
                size = os.fstat(fd).st_size
                if self._synced.get(path.name) != size:
                    _sync(fd)
                    self._synced[path.name] = size
            finally:
                os.close(fd)

    async def guard(self) -> None:
        """Lets Valkey refuse writes while less than `RESERVE` is free; reads go on."""
        free = self._free(self._folder)
        refuse = free < RESERVE * (2 if self._refusing else 1)
        if refuse == self._refusing:
            return
        # there are no replicas, so asking for one refuses every write with NOREPLICAS, in scripts too
        await self._client.config_set("min-replicas-to-write", int(refuse))
        if refuse:
            _log.error(
                "disk_full", folder=str(self._folder), free_bytes=free, effect="nothing is saved until there is room"
            )
        elif self._refusing:
            _log.warning("disk_has_room_again", folder=str(self._folder), free_bytes=free)
        self._refusing = refuse
