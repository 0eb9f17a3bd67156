"""Hashes of model files, computed in the background: one file at a time, in one thread that ends with its work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from .file_hashes import FileHashes
from .safetensors_header import ModelFileError

__all__ = ["BackgroundHashes"]

_log = logging.getLogger(__name__)


class BackgroundHashes:
    """Computes what `hashes` does not know yet.

    The thread is a daemon: ComfyUI does not wait for gigabytes when it is stopped.
    """

    def __init__(self, hashes: FileHashes) -> None:
        self._hashes = hashes
        self._lock = threading.Lock()
        self._left: dict[Path, None] = {}
        self._running = False

    @property
    def left(self) -> int:
        """How many files are still to be read, the one at hand included."""
        with self._lock:
            return len(self._left)

    def want(self, paths: Iterable[Path]) -> None:
        """These are to be known, in this order, after those that are wanted already. A file that could not be read, or
        is still being written, is tried again when it is wanted again."""
        with self._lock:
            self._left.update(dict.fromkeys(paths))
            if not self._left or self._running:
                return
            self._running = True
        threading.Thread(target=self._work, name="vestige-hashes", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                path = next(iter(self._left), None)
                if path is None:
                    self._running = False
                    return
            try:
                self._hashes.sha256(path)
            except ModelFileError as error:
                _log.info("Not hashed: %s", error)
            with self._lock:
                self._left.pop(path, None)
