"""LoRAs that a server sends to this host: received in pieces, visible once whole and verified, bounded in size.

    FOLDER/                               `vestige` in ComfyUI's first `loras` folder
      halina_v3.safetensors               a version, as ComfyUI lists it
      halina_v3.safetensors.sent          its sha256, size and time as it was sent; changed when it is used
      halina_v3.safetensors.pin           there while it is pinned
      halina_v4.safetensors.ab12….part    what has come of one; kept when a connection or this process ends
      locks/                              one file for each version, held while a piece of it comes in, and beside it
                                          the room that is kept for the rest

What was used longest ago makes room. What is pinned stays; and so does what people put there, here or elsewhere: only
what was sent, and is still as it was sent, is ever removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from .atomic import write_atomically
from .by_file import stamp
from .file_hashes import FileHashes
from .file_lock import FileLock, LockTimeout, locked
from .lineage import lora_lineage
from .lora_version import PushError, Version
from .loras import LoraError, find_characters, set_live
from .reserved_room import give_back_room, keep_room, kept_room
from .safetensors_header import ModelFileError, read_header

__all__ = ["MAX_BYTES", "Incoming", "PushError", "PushedLoras", "Sent", "Usage", "Version", "mark_used"]

MAX_BYTES = 4 << 30
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SENT, _PIN, _PART = ".sent", ".pin", ".part"
_STALE_SECONDS = 7 * 86_400.0  # nobody goes on with a file that was begun so long ago
_CHUNK = 8 << 20
_SPARE_BYTES = 256 << 20  # of the disk, which ComfyUI itself needs


@dataclass(frozen=True, order=True)
class Sent:
    """A file that was sent. `used`: when a render or a server asked for it last, in seconds since 1970."""

    used: float
    file: str
    sha256: str
    bytes: int
    pinned: bool


@dataclass(frozen=True)
class Usage:
    """What was sent and what is coming in, and how much of it may be here; sizes in bytes."""

    bytes: int
    coming_bytes: int
    pinned_bytes: int
    limit: int


class Incoming:
    """A file on its way, held by one sender until it is closed. What was written stays."""

    def __init__(self, file: BinaryIO, lock: FileLock, received: int) -> None:
        self._file = file
        self._lock = lock  # and with it the room that is kept for the file
        self.received = received

    def write(self, data: bytes) -> None:
        """Raises `PushError` (`not_kept`) where the disk does not take it."""
        with _disk():
            self._file.write(data)
        self.received += len(data)

    def close(self) -> None:
        """Raises as `write`; the next sender may come either way."""
        try:
            with _disk(), self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            _left(self._lock)


class PushedLoras:
    """What was sent, at most `limit` bytes of it. `files` gives ComfyUI's LoRAs, name as listed → path."""

    _SECONDS: ClassVar[float] = 30.0

    def __init__(self, folder: Path, limit: int, files: Callable[[], Mapping[str, Path]], hashes: FileHashes) -> None:
        self._folder = folder
        self._limit = limit
        self._files = files
        self._hashes = hashes

    def look(self, version: Version, sha256: str) -> tuple[bool, int]:
        """Whether the version is here whole, which counts as using it; else how much of it has come, in bytes.

        Raises:
            PushError: `version_taken`: another file is this version here; `bad_hash`: that is no sha256.
        """
        part = self._part(version, sha256)
        path = self._here(version)
        if path is not None:
            self._is_the_same(version, path, sha256)
            mark_used(path)
            return True, path.stat().st_size
        return False, part.stat().st_size if part.exists() else 0

    def receive(self, version: Version, sha256: str, start: int, total: int) -> Incoming:
        """The file on its way, to be written to from `start` on.

        Raises:
            PushError: `wrong_start`: another part is missing, details.received says which; `being_received`: somebody
                else sends it just now; `too_large`, `no_room`; `not_kept`: the disk does not take it; and as `look`.
        """
        if total > MAX_BYTES:
            raise PushError("too_large", f"A LoRA has at most {MAX_BYTES >> 30} GB.", limit=MAX_BYTES)
        lock = self._lock(version)
        try:
            whole, received = self.look(version, sha256)
            if whole or start != received:
                raise PushError("wrong_start", f"{received:,} bytes of it are here: go on there.", received=received)
            part = self._part(version, sha256)
            with _disk():
                with locked(self._folder / "lock", self._SECONDS):
                    give_back_room(lock.path)  # what a process kept that died
                    self._make_room(total - received, part)
                    keep_room(lock.path, part, total)
                return Incoming(part.open("ab"), lock, start)
        except BaseException:
            _left(lock)
            raise

    def finish(self, version: Version, sha256: str) -> Path:
        """Makes a file that has come in whole visible, once it is what it should be. What was live stays live.

        Raises:
            PushError: `wrong_content`: another hash, or no LoRA: it is gone; `being_received`; `not_kept`.
        """
        lock = self._lock(version)
        try:
            with _disk():
                return self._finished(version, sha256)
        finally:
            lock.release()

    def _finished(self, version: Version, sha256: str) -> Path:
        part, path = self._part(version, sha256), self._folder / version.file
        if self.look(version, sha256)[0]:  # somebody else was faster
            part.unlink(missing_ok=True)
            return path
        self._check(part, sha256)
        self._keep_live(version)
        stat = part.stat()
        record = {"sha256": sha256, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        write_atomically(_beside(path, _SENT), json.dumps(record).encode(), durable=True)
        part.replace(path)
        _sync(self._folder)
        self._hashes.remember(path, sha256)
        return path

    def drop(self, version: Version, sha256: str) -> None:
        """Forgets what has come of a file that is not whole.

        Raises:
            PushError: `being_received`, `not_kept`.
        """
        part, lock = self._part(version, sha256), self._lock(version)
        try:
            with _disk():
                part.unlink(missing_ok=True)
        finally:
            lock.release()

    def pin(self, version: Version, pinned: bool) -> None:
        """Keeps a version that was sent, whatever else comes; or lets it make room again.

        Raises:
            PushError: `not_here`: it was not sent to this host; `not_kept`.
        """
        path = self._folder / version.file
        if _record(path) is None:
            raise PushError("not_here", f"{version} was not sent to this host.")
        with _disk():
            if pinned:
                _beside(path, _PIN).touch()
            else:
                _beside(path, _PIN).unlink(missing_ok=True)

    def hashed_again(self, version: Version) -> str | None:
        """The sha256 of a version as it lies on the disk now, however it came there; None where it is not here.

        Raises:
            PushError: `not_kept`: it cannot be read.
        """
        path = self._here(version)
        if path is None:
            return None
        try:
            return self._hashes.anew(path)
        except ModelFileError as error:
            raise PushError("not_kept", str(error)) from None

    def sent(self) -> list[Sent]:
        """Everything that was sent and is as it was, used last first."""
        return sorted(self._scan(), reverse=True)

    def usage(self) -> Usage:
        sent = self.sent()
        return Usage(
            sum(each.bytes for each in sent),
            sum(size for _, size in self._parts()),
            sum(each.bytes for each in sent if each.pinned),
            self._limit,
        )

    def _here(self, version: Version) -> Path | None:
        """The file that is this version, wherever it lies in ComfyUI's folders."""
        own = self._folder / version.file
        if own.exists():
            return own
        character = find_characters(self._files()).get(version.character)
        found = character.versions.get(version.number) if character is not None else None
        return found.path if found is not None and found.path.exists() else None

    def _is_the_same(self, version: Version, path: Path, sha256: str) -> None:
        try:
            found = self._hashes.sha256(path)
        except ModelFileError as error:
            raise PushError("not_kept", str(error)) from None
        if found != sha256:
            raise PushError(
                "version_taken",
                f"Another file is {version} on this host ({path.name}, {found[:10]}…): move it away, or rename it.",
                sha256=found,
            )

    def _check(self, part: Path, sha256: str) -> None:
        digest = hashlib.sha256()
        with part.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
        try:
            if digest.hexdigest() != sha256:
                raise PushError("wrong_content", "What came is not the file that was announced: send it again.")
            lora_lineage(read_header(part), part.name)
        except (PushError, ModelFileError) as error:
            part.unlink(missing_ok=True)
            raise error if isinstance(error, PushError) else PushError("wrong_content", str(error)) from None

    def _keep_live(self, version: Version) -> None:
        """Writes down which version is live here, which a higher one would otherwise become by coming."""
        character = find_characters(self._files()).get(version.character)
        if character is not None:
            with contextlib.suppress(LoraError):  # a damaged live.json stays what it is
                set_live(character, character.live())

    def _make_room(self, size: int, coming: Path) -> None:
        """Removes what was begun and left, then what was used longest ago and is not pinned, until `size` bytes fit
        beside what is here and what others are sending."""
        for part, _ in self._parts():
            with contextlib.suppress(OSError):
                if part != coming and time.time() - part.stat().st_mtime > _STALE_SECONDS:
                    part.unlink()
        sent = sorted(self._scan())
        pinned = sum(each.bytes for each in sent if each.pinned)
        kept = kept_room(self._folder / "locks", self._folder)
        total = sum(each.bytes for each in sent) + sum(each for _, each in self._parts()) + kept
        free = shutil.disk_usage(self._folder).free - _SPARE_BYTES - kept
        for each in sent:
            if total + size <= self._limit and size <= free:
                return
            if not each.pinned and self._removed(self._folder / each.file):
                total -= each.bytes
                free += each.bytes
        if total + size > self._limit or size > free:
            raise PushError(
                "no_room",
                f"{size >> 20} MB do not fit: {self._limit >> 20} MB of sent LoRAs may be here, {pinned >> 20} MB of "
                f"them are pinned, and the disk has {max(0, free) >> 20} MB to spare. Set VESTIGE_LORA_MB, or unpin.",
            )

    @staticmethod
    def _removed(path: Path) -> bool:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # Windows: ComfyUI has it open
            return False
        for beside in (_PIN, _SENT):
            _beside(path, beside).unlink(missing_ok=True)
        return True

    def _scan(self) -> Iterator[Sent]:
        for note in self._folder.glob(f"*{_SENT}"):
            path = note.with_name(note.name.removesuffix(_SENT))
            record = _record(path)
            if record is not None:
                with contextlib.suppress(OSError):
                    used, pinned = note.stat().st_mtime, _beside(path, _PIN).exists()
                    yield Sent(used, path.name, record["sha256"], record["bytes"], pinned)

    def _parts(self) -> list[tuple[Path, int]]:
        found = []
        for path in self._folder.glob(f"*{_PART}"):
            with contextlib.suppress(OSError):
                found.append((path, path.stat().st_size))
        return found

    def _part(self, version: Version, sha256: str) -> Path:
        if _SHA256.fullmatch(sha256) is None:
            raise PushError("bad_hash", "Say which file it is by its sha256: 64 characters of 0-9 and a-f.")
        return self._folder / f"{version.file}.{sha256}{_PART}"

    def _lock(self, version: Version) -> FileLock:
        """Nobody else sends this version until it is released."""
        lock = FileLock(self._folder / "locks" / f"{version.character}_v{version.number}")
        with _disk():
            (self._folder / "locks").mkdir(parents=True, exist_ok=True)
            if lock.take():
                return lock
        raise PushError("being_received", f"Somebody else sends {version} just now: look again in a moment.")


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is `PushError` (`not_kept`)."""
    try:
        yield
    except LockTimeout:
        raise PushError("not_kept", "Another process holds the folder of sent LoRAs: try again.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PushError("not_kept", f"The folder of sent LoRAs cannot be written to: {reason}.") from error


def _left(lock: FileLock) -> None:
    give_back_room(lock.path)
    lock.release()


def mark_used(path: Path) -> None:
    """Notes that a LoRA was used just now; one that was not sent needs no note."""
    with contextlib.suppress(OSError):
        os.utime(_beside(path, _SENT))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _record(path: Path) -> dict | None:
    """What was noted of a file that was sent; None where nothing was, or the file is not that one any more."""
    try:
        record = json.loads(_beside(path, _SENT).read_bytes())
        _, size, mtime = stamp(path)
        same = (record["bytes"], record["mtime_ns"]) == (size, mtime) and _SHA256.fullmatch(record["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if same else None


def _sync(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system can."""
    with contextlib.suppress(OSError, AttributeError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
