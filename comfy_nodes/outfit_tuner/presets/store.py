"""The presets on disk: `NAME/vN.json`, one immutable file per version.

Two folders are read, the person's own and the one that comes with the pack; only the first is written. Their names do
not overlap (`names.SHIPPED_PREFIX`).
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..tuning import Pins, TuningValues
from . import codec
from .errors import PresetDamaged, PresetError, PresetNameError, PresetNotFound, PresetNotSaved, PresetTooNew
from .names import SHIPPED_PREFIX, check_name, check_own_name, parse_spec
from .publish import publish
from .record import UNPINNED, Preset

__all__ = ["SHIPPED", "Damaged", "Listing", "PresetStore"]

SHIPPED = Path(__file__).parent / "shipped"
_FILE = re.compile(r"v([1-9][0-9]{0,8})\.json", re.ASCII)
_RACES = 1000


@dataclass(frozen=True)
class Damaged:
    """A file in a preset's place that cannot be read: `red-dress/v3.json`, and what is wrong with it."""

    file: str
    problem: str


@dataclass(frozen=True)
class Listing:
    """Every preset, by name and then newest version first, and the files that were skipped."""

    presets: tuple[Preset, ...]
    damaged: tuple[Damaged, ...]


class PresetStore:
    """Presets in `own`, a folder made when something is first saved, and in `shipped`."""

    def __init__(self, own: Path, shipped: Path = SHIPPED) -> None:
        self._own = own
        self._shipped = shipped

    def names(self) -> list[str]:
        """Every name with a version, sorted, the person's own before the shipped ones. Reads no file."""
        own = sorted(name for name in _folders(self._own) if not name.startswith(SHIPPED_PREFIX))
        shipped = sorted(name for name in _folders(self._shipped) if name.startswith(SHIPPED_PREFIX))
        return [name for name in (*own, *shipped) if self.versions(name)]

    def versions(self, name: str) -> list[int]:
        """The versions of `name`, newest first; none where there is no such preset. Reads no file.

        Raises:
            PresetNameError: it cannot be a preset's name.
        """
        return sorted((number for number, _ in _files(self._folder(name))), reverse=True)

    def load(self, spec: str) -> Preset:
        """The preset `name@version`, or the newest version for `name@latest` and `name`.

        Raises:
            PresetNameError: `spec` is none of these.
            PresetNotFound: there is no such name or version.
            PresetDamaged: its file cannot be read: an older version is never taken in its place.
        """
        name, version = parse_spec(spec)
        existing = self.versions(name)
        if not existing:
            raise PresetNotFound(f"There is no preset '{name}'{_near(name, self.names())}.")
        if version is None:
            version = existing[0]
        elif version not in existing:
            raise PresetNotFound(f"'{name}' has no version {version}: its newest is {name}@{existing[0]}.")
        return self._read(name, version)

    def list(self) -> Listing:
        """Every version of every preset."""
        presets: list[Preset] = []
        damaged: list[Damaged] = []
        for name in self.names():
            for version in self.versions(name):
                try:
                    presets.append(self._read(name, version))
                except PresetError as error:
                    damaged.append(Damaged(f"{name}/v{version}.json", str(error)))
        return Listing(tuple(presets), tuple(damaged))

    def save(
        self,
        name: str,
        values: TuningValues,
        *,
        pins: Pins = UNPINNED,
        notes: str = "",
        parent: str | None = None,
        reasons: Mapping[str, str] | None = None,
    ) -> Preset:
        """A new version of `name`, one above its newest. Whoever saves at the same moment gets the next one.

        Raises:
            PresetNameError: the name cannot be used, or `parent` is no `name@version`.
            PresetError: the notes are too long.
            PresetNotSaved: the folder cannot be written or the disk is full; nothing was saved.
        """
        folder = self._folder(check_own_name(name))
        draft = Preset(name, 1, values, pins, _clean(notes), parent, codec.now(), dict(reasons or {}))
        _check(draft)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for _ in range(_RACES):
                newest = max((number for number, _ in _files(folder)), default=0)
                preset = dataclasses.replace(draft, version=newest + 1)
                if publish(folder / f"v{preset.version}.json", codec.encode(preset)):
                    return preset
        except OSError as error:
            raise _not_saved(error, self._own) from error
        raise PresetNotSaved(f"'{name}' was not saved: others kept saving it at the same time. Save it again.")

    def save_changed(
        self, name: str, values: TuningValues, *, pins: Pins = UNPINNED, notes: str = "", parent: str | None = None
    ) -> Preset:
        """As `save`, or the newest version of `name` where it has the same values, pins and notes already.

        Raises:
            PresetError: as `save` does.
        """
        try:
            newest = self.load(check_own_name(name))
        except (PresetNotFound, PresetDamaged):
            newest = None
        if newest is not None and (newest.values, newest.pins, newest.notes) == (values, pins, _clean(notes)):
            return newest
        return self.save(name, values, pins=pins, notes=notes, parent=parent)

    def rollback(self, spec: str, notes: str | None = None) -> Preset:
        """A new version equal to the old one that `spec` names, which becomes its parent.

        Raises:
            PresetError: as `load` and `save` do.
        """
        old = self.load(spec)
        return self.save(
            old.name,
            old.values,
            pins=old.pins,
            notes=old.notes if notes is None else notes,
            parent=old.origin,
            reasons=old.reasons,
        )

    def _folder(self, name: str) -> Path:
        root = self._shipped if check_name(name).startswith(SHIPPED_PREFIX) else self._own
        return root / name

    def _read(self, name: str, version: int) -> Preset:
        path = self._folder(name) / f"v{version}.json"
        try:
            with path.open("rb") as file:
                preset = codec.decode(file.read(codec.MAX_BYTES + 1))
            if preset.name != name or preset.version != version:
                raise PresetDamaged(f"it says that it is {preset.origin}")
        except FileNotFoundError:
            raise PresetNotFound(f"There is no preset '{name}@{version}' any more.") from None
        except OSError as error:
            raise PresetDamaged(f"The preset {name}@{version} cannot be read: {error.strerror or error}.") from None
        except PresetTooNew as error:
            raise PresetTooNew(f"The preset {name}@{version} cannot be read: {error}.") from None
        except PresetDamaged as error:
            raise PresetDamaged(
                f"The preset {name}@{version} is damaged: {error}. Load another version, or remove {path}."
            ) from None
        return preset


