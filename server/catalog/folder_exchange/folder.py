"""The same document as a folder of files: read without following links, written whole or not at all.

A folder may come from strangers. Names are ids and never paths, links and whatever is no plain file are refused, and
nothing is read beyond its bound.
"""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from server.catalog.files import read_file
from server.catalog.folder_exchange.documents import FORMAT, MOST, Index, Problem, item_problems, look_problems
from server.catalog.limits import FILE_BYTES
from server.errors import InvalidId, InvalidRequest
from server.ids import check_slug

__all__ = ["CatalogFolder", "FolderWriter", "new_folder", "read_folder"]

_JSON_BYTES = 64 * 1024
_INDEX_BYTES = 1024 * 1024
_INDEX, _ITEM, _PICTURE = "index.json", "item.json", "reference.png"


@dataclass(slots=True)
class CatalogFolder:
    """Items and looks by id, as JSON; the files of the items' pictures; and all that is wrong with the folder."""

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, where: str, problem: str) -> None:
        self.problems.append(Problem(where=where[:120], problem=problem))

    def picture(self, item: str) -> bytes:
        """An item's picture.

        Raises:
            InvalidRequest: it is no plain file any more, or larger than 10 MB.
        """
        return _bytes(self.pictures[item], FILE_BYTES)


def read_folder(root: Path) -> CatalogFolder:
    """What is in the folder; pictures are found, and read when they are asked for."""
    found = CatalogFolder()
    if root.is_symlink() or not root.is_dir():
        found.wrong(root.name, "This is not a folder.")
        return found
    for entry in _entries(found, root / "items", "items", folders=True):
        _read_item(found, entry)
    for entry in _entries(found, root / "looks", "looks", folders=False):
        data = _json(found, entry, f"looks/{entry.name}", _JSON_BYTES)
        if data is not None:
            _, problems = look_problems(entry.stem, data)
            found.problems += problems
            found.looks[entry.stem] = data
    _check_index(found, root)
    return found


class FolderWriter:
    """A folder that is being written, under another name until it is whole."""

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self.items: list[str] = []
        self.looks: list[str] = []

    def item(self, id: str, data: Mapping[str, Any], picture: bytes | None) -> None:
        folder = self._partial / "items" / check_slug(id, "id")
        _write(folder / _ITEM, _text(data))
        if picture is not None:
            _write(folder / _PICTURE, picture)
        self.items.append(id)

    def look(self, character: str, data: Mapping[str, Any]) -> None:
        _write(self._partial / "looks" / f"{check_slug(character, 'character_id')}.json", _text(data))
        self.looks.append(character)

    def index(self) -> None:
        _write(self._partial / _INDEX, _text({"format": FORMAT, "items": self.items, "looks": self.looks}))


@contextmanager
def new_folder(root: Path) -> Iterator[FolderWriter]:
    """The folder `root`, new or empty until now; it is there once everything is in it.

    Raises:
        InvalidRequest: there is something already, or the disk refuses. Nothing is left behind.
    """
    if root.is_symlink() or (root.exists() and (not root.is_dir() or any(root.iterdir()))):
        raise InvalidRequest(f"{root} is there already: name a new folder.")
    partial = root.with_name(f".{root.name}.{secrets.token_hex(4)}.partial")
    writer = FolderWriter(partial)
    try:
        partial.mkdir(parents=True)
        yield writer
        writer.index()
        partial.replace(root)
    except OSError as error:
        raise InvalidRequest(f"{root} cannot be written: {error.strerror or type(error).__name__}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read_item(found: CatalogFolder, folder: Path) -> None:
    where = f"items/{folder.name}"
    data = _json(found, folder / _ITEM, f"{where}/{_ITEM}", _JSON_BYTES)
    if data is None:
        return
    _, problems = item_problems(folder.name, data)
    found.problems += problems
    found.items[folder.name] = data
    for entry in sorted(folder.iterdir()):
        if entry.name == _PICTURE:
            found.pictures[folder.name] = entry
        elif entry.name != _ITEM and not entry.name.startswith("."):
            found.wrong(f"{where}/{entry.name}", f"Only {_ITEM} and {_PICTURE} belong here.")


def _entries(found: CatalogFolder, folder: Path, where: str, *, folders: bool) -> list[Path]:
    """What is in `items` or `looks` and can be one; a folder that is not there is empty."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        found.wrong(where, "This must be a folder, not a link or a file.")
        return []
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")) if folder.exists() else []
    if len(entries) > MOST:
        found.wrong(where, f"There are {len(entries):,}, and {MOST:,} are taken at once.")
        return []
    return [entry for entry in entries if _fits(found, entry, f"{where}/{entry.name}", folders=folders)]


def _fits(found: CatalogFolder, entry: Path, where: str, *, folders: bool) -> bool:
    name = entry.name if folders else entry.name.removesuffix(".json")
    if entry.is_symlink():
        found.wrong(where, "This is a link: put the real thing here.")
        return False
    if folders != entry.is_dir() or (not folders and entry.suffix != ".json"):
        found.wrong(where, "Here is a folder for each item." if folders else "Here is a .json file for each character.")
        return False
    try:
        check_slug(name, "name")
    except InvalidId as error:
        found.wrong(where, error.message)
        return False
    return True


def _check_index(found: CatalogFolder, root: Path) -> None:
    """The index may be left out; where it is there, what it names has to be, so that half a copy is noticed."""
    path = root / _INDEX
    if not path.exists() and not path.is_symlink():
        if not found.items and not found.looks and not found.problems:
            found.wrong(root.name, "There is nothing in this folder: no items, no looks.")
        return
    data = _json(found, path, _INDEX, _INDEX_BYTES)
    if data is None:
        return
    try:
        index = Index.model_validate(data)
    except ValidationError:
        found.wrong(_INDEX, f'It must be {{"format": "{FORMAT}", "items": […], "looks": […]}}.')
        return
    if index.format != FORMAT:
        found.wrong(_INDEX, f"Its format is not {FORMAT}: it was written by another version.")
    wrong = {problem.where.rpartition("/")[0] or problem.where for problem in found.problems}
    for kind, named, there in (("items", index.items, found.items), ("looks", index.looks, found.looks)):
        for name in named:
            if name not in there and f"{kind}/{name}" not in wrong:
                found.wrong(f"{kind}/{name}", f"{_INDEX} names it, but it is not here.")


def _json(found: CatalogFolder, path: Path, where: str, limit: int) -> dict[str, Any] | None:
    try:
        text = _bytes(path, limit).decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except InvalidRequest as error:
        found.wrong(where, error.message)
    except UnicodeDecodeError:
        found.wrong(where, "It is not text in UTF-8.")
    except json.JSONDecodeError as error:
        found.wrong(where, f"It is not valid JSON: line {error.lineno}, column {error.colno}.")
    except (ValueError, RecursionError):
        found.wrong(where, "Its JSON has a key twice, an impossible number or half a character, or is too deep.")
    else:
        if isinstance(value, dict):
            return value
        found.wrong(where, "It must be a JSON object, {…}.")
    return None


def _bytes(path: Path, limit: int) -> bytes:
    try:
        content = read_file(path, limit)
    except FileNotFoundError:
        raise InvalidRequest("It is not there.") from None
    except OSError:
        raise InvalidRequest("It is a link, or no plain file, or cannot be read.") from None
    if len(content) > limit:
        raise InvalidRequest(f"It is too large: more than {limit:,} bytes.")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
