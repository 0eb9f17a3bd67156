"""The files of renders and references, found by names that can mean nothing else."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

__all__ = ["inside", "of_keys", "of_references", "shown"]


def shown(outputs: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    """`(type, subfolder, filename)` of every picture among a run's outputs, whatever node made it."""
    for node in (outputs or {}).values():
        for group in node.values() if isinstance(node, Mapping) else ():
            for one in group if isinstance(group, (list, tuple)) else ():
                if isinstance(one, Mapping) and isinstance(one.get("filename"), str):
                    yield str(one.get("type")), str(one.get("subfolder") or ""), one["filename"]


def inside(folder: Path, *parts: str) -> Path | None:
    """The file at `parts` below `folder`; None where that is no file, or leads out of it."""
    path = folder.joinpath(*parts)
    try:
        whole = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # not there; a name with a null; a circle of links
        return None
    return path if whole.is_file() and folder.resolve() in whole.parents else None


def of_keys(folder: Path, keys: Collection[str]) -> Iterator[Path]:
    """What renders of these keys saved: `<key>_00001_.png`."""
    for path in _files(folder):
        if path.name.partition("_")[0] in keys:
            yield path


def of_references(folder: Path, references: Collection[str]) -> Iterator[Path]:
    """Uploads by the sha256 of their content: `<sha256>.png`."""
    for path in _files(folder):
        if PurePath(path.name).stem in references:
            yield path


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(one.path) for one in found if one.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
