"""The files of renders and references, found by names that can mean nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
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


def of_keys(folder: Path, keys: Collection[str]) -> dict[str, list[Path]]:
    """What renders of these keys saved, `<key>_00001_.png`, by key: the folder may be large, and is read once."""
    return _named(folder, keys, lambda name: name.partition("_")[0])


def of_references(folder: Path, references: Collection[str]) -> dict[str, list[Path]]:
    """Uploads by the sha256 of their content, `<sha256>.png`."""
    return _named(folder, references, lambda name: PurePath(name).stem)


def _named(folder: Path, wanted: Collection[str], part: Callable[[str], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    names = set(wanted)
    for path in _files(folder) if names else ():
        if part(path.name) in names:
            found.setdefault(part(path.name), []).append(path)
    return found


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            return [Path(one.path) for one in found if one.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