def _folders(root: Path) -> Iterator[str]:
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                try:
                    if entry.is_dir() and check_name(entry.name):
                        yield entry.name
                except (PresetNameError, OSError):
                    continue  # somebody's own folder beside ours
    except OSError:
        return


def _files(folder: Path) -> Iterator[tuple[int, str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (match := _FILE.fullmatch(entry.name)) is not None:
                    yield int(match[1]), entry.name
    except OSError:
        return


def _clean(notes: str) -> str:
    if len(notes) > codec.MAX_NOTES:
        raise PresetError(f"The notes have {len(notes):,} characters: {codec.MAX_NOTES:,} can be kept.")
    return notes.encode("utf-8", "replace").decode().strip()


def _check(preset: Preset) -> None:
    """A preset that could not be read again is not written."""
    try:
        codec.decode(codec.encode(preset))
    except (PresetDamaged, UnicodeError) as error:
        raise PresetError(f"The preset cannot be saved: {error}.") from None


def _near(name: str, names: list[str]) -> str:
    like = [known for known in names if known.startswith(name[:3])][:3] or names[:3]
    return f": there are {', '.join(like)}" if like else ": save one first"


def _not_saved(error: OSError, folder: Path) -> PresetNotSaved:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PresetNotSaved("The disk is full: nothing was saved. Free some space and save again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PresetNotSaved(f"Nothing was saved: {error.filename or folder} cannot be written. Check its owner.")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return PresetNotSaved(f"Nothing was saved: {error.filename or folder} is a file where a folder should be.")
    return PresetNotSaved(f"Nothing was saved in {folder}: {error.strerror or error}.")
