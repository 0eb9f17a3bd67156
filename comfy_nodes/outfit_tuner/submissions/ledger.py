"""What was asked for and what came of it, on disk, for every ComfyUI over one user folder.

    FOLDER/
      lock                 what writes holds it
      results/9f….json     a record, by the sha256 of its key
      prompts/UUID         which key a prompt id was given for
      processes/UUID       locked by a ComfyUI as long as it lives

A record is replaced in one step. Whose process is gone will not finish what it began.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..atomic import write_atomically
from ..file_lock import FileLock, LockTimeout, locked
from .errors import Unwritable
from .records import Record

__all__ = ["Ledger"]

_KEEP = 10_000  # records; finished ones beyond that go, the oldest first
_PRUNE_EVERY = 200  # claims

_log = logging.getLogger(__name__)


class Ledger:
    """One per process. Its methods touch the disk: call them in a thread."""

    def __init__(self, folder: Path, *, keep: int = _KEEP) -> None:
        self._folder = folder
        self._keep = keep
        self._claims = 0
        self.process = str(uuid.uuid4())
        self._alive: FileLock | None = None

    def read(self, key: str) -> Record | None:
        """The record of a key. One that cannot be read counts as none, and is replaced by the next."""
        return self._read(self._file(key))

    def key_of(self, prompt_id: str) -> str | None:
        """The key a prompt id was given for."""
        try:
            return (self._folder / "prompts" / prompt_id).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def lives(self, record: Record) -> bool:
        """Whether the process that runs it is still there."""
        if record.process == self.process:
            return True
        path = self._folder / "processes" / record.process
        return path.exists() and not _is_gone(path)

    def claim(self, record: Record, instead_of: Record | None) -> Record | None:
        """Writes a new record down if its key still has `instead_of`; else gives what the key has now.

        Raises:
            Unwritable
        """
        with self._writing():
            current = self.read(record.key)
            if current != instead_of:
                return current
            if self._alive is None:
                self._alive = self._begin_living()
            write_atomically(self._folder / "prompts" / record.prompt_id, record.key.encode(), durable=True)
            write_atomically(self._file(record.key), record.to_json(), durable=True)
            self._claims += 1
            if self._claims % _PRUNE_EVERY == 0:
                self._prune()
        return None

    def file(self, record: Record) -> Record:
        """Writes down how a run ended. A key that has a result keeps it, and so does one that was claimed anew.

        Raises:
            Unwritable
        """
        with self._writing():
            current = self.read(record.key)
            if current is None or (current.prompt_id == record.prompt_id and not current.finished):
                write_atomically(self._file(record.key), record.to_json(), durable=True)
                return record
            return current

    def delete(self, record: Record) -> None:
        """Forgets a key that still has this record. Raises `Unwritable`."""
        with self._writing():
            if self.read(record.key) == record:
                self._remove(record)

    def prune(self) -> None:
        """Forgets the oldest finished records beyond those that are kept. Raises `Unwritable`."""
        with self._writing():
            self._prune()

    def _begin_living(self) -> FileLock:
        """Locks a file of this process's own; those of processes that are gone go."""
        for path in (self._folder / "processes").iterdir():
            if _is_gone(path):
                path.unlink(missing_ok=True)
        lock = FileLock(self._folder / "processes" / self.process)
        lock.take()
        return lock

    def _prune(self) -> None:
        for path in _oldest(self._folder / "results", self._keep):
            record = self._read(path)
            if record is None:
                path.unlink(missing_ok=True)
            elif record.finished or not self.lives(record):
                self._remove(record)
        for path in _oldest(self._folder / "prompts", 2 * self._keep):  # of runs that failed and were begun anew
            path.unlink(missing_ok=True)

    def _remove(self, record: Record) -> None:
        (self._folder / "prompts" / record.prompt_id).unlink(missing_ok=True)
        self._file(record.key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / "results" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _read(self, path: Path) -> Record | None:
        try:
            return Record.from_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("The result in %s cannot be read (%s).", path.name, type(error).__name__)
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / "processes").mkdir(exist_ok=True)
            with locked(self._folder / "lock"):
                yield
        except LockTimeout:
            raise Unwritable("Another process holds the results: try again when it is done.") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unwritable(f"The results in {self._folder} cannot be written to: {reason}.") from error


def _is_gone(path: Path) -> bool:
    """Whether the process whose file this is holds it no more."""
    lock = FileLock(path)
    try:
        gone = lock.take()
    except OSError:
        return False  # it cannot be told, and twice is worse than late
    lock.release()
    return gone


def _oldest(folder: Path, keep: int) -> list[Path]:
    """The files beyond the newest `keep`."""
    by_age = sorted((path.stat().st_mtime_ns, path) for path in folder.iterdir()) if folder.is_dir() else []
    return [path for _, path in by_age[: max(0, len(by_age) - keep)]]
