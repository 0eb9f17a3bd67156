"""The sha256 of model files, computed once for each state of a file and remembered on disk.

Model files have gigabytes. A hash is kept under the file's path together with its size and modification time, one small
JSON file each, so that two processes never overwrite each other's hashes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .atomic import write_atomically
from .by_file import Stamp, stamp
from .safetensors_header import ModelFileError

__all__ = ["FileHashes"]

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; may raise, which ends the work."""

_CHUNK = 8 * 2**20  # bytes
_SETTLED = 2.0  # seconds; a file written to a moment ago may change again within one tick of its clock
_SHA256 = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


class FileHashes:
    """Hashes, remembered in memory and in `folder`; one that cannot be written to is said once and done without."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[Stamp, str] = {}
        self._lock = threading.Lock()

    def known(self, path: Path) -> str | None:
        """The sha256 in lower-case hex where it is remembered; reads at most a small file."""
        try:
            state = stamp(path)
        except OSError:
            return None
        return self._held.get(state) or self._stored(state)

    def sha256(self, path: Path, progress: Progress | None = None) -> str:
        """The sha256 of a file's bytes, in lower-case hex.

        Raises:
            ModelFileError: the file cannot be read, or does not stay as it is while it is read.
        """
        remembered = self.known(path)
        if remembered:
            return remembered
        with self._lock:  # one file at a time: two would only take turns at the disk
            remembered = self.known(path)
            if remembered:
                return remembered
            return self._hashed(path, progress)

    def remember(self, path: Path, sha256: str) -> None:
        """Takes a hash from whoever just read the file whole, for the state it is in."""
        state = _stamp(path)
        self._held[state] = sha256
        self._store(state, sha256)

    def anew(self, path: Path) -> str:
        """The sha256 of the bytes as they are on the disk now, whatever is remembered.

        Raises:
            ModelFileError: as `sha256`.
        """
        with self._lock:
            return self._hashed(path, None)

    def _hashed(self, path: Path, progress: Progress | None) -> str:
        state = _stamp(path)
        digest, done = hashlib.sha256(), 0
        for chunk in _chunks(path):
            digest.update(chunk)
            done += len(chunk)
            if done > state[1]:
                break  # it grows; whoever writes may be faster than this
            if progress is not None:
                progress(done, state[1])
        if _stamp(path) != state or done != state[1]:
            raise ModelFileError(f"{path.name} is still being written: wait until it is whole and try again.")
        result = digest.hexdigest()
        self._held[state] = result
        if time.time() - state[2] / 1e9 > _SETTLED:
            self._store(state, result)
        return result

    def _file(self, state: Stamp) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(state[0].encode(errors='surrogatepass')).hexdigest()}.json"

    def _stored(self, state: Stamp) -> str | None:
        file = self._file(state)
        if file is None:
            return None
        try:
            found = json.loads(file.read_bytes())
            if (found["bytes"], found["mtime_ns"]) != state[1:] or not _SHA256.fullmatch(found["sha256"]):
                return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None  # none yet, or a damaged one: it is computed and written anew
        self._held[state] = found["sha256"]
        return found["sha256"]

    def _store(self, state: Stamp, sha256: str) -> None:
        file = self._file(state)
        if file is None:
            return
        path, size, mtime = state
        text = json.dumps({"path": path, "bytes": size, "mtime_ns": mtime, "sha256": sha256})
        try:
            write_atomically(file, text.encode(errors="surrogatepass"))
        except OSError as error:
            _log.warning("Model files are hashed anew at each start: %s cannot be written (%s).", self._folder, error)
            self._folder = None


def _chunks(path: Path) -> Iterator[memoryview]:
    """The bytes of a file, in one buffer that is used again and again."""
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                yield view[:count]
    except OSError as error:
        raise _unreadable(path, error) from error


def _stamp(path: Path) -> Stamp:
    try:
        return stamp(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(f"{path.name} cannot be read: {error.strerror or error}.")
