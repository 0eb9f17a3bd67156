"""Files written whole or not at all, and read without following links."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from server.errors import StoreUnavailable

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


@contextmanager
def disk_errors() -> Iterator[None]:
    """What the disk refuses becomes a typed error that names no path.

    Raises:
        StoreUnavailable: the disk is full, read-only, or does not answer.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StoreUnavailable(f"The characters' folder cannot be used: {reason}.", store="disk") from error


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does: (inode, size, time in ns). None for what is not a plain file."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_file(path: Path, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a plain file: one byte too many tells the caller that there is more.

    Raises:
        OSError: missing, or a link, a pipe or a folder.
    """
    # Without O_NONBLOCK, opening a pipe that somebody put there would wait for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a plain file")
        return file.read(limit + 1)


def write_file(path: Path, data: bytes) -> None:
    """Puts `data` at `path` in one step; on any error the old file is still there, whole.

    Raises:
        OSError: the disk is full, read-only …
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes what was created, renamed or removed in a folder last through a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it; links in it are removed, not followed."""
    shutil.rmtree(path)


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Removes the folders that a crash left half made or half removed, and temporary files one level below."""
    for entry in folder.iterdir():
        if entry.is_symlink() or not entry.is_dir():
            continue
        if entry.name.startswith(prefix):
            remove_folder(entry)
            continue
        for file in entry.glob(".*.tmp"):
            file.unlink()
