"""Room that is kept for files on their way: each says how large it will be before its first byte is here.

    LOCKS/halina_v3         held while a piece of that file comes in
    LOCKS/halina_v3.room    which file comes, and how large it will be; means nothing while the lock is free

Whoever holds the lock keeps room, and whoever asks how much is kept has the folder to themselves meanwhile.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from .atomic import write_atomically
from .file_lock import FileLock

__all__ = ["give_back_room", "keep_room", "kept_room"]

_ROOM = ".room"


def keep_room(lock: Path, part: Path, total: int) -> None:
    """Keeps room for what is not yet here of the `total` bytes of `part`. Raises `OSError`."""
    write_atomically(_note(lock), json.dumps({"part": part.name, "total": total}).encode())


def give_back_room(lock: Path) -> None:
    """Keeps none any more."""
    with contextlib.suppress(OSError):
        _note(lock).unlink()


def kept_room(locks: Path, parts: Path) -> int:
    """Bytes that are still to come of all files that are on their way into the folder `parts`. Raises `OSError`."""
    kept = 0
    for note in locks.glob(f"*{_ROOM}"):
        path = note.with_name(note.name.removesuffix(_ROOM))
        lock = FileLock(path)
        if lock.take():  # who kept it is gone
            give_back_room(path)
            lock.release()
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # its file has just come, or gone
            coming = json.loads(note.read_bytes())
            part = parts / coming["part"]
            kept += max(0, coming["total"] - (part.stat().st_size if part.exists() else 0))
    return kept


def _note(lock: Path) -> Path:
    return lock.with_name(lock.name + _ROOM)
