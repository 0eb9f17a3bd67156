"""A disk that is soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 8 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of its own, of a few megabytes; a folder like any other where none may be mounted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        small = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        small = False
    try:
        yield place
    finally:
        if small:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
