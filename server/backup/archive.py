"""The file of a backup: a tar whose last member, the manifest, has the size and sha256 of every other one.

    redis/000001.jsonl.gz     keys of the state store, a line each: {"key", "type", "value", "ttl_ms"}
    windows/000001.jsonl.gz   closed windows and summaries, a line each: {"scope", "id", "document", "metadata"}
    characters/…              the characters' files
    objects/…                 pictures and model files, where they are kept in a folder
    manifest.json             what made it, which embedder the windows are of, and what has to be there

A file without its manifest was cut off, and is refused.
"""

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from server.errors import VestigeError

__all__ = [
    "MANIFEST",
    "VERSION",
    "BackupError",
    "Manifest",
    "Writer",
    "lines_of",
    "now_text",
    "opened",
    "packed",
    "read_manifest",
]

VERSION = 1
MANIFEST = "manifest.json"
_BLOCK = 512
_SAFE = re.compile(r"(redis|windows|characters|objects)(/[^/\0\\]{1,255}){1,12}")
_MOST_MANIFEST = 256 << 20
MOST_LINE = 256 << 20
"""Bytes of one key or window as text; the largest keys there are list a tenant's whole catalog."""
MOST_MEMBER = MOST_LINE + (256 << 20)
"""Bytes of all lines of one member. `take` begins another one long before."""


class BackupError(VestigeError):
    """A backup that cannot be made, read or restored; one sentence says why and what to do."""

    status, code = 422, "backup"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`members`: name → (bytes, sha256). `embedder` and `dim` are what the windows were indexed with. `external`: what
    is kept elsewhere and is not in the file."""

    version: int
    created: str
    vestige: str
    schema: int
    embedder: str
    dim: int
    shards: int
    counts: Mapping[str, int]
    external: list[str]
    members: Mapping[str, tuple[int, str]] = field(default_factory=dict)


class Writer:
    """Members as the bytes of a tar, to be sent as they come."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[int, str]] = {}

    async def member(self, name: str, size: int, data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A member of exactly `size` bytes.

        Raises:
            BackupError: it became longer or shorter meanwhile.
        """
        yield _header(name, size)
        hashed, sent = hashlib.sha256(), 0
        async for piece in data:
            hashed.update(piece)
            sent += len(piece)
            if sent > size:
                break
            yield piece
        if sent != size:
            raise BackupError(f"{name} changed while it was read: make the backup again.")
        self.members[name] = size, hashed.hexdigest()
        yield b"\0" * (-size % _BLOCK)

    def whole(self, name: str, data: bytes) -> bytes:
        """A small member at once."""
        self.members[name] = len(data), hashlib.sha256(data).hexdigest()
        return _header(name, len(data)) + data + b"\0" * (-len(data) % _BLOCK)

    def end(self, manifest: Manifest) -> bytes:
        """The manifest, with all members so far, and the end of the file."""
        data = json.dumps({**asdict(manifest), "members": self.members}, ensure_ascii=False).encode()
        return _header(MANIFEST, len(data)) + data + b"\0" * (-len(data) % _BLOCK) + b"\0" * (2 * _BLOCK)


def read_manifest(path: Path) -> Manifest:
    """Reads a backup to its end and checks every byte of it.

    Raises:
        BackupError: it is none, damaged, cut off, or of a newer program.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if manifest is not None or not member.isreg():
                    raise BackupError(f"{path.name} is no backup of Vestige.")
                file = opened(tar, member)
                if member.name == MANIFEST:
                    manifest = json.loads(file.read(_MOST_MANIFEST))
                    continue
                if not _SAFE.fullmatch(member.name) or ".." in member.name.split("/"):
                    raise BackupError(f"{path.name} holds {member.name!r}, which no backup of Vestige does.")
                found[member.name] = member.size, _sha256(file)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise BackupError(f"{path.name} cannot be read as a backup: {error}.") from error
    if manifest is None:
        raise BackupError(f"{path.name} is cut off: it ends before its manifest. Use another backup.")
    if not isinstance(manifest.get("version"), int) or manifest["version"] > VERSION:
        raise BackupError(f"{path.name} was made by a newer vestige: update this one first.")
    said = {name: tuple(about) for name, about in manifest["members"].items()}
    if said != found:
        wrong = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
        raise BackupError(f"{path.name} is damaged at {wrong[0]}: use another backup.")
    return Manifest(**{**manifest, "members": found})


def opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """A member's bytes.

    Raises:
        BackupError: it is no plain file.
    """
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        raise BackupError(f"The backup holds {member.name!r}, which is no plain file.")
    return file


def packed(rows: list[dict[str, Any]]) -> bytes:
    """Lines of JSON, compressed.

    Raises:
        BackupError: a row is so long that nobody would restore it.
    """
    lines = [(json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass") for row in rows]
    if max(map(len, lines), default=0) > MOST_LINE:
        raise BackupError(f"A key or window has more than {MOST_LINE >> 20} MB of text: no backup can hold it.")
    return gzip.compress(b"".join(lines), 3, mtime=0)


def lines_of(name: str, file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """What `packed` packed, a line at a time: however much comes out of it, no more than one is held in memory.

    Raises:
        BackupError: it is damaged, or more comes out of it than any backup holds.
    """
    out = 0
    try:
        with gzip.open(file) as unpacked:
            while line := unpacked.readline(MOST_LINE + 1):
                out += len(line)
                if len(line) > MOST_LINE or out > MOST_MEMBER:
                    raise BackupError(
                        f"{name} of the backup unpacks to more than any backup of Vestige holds "
                        f"({MOST_LINE >> 20} MB in a line, {MOST_MEMBER >> 20} MB in all): it is not restored."
                    )
                if line != b"\n":
                    yield json.loads(line.decode("utf-8", "surrogatepass"))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise BackupError(f"{name} of the backup cannot be read: {error}.") from error


def now_text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _sha256(file: IO[bytes]) -> str:
    hashed = hashlib.sha256()
    while piece := file.read(1 << 20):
        hashed.update(piece)
    return hashed.hexdigest()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.PAX_FORMAT)
