"""A lock that processes share. It goes with the process that holds it, however that ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock", "LockTimeout", "locked"]

_TRY_EVERY = 0.02  # seconds
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class LockTimeout(OSError):
    """Somebody else held the lock all the time."""


class FileLock:
    """A lock on a file, which stays behind when it is released: two names of one file would be two locks.

    Threads exclude each other as processes do; it is not re-entrant.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now; makes the file.

        Raises:
            OSError: the file cannot be made, or its file system has no locks.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if sys.platform == "win32":
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in _TAKEN:
                return False
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


@contextmanager
def locked(path: Path, seconds: float = 30.0) -> Iterator[None]:
    """Holds the lock on `path` inside the block.

    Raises:
        LockTimeout: it was not to be had within `seconds`.
        OSError: as `FileLock.take`.
    """
    lock = FileLock(path)
    until = time.monotonic() + seconds
    while not lock.take():
        if time.monotonic() > until:
            raise LockTimeout(errno.EBUSY, "another process holds the lock", str(path))
        time.sleep(_TRY_EVERY)
    try:
        yield
    finally:
        lock.release()
