"""Pictures by the sha256 of their bytes, on disk: bounded, and safe for several processes at once.

    FOLDER/
      lock                what adds or removes holds it; who reads does not
      ab/ab12…            the bytes; the time of the last change is the time of the last use
      ab/ab12….pin        there while it is pinned

A file gets its name when it is whole, so neither a kill nor a full disk leaves half of one under it; and it is read
against its name, so one that was damaged later is never handed out. What was used longest ago goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..atomic import TEMPORARY_SUFFIX, write_atomically
from ..file_lock import LockTimeout, locked

__all__ = ["CacheError", "CacheFull", "CacheUnwritable", "Entry", "NotCached", "Pinned", "ReferenceCache", "Usage"]

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PIN = ".pin"
_STALE_SECONDS = 3600.0  # a temporary file this old is of a process that was killed


class CacheError(Exception):
    """Something about the cache; the message says what to do, and `code` tells programs which it is."""

    code: ClassVar[str]


class NotCached(CacheError):
    """Nothing is kept under this sha256."""

    code = "not_cached"


class Pinned(CacheError):
    """It is pinned, and stays until it is not."""

    code = "pinned"


class CacheFull(CacheError):
    """There is no room, and what is there is pinned."""

    code = "cache_full"


class CacheUnwritable(CacheError):
    """The folder cannot be written to: read-only, full, or held by another process."""

    code = "cache_unwritable"


@dataclass(frozen=True, order=True)
class Entry:
    """A picture that is kept. `used` is when it was used last, in seconds since 1970."""

    used: float
    sha256: str
    bytes: int
    pinned: bool


@dataclass(frozen=True)
class Usage:
    """What the cache holds and may hold; sizes in bytes."""

    count: int
    bytes: int
    pinned_bytes: int
    limit: int


class ReferenceCache:
    """Keeps at most `limit` bytes in `folder`, which it makes when it first needs it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def put(self, data: bytes) -> tuple[Entry, bool]:
        """Keeps `data`; also tells whether it is new. What was used longest ago makes room for it.

        Raises:
            CacheFull: pins leave no room, or it is larger than the whole cache.
            CacheUnwritable
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        with self._writing(path.parent):
            if self._sound(path, sha256):
                self._touch(path)
                return self._entry(path), False
            self._make_room(len(data), path)
            write_atomically(path, data, durable=True)
            return self._entry(path), True

    def read(self, sha256: str) -> bytes:
        """The bytes kept under `sha256`, which counts as using them.

        Raises:
            NotCached: there are none, or they were damaged, and are gone now.
        """
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except OSError:
            raise self._missing(sha256) from None
        if hashlib.sha256(data).hexdigest() != sha256:
            with contextlib.suppress(CacheUnwritable), self._writing(path.parent):
                if not self._sound(path, sha256):  # nobody mended it meanwhile
                    self._remove(path)
            raise NotCached(f"The reference {sha256[:12]}… was damaged on the disk: add it again.")
        self._touch(path)
        return data

    def entry(self, sha256: str) -> Entry:
        """What is known of a picture, which does not count as using it.

        Raises:
            NotCached
        """
        try:
            return self._entry(self._path(sha256))
        except OSError:
            raise self._missing(sha256) from None

    def entries(self) -> list[Entry]:
        """Everything that is kept, used last first."""
        return sorted(self._scan(), reverse=True)

    def usage(self) -> Usage:
        entries = list(self._scan())
        pinned = sum(entry.bytes for entry in entries if entry.pinned)
        return Usage(len(entries), sum(entry.bytes for entry in entries), pinned, self._limit)

    def pin(self, sha256: str) -> Entry:
        """Keeps a picture until it is unpinned, whatever else comes.

        Raises:
            NotCached
            CacheUnwritable
        """
        path = self._path(sha256)
        self.entry(sha256)
        with self._writing(path.parent):
            self.entry(sha256)  # it may have made room meanwhile
            path.with_name(path.name + _PIN).touch()
            return self._entry(path)

    def unpin(self, sha256: str) -> Entry:
        """Lets a picture make room for others again.

        Raises:
            NotCached
            CacheUnwritable
        """
        path = self._path(sha256)
        self.entry(sha256)
        with self._writing(path.parent):
            path.with_name(path.name + _PIN).unlink(missing_ok=True)
            return self.entry(sha256)

    def delete(self, sha256: str) -> None:
        """Removes a picture.

        Raises:
            NotCached
            Pinned
            CacheUnwritable
        """
        path = self._path(sha256)
        self.entry(sha256)
        with self._writing(path.parent):
            if self.entry(sha256).pinned:
                raise Pinned(f"The reference {sha256[:12]}… is pinned: unpin it first.")
            self._remove(path)

    def forget(self, sha256: str) -> None:
        """Removes a picture whose owner wants it gone, pinned or not; nothing where it is not kept.

        Raises:
            CacheUnwritable
        """
        path = self._path(sha256)
        if path.exists():
            with self._writing(path.parent):
                self._remove(path)

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise NotCached("A reference is named by its sha256: 64 characters of 0-9 and a-f.")
        return self._folder / sha256[:2] / sha256

    def _entry(self, path: Path) -> Entry:
        stat = path.stat()
        return Entry(stat.st_mtime, path.name, stat.st_size, path.with_name(path.name + _PIN).exists())

    def _scan(self) -> Iterator[Entry]:
        for folder in self._folder.glob("??"):
            with contextlib.suppress(OSError):
                files = {item.name: item for item in os.scandir(folder)}
                for name, item in files.items():
                    with contextlib.suppress(OSError):
                        if _SHA256.fullmatch(name):
                            stat = item.stat()
                            yield Entry(stat.st_mtime, name, stat.st_size, name + _PIN in files)

    def _sound(self, path: Path, sha256: str) -> bool:
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except OSError:
            return False

    def _make_room(self, size: int, new: Path) -> None:
        """Removes what was used longest ago and is not pinned, until `size` more bytes fit."""
        self._sweep()
        entries = sorted(entry for entry in self._scan() if entry.sha256 != new.name)
        total = sum(entry.bytes for entry in entries)
        pinned = sum(entry.bytes for entry in entries if entry.pinned)
        if size > self._limit - pinned:
            raise CacheFull(
                f"The reference cache holds {self._limit >> 20} MB at most and {pinned >> 20} MB of it are pinned: "
                f"unpin some, or set VESTIGE_CACHE_MB higher."
            )
        for entry in entries:
            if total + size <= self._limit:
                break
            if not entry.pinned:
                self._remove(self._path(entry.sha256))
                total -= entry.bytes

    def _remove(self, path: Path) -> None:
        path.with_name(path.name + _PIN).unlink(missing_ok=True)  # first: a pin left behind would pin the next
        path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for left in self._folder.glob(f"??/*{TEMPORARY_SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()

    def _touch(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # a cache that cannot be written to can be read all the same
            os.utime(path)

    @contextmanager
    def _writing(self, folder: Path) -> Iterator[None]:
        """Nobody else adds or removes inside the block; what the disk refuses there is `CacheUnwritable`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True)
            with locked(self._folder / "lock"):
                yield
        except LockTimeout:
            raise CacheUnwritable("Another process holds the reference cache: try again when it is done.") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CacheUnwritable(f"The reference cache in {self._folder} cannot be written to: {reason}.") from error

    @staticmethod
    def _missing(sha256: str) -> NotCached:
        return NotCached(f"No reference {sha256[:12]}… is in the cache: add the picture again.")
