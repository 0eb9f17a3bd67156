"""Features on disk and in memory: bounded, safe for two processes, and never trusted.

An entry is a safetensors file with the sha256 of its numbers in the metadata. What does not check out is deleted and
counts as missing, so it is computed again. The entries used longest ago go first when the folder is full.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .atomic import TEMPORARY_SUFFIX, write_atomically
from .features import Seen

__all__ = ["FeatureCache"]

_STALE = 3600.0  # seconds; a half-written file this old is of a process that was killed
_log = logging.getLogger(__name__)


class FeatureCache:
    """Keeps `memory_bytes` of features in memory and `disk_bytes` in `folder`, at most.

    Where `folder` is None, or cannot be written to (which is said once), memory alone is used.
    """

    def __init__(self, folder: Path | None, *, memory_bytes: int = 64 * 2**20, disk_bytes: int = 512 * 2**20) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._held: OrderedDict[str, Seen] = OrderedDict()
        self._bytes = 0
        self._writable = True
        self._lock = threading.Lock()

    def get(self, name: str) -> Seen | None:
        """The features kept under a name; None where there are none, or damaged ones."""
        with self._lock:
            seen = self._held.get(name)
            if seen is not None:
                self._held.move_to_end(name)
                return seen
        seen = self._read(name)
        if seen is not None:
            self._hold(name, seen)
        return seen

    def put(self, name: str, seen: Seen) -> None:
        """Keeps features under a name, in the place of what was there."""
        seen = Seen(_plain(seen.pooled), _plain(seen.hidden))
        self._hold(name, seen)
        if self._folder is None or not self._writable:
            return
        tensors = {"pooled": seen.pooled, "hidden": seen.hidden}
        try:
            write_atomically(self._file(self._folder, name), save(tensors, {"sha256": _sum(seen)}))
            self._shrink(self._folder)
        except OSError as error:
            self._writable = False
            _log.warning("References are encoded anew at each start: %s cannot be written (%s).", self._folder, error)

    def forget(self, part: str) -> None:
        """Removes all features of a picture, by `features.part_of`. What an older pack kept does not say of which
        picture it is, and goes with it: it is computed again when it is needed.

        Raises:
            OSError: the folder cannot be written to.
        """
        with self._lock:
            for name in [name for name in self._held if name.startswith(part)]:
                self._bytes -= _size(self._held.pop(name))
        if self._folder is None or not self._folder.is_dir():
            return
        for path in self._folder.glob("*.safetensors"):
            if path.name.startswith(part) or "-" not in path.name:
                path.unlink(missing_ok=True)

    def _hold(self, name: str, seen: Seen) -> None:
        with self._lock:
            old = self._held.pop(name, None)
            self._bytes += _size(seen) - (_size(old) if old is not None else 0)
            self._held[name] = seen
            while self._bytes > self._memory_bytes and len(self._held) > 1:
                _, oldest = self._held.popitem(last=False)
                self._bytes -= _size(oldest)

    def _read(self, name: str) -> Seen | None:
        if self._folder is None:
            return None
        path = self._file(self._folder, name)
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                seen = Seen(file.get_tensor("pooled").clone(), file.get_tensor("hidden").clone())
                sound = (file.metadata() or {}).get("sha256") == _sum(seen)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, TypeError, RuntimeError):
            sound, seen = False, None
        if not sound:
            _log.warning("A kept reference was damaged and is encoded again: %s.", path.name)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used last now
        return seen

    @staticmethod
    def _file(folder: Path, name: str) -> Path:
        return folder / f"{name}.safetensors"

    def _shrink(self, folder: Path) -> None:
        """Deletes what was used longest ago. Another process may do the same meanwhile."""
        now, entries = time.time(), []
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.suffix == ".safetensors":
                    entries.append((stat.st_mtime_ns, stat.st_size, path))
                elif path.suffix == TEMPORARY_SUFFIX and now - stat.st_mtime > _STALE:
                    path.unlink()
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._disk_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous().clone()


def _size(seen: Seen) -> int:
    return seen.pooled.nbytes + seen.hidden.nbytes


def _sum(seen: Seen) -> str:
    """The sha256 of the numbers and of how many there are."""
    digest = hashlib.sha256(f"{tuple(seen.pooled.shape)} {tuple(seen.hidden.shape)}".encode())
    for tensor in (seen.pooled, seen.hidden):
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
