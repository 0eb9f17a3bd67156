"""Files that are there whole or not at all, whoever reads them and whenever the machine stops."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

__all__ = ["TEMPORARY_SUFFIX", "write_atomically"]

TEMPORARY_SUFFIX = ".part"


def write_atomically(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes a file beside its place and moves it there; makes its folder. The last of two writers wins.

    `durable` waits for the disk, for what cannot be computed again.

    Raises:
        OSError: the folder cannot be made or written to; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with part.open("xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
