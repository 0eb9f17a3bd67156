"""`DataFolder`: everything the server keeps, in one private folder."""

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.datafolder.lock import NAME as LOCK_NAME
from server.datafolder.lock import lock_folder
from server.datafolder.schema import MIGRATIONS, SCHEMA_FILE, Migration, upgrade
from server.errors import DataFolderError

__all__ = ["DataFolder"]

_HARMLESS = frozenset({LOCK_NAME, f"{SCHEMA_FILE}.tmp", ".DS_Store", "lost+found", ".gitkeep"})
"""What an empty folder may hold: a crash right after the first `mkdir` leaves the lock, mount points the rest."""


@dataclass(frozen=True)
class DataFolder:
    """A data folder by its path; `open` makes it, locks it and brings it to this version's schema.

    Sub-folders exist once it was opened. All are private to the account that runs the server (mode 0700).
    """

    path: Path
    migrations: tuple[Migration, ...] = MIGRATIONS

    @property
    def redis(self) -> Path:
        """The embedded Valkey's append-only files."""
        return self.path / "redis"

    @property
    def chroma(self) -> Path:
        """The embedded Chroma's database, and which shards and embedder it was made for."""
        return self.path / "chroma"

    @property
    def characters(self) -> Path:
        return self.path / "characters"

    @property
    def objects(self) -> Path:
        """Pictures and model files, where no other object store is set. Workers use it without opening the rest."""
        return self.path / "objects"

    @property
    def run(self) -> Path:
        """What only matters while a server runs: sockets, logs of children, the sign-in token."""
        return self.path / "run"

    @property
    def backup(self) -> Path:
        """What migrations changed, as it was before."""
        return self.path / "backup"

    @contextmanager
    def open(self) -> Iterator[Self]:
        """Holds the folder for this process.

        Raises:
            DataFolderError: it is in use, not ours, newer than this program, not writable, or the disk is full.
        """
        with ExitStack() as held:
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._refuse_foreign()
                held.enter_context(lock_folder(self.path))
                upgrade(self.path, self.backup, self.migrations)
                for sub in (self.redis, self.chroma, self.characters, self.run):
                    sub.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise _as_sentence(error, self.path) from error
            yield self

    def _refuse_foreign(self) -> None:
        if (self.path / SCHEMA_FILE).exists():
            self.path.chmod(0o700)
            return
        foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name not in _HARMLESS)
        if foreign:
            raise DataFolderError(
                f"{self.path} holds other files ({foreign[0]!r}) and is no vestige data folder: "
                "choose an empty or new folder with --data."
            )
        self.path.chmod(0o700)


def _as_sentence(error: OSError, folder: Path) -> DataFolderError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataFolderError(f"The disk is full: free some space for {folder} and start again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DataFolderError(
            f"{error.filename or folder} cannot be written: check its owner, or choose another --data."
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return DataFolderError(f"{error.filename or folder} is a file, not a folder: choose another --data.")
    return DataFolderError(f"The data folder {folder} cannot be used: {error.strerror or error}.")
