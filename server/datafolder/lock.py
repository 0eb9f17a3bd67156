"""The lock that keeps a second server out of a data folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.errors import DataFolderError

__all__ = ["lock_folder"]

NAME = "vestige.lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Holds the folder for this process until the block, or the process, ends. The file names the pid for people.

    Raises:
        DataFolderError: another process holds it, or the file system has no locks.
    """
    path = folder / NAME
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataFolderError(
                f"Another vestige (pid {holder}) is using {folder}: stop it first, or give this one its own --data."
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            raise DataFolderError(
                f"The file system under {folder} has no locks: put the data folder on a local disk with --data."
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)  # the lock goes with the descriptor; the file stays, so that no two processes lock different files
