"""The data folder's schema version, and the migrations that carry an older folder forward.

`schema.json` holds `{"version", "created", "vestige"}`, and while a migration runs `"migrating": {"to", "backup"}` too.
What a migration names in `touches` is copied to `backup/<UTC time>-v<from>/` before it starts. A migration that fails,
or was cut off by a crash, is undone from that copy; after a crash it is then run again.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from server.errors import DataFolderError

__all__ = ["FIRST_VERSION", "MIGRATIONS", "SCHEMA_FILE", "Migration", "schema_version", "stamp", "upgrade"]

SCHEMA_FILE = "schema.json"
FIRST_VERSION = 1


@dataclass(frozen=True)
class Migration:
    """One step from `version - 1` to `version`.

    `apply` gets the data folder and may change only the paths in `touches`, given relative to it. It runs on a locked
    folder with no store open.
    """

    version: int
    touches: tuple[str, ...]
    apply: Callable[[Path], None]


MIGRATIONS: tuple[Migration, ...] = ()
"""Append only: what an old folder needs is decided by what shipped, so no entry ever changes or goes."""


def schema_version() -> int:
    """The version that this program writes."""
    return FIRST_VERSION + len(MIGRATIONS)


def stamp(folder: Path, version: int) -> None:
    """Says that what was put into `folder` is of this version, so that the next start carries it forward."""
    _write(folder / SCHEMA_FILE, {**_read(folder / SCHEMA_FILE), "version": version})


def upgrade(folder: Path, backup: Path, migrations: Sequence[Migration]) -> None:
    """Brings `folder` to the newest version; a folder without a schema file becomes a new one.

    Raises:
        DataFolderError: the folder is newer, its schema file is broken, or a migration failed (then it is as it was).
        OSError: disk full and the like; running again resumes.
    """
    newest = FIRST_VERSION + len(migrations)
    if [step.version for step in migrations] != list(range(FIRST_VERSION + 1, newest + 1)):
        raise ValueError("migrations must be numbered one after the other")
    path = folder / SCHEMA_FILE
    if not path.exists():
        created = datetime.now(UTC).isoformat(timespec="seconds")
        _write(path, {"version": newest, "created": created, "vestige": _program_version()})
        return
    schema = _read(path)
    version: int = schema["version"]
    if version > newest:
        raise DataFolderError(
            f"{folder} was written by a newer vestige ({schema.get('vestige', 'unknown')}, schema {version}; this one "
            f"knows {newest}): upgrade vestige, or choose another --data."
        )
    if interrupted := schema.get("migrating"):
        step = migrations[interrupted["to"] - FIRST_VERSION - 1]
        _restore(folder, backup / interrupted["backup"], step.touches)
    for partial in backup.glob("*.partial"):
        shutil.rmtree(partial)
    for step in migrations[version - FIRST_VERSION :]:
        _run(folder, path, schema, backup, step)


def _run(folder: Path, path: Path, schema: dict[str, Any], backup: Path, step: Migration) -> None:
    if "migrating" not in schema:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-v{step.version - 1}"
        _copy(folder, backup / name, step.touches)
        schema["migrating"] = {"to": step.version, "backup": name}
        _write(path, schema)
    saved = backup / schema["migrating"]["backup"]
    try:
        step.apply(folder)
    except Exception as error:
        _restore(folder, saved, step.touches)
        del schema["migrating"]
        _write(path, schema)
        raise DataFolderError(
            f"{folder} could not be brought from schema {step.version - 1} to {step.version} ({error}); "
            f"it is as it was, and a copy of what would have changed is in {saved}."
        ) from error
    del schema["migrating"]
    schema |= {"version": step.version, "vestige": _program_version()}
    _write(path, schema)


def _copy(folder: Path, target: Path, touches: Sequence[str]) -> None:
    """Copies what exists of `touches` to `target`, which appears only once it is complete and on the disk."""
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(mode=0o700, parents=True)
    for relative in touches:
        _copy_path(folder / relative, partial / relative)
    partial.replace(target)
    os.sync()


def _restore(folder: Path, saved: Path, touches: Sequence[str]) -> None:
    for relative in touches:
        current = folder / relative
        if current.is_dir():
            shutil.rmtree(current)
        else:
            current.unlink(missing_ok=True)
        _copy_path(saved / relative, current)
    os.sync()


def _copy_path(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _read(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_text("utf-8"))
        if isinstance(schema["version"], int) and schema["version"] >= FIRST_VERSION:
            return schema
    except (ValueError, KeyError, TypeError):
        pass
    raise DataFolderError(f"{path} is damaged: restore it from a backup, or choose another --data.")


def _write(path: Path, schema: dict[str, Any]) -> None:
    partial = path.with_name(f"{path.name}.tmp")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(schema, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)


def _program_version() -> str:
    try:
        return metadata.version("vestige")
    except metadata.PackageNotFoundError:
        return "unknown"
