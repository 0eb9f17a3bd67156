"""The lock of one tenant's characters: between threads of this server, and between servers that share the folder."""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from server.catalog.files import PRIVATE_FILE, PRIVATE_FOLDER

__all__ = ["ShelfLock"]


class ShelfLock:
    """Held around a change, may be held again by the same thread. `here` alone is enough to read: files are replaced in
    one step, so a reader sees the old one or the new one.

    Raises `OSError` on the way in where the lock's file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.here = threading.RLock()
        self._path = path
        self._depth = 0
        self._fd = -1

    def __enter__(self) -> Self:
        self.here.acquire()
        try:
            if self._depth == 0:
                self._fd = self._taken()
            self._depth += 1
        except BaseException:
            self.here.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            os.close(self._fd)  # and with it the lock
        self.here.release()

    def _taken(self) -> int:
        self._path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(fd)
            raise
        return fd
