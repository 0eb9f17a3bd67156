"""A whole file under a new name, or none: never over another, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from pathlib import Path

__all__ = ["publish"]

_TEMPORARY = ".saving-"
_STALE_SECONDS = 3600
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK})


def publish(path: Path, data: bytes) -> bool:
    """Makes `path` with `data` in it; False where it exists already, from this process or another.

    The bytes are written and synced beside it first and get their name in one step, so that neither a full disk nor
    `kill -9` nor a loss of power leaves half a file under it. On a file system without hard links the name is taken
    first: a kill between the two then leaves a damaged file, never someone else's lost.

    Raises:
        OSError: nothing was made.
    """
    _sweep(path.parent)
    temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
    try:
        _write(temporary, data)
        return _name(temporary, path, data)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _name(temporary: Path, path: Path, data: bytes) -> bool:
    try:
        if os.name == "nt":
            temporary.rename(path)  # refuses an existing name there
        else:
            os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _take(path, data)
    _sync_folder(path.parent)
    return True


def _take(path: Path, data: bytes) -> bool:
    try:
        _write(path, data)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems sync no folders
            os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """What a killed process left: temporary files an hour old."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()
