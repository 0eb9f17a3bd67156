"""Which model files a ComfyUI has: known ones by their hash, others by what their headers say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from .contents import NO_TORCH, Contents, describe, fits
from .download import Progress, address, sha256_of
from .known import KNOWN, RECOMMENDED, KnownFile
from .places import ComfyUI

__all__ = ["Found", "Status", "Survey", "survey"]

Status = Literal["verified", "unverified", "damaged", "unusable", "missing"]

KINDS = ("ipadapter", "clip_vision")
_USABLE: tuple[Status, ...] = ("verified", "unverified")
_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}


@dataclass(frozen=True)
class Found:
    """One row of a survey.

    `verified`: its hash is that of a known file. `unverified`: usable as far as its header tells, and nobody here
    knows its hash. `damaged`: called like a known file, with another hash or size. `unusable`: `note` says why.
    `missing`: a known file that is not there. `fits` names the files it works with.
    """

    kind: str
    name: str
    status: Status
    path: Path | None = None
    bytes: int | None = None
    sha256: str | None = None
    what: str = ""
    source: str | None = None
    fits: tuple[str, ...] = ()
    note: str | None = None

    def as_json(self) -> Mapping[str, Any]:
        row = {**vars(self), "fits": list(self.fits)}
        return row | {"path": str(self.path) if self.path else None}


@dataclass(frozen=True)
class Survey:
    """Everything found. `note` says what could not be looked into."""

    rows: tuple[Found, ...]
    note: str | None = None

    @property
    def ready(self) -> bool:
        """Whether an adapter and an encoder are there that fit each other."""
        return any(row.kind == "ipadapter" and row.fits for row in self.rows)

    def missing(self, files: tuple[KnownFile, ...] = RECOMMENDED) -> tuple[KnownFile, ...]:
        """Those of `files` that are not there, under any name."""
        there = {row.sha256 for row in self.rows if row.status == "verified"}
        return tuple(file for file in files if file.sha256 not in there)


def survey(comfyui: ComfyUI, *, progress: Progress | None = None, hashes: bool = True) -> Survey:
    """Looks through the folders for adapters and encoders.

    Without `hashes` nothing is read but headers, and a known file is told by its name and size alone.
    """
    rows = [row for kind in KINDS for row in _rows(comfyui, kind, progress, hashes)]
    contents = {row.path: describe(row.path, row.kind) for row in rows if row.path and row.status in _USABLE}
    rows = [_with_fits(row, rows, contents) for row in rows]
    there = {row.sha256 for row in rows if row.status == "verified"}
    names = {(row.kind, row.name) for row in rows}
    rows += [_missing(one) for one in KNOWN if one.sha256 not in there and (one.folder, one.name) not in names]
    notes = [comfyui.note, NO_TORCH if any(found.note == NO_TORCH for found in contents.values()) else None]
    return Survey(tuple(rows), " ".join(note for note in notes if note) or None)


def _rows(comfyui: ComfyUI, kind: str, progress: Progress | None, hashes: bool) -> Iterator[Found]:
    for path in _files(comfyui, kind):
        size = path.stat().st_size
        if path.suffix != ".safetensors":
            yield Found(kind, path.name, "unusable", path, size, note="only .safetensors files are read")
            continue
        digest = sha256_of(path, progress) if hashes else _presumed(path, size)
        match = next((file for file in KNOWN if file.sha256 == digest), None)
        if match:
            yield Found(kind, path.name, "verified", path, size, digest, match.what, address(match))
        elif namesake := next((file for file in KNOWN if (file.folder, file.name) == (kind, path.name)), None):
            if hashes or namesake.bytes not in (None, size):
                note = "not what its publisher has under this name: delete it, and fetch it with --download"
                yield Found(kind, path.name, "damaged", path, size, digest, namesake.what, address(namesake), note=note)
            else:
                yield Found(kind, path.name, "unverified", path, size, None, namesake.what, address(namesake))
        else:
            yield Found(kind, path.name, "unverified", path, size, digest)


def _files(comfyui: ComfyUI, kind: str) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in comfyui.folders(kind):
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file() and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _presumed(path: Path, size: int) -> str | None:
    return next((file.sha256 for file in KNOWN if (file.name, file.bytes) == (path.name, size)), None)


def _with_fits(row: Found, rows: list[Found], contents: Mapping[Path, Contents]) -> Found:
    mine = contents.get(row.path) if row.path else None
    if mine is None or mine.note == NO_TORCH:
        return row
    if mine.note:
        return replace(row, status="unusable", note=mine.note)
    names = tuple(
        one.name
        for one in rows
        if one.path
        and one.kind != row.kind
        and one.path in contents
        and fits(*_pair(row.kind, mine, contents[one.path]))
    )
    note = None if names else f"no {'encoder' if row.kind == 'ipadapter' else 'adapter'} here fits it"
    return replace(row, what=row.what or mine.what, fits=names, note=note)


def _pair(kind: str, mine: Contents, other: Contents) -> tuple[Contents, Contents]:
    return (mine, other) if kind == "ipadapter" else (other, mine)


def _missing(file: KnownFile) -> Found:
    return Found(file.folder, file.name, "missing", None, file.bytes, file.sha256, file.what, address(file))
