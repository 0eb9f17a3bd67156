"""Characters and the versions of their LoRAs, found by where the files lie.

A version is a file `<character>_v<N>.safetensors`, or `<character>/v<N>.safetensors`, anywhere below ComfyUI's `loras`
folders; other LoRAs there are left alone. All versions stay usable. A character's *live* version is the one that
`live.json` beside the files names, `{"halina": 3}`; without it, the highest. To go back is to write another number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .atomic import write_atomically
from .file_lock import locked

__all__ = ["LIVE", "POINTER", "Character", "LoraError", "LoraFile", "find_characters", "resolve", "set_live"]

LIVE = "live"
POINTER = "live.json"
_FLAT = re.compile(r"(?P<character>.+)_v(?P<version>[1-9]\d{0,5})", re.ASCII)
_IN_FOLDER = re.compile(r"v(?P<version>[1-9]\d{0,5})", re.ASCII)
_VERSION = re.compile(r"v?([1-9]\d{0,5})", re.ASCII)


class LoraError(ValueError):
    """A character or version that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class LoraFile:
    """A version: its name as ComfyUI lists it, with forward slashes, and its path."""

    name: str
    path: Path


@dataclass(frozen=True)
class Character:
    """`versions` by number. `clashes`: versions that two files claim, with the second file's name."""

    name: str
    versions: Mapping[int, LoraFile]
    clashes: Mapping[int, str] = field(default_factory=dict)

    def live(self) -> int:
        """The live version.

        Raises:
            LoraError: `live.json` cannot be read, or names a version that is not there.
        """
        for folder in self.folders():
            version = _pointers(folder / POINTER).get(self.name)
            if version is not None:
                if version not in self.versions:
                    raise LoraError(
                        f"{POINTER} says v{version} of {self.name} is live, and there is no such file: "
                        f"write one of {_numbers(self.versions)} there."
                    )
                return version
        return max(self.versions)

    def folders(self) -> list[Path]:
        """Where its versions lie; the first whose `live.json` names the character decides."""
        return list(dict.fromkeys(file.path.parent for file in self.versions.values()))


def find_characters(files: Mapping[str, Path]) -> dict[str, Character]:
    """The characters among ComfyUI's LoRAs (name as listed → path), by name in alphabetical order. Opens no file."""
    versions: dict[str, dict[int, LoraFile]] = {}
    clashes: dict[str, dict[int, str]] = {}
    for listed, path in sorted(files.items()):
        name = listed.replace("\\", "/")
        found = _parsed(PurePosixPath(name))
        if found is None:
            continue
        character, version = found
        held = versions.setdefault(character, {})
        if version in held:
            clashes.setdefault(character, {})[version] = name
        else:
            held[version] = LoraFile(name, path)
    return {
        name: Character(name, dict(sorted(held.items())), clashes.get(name, {}))
        for name, held in sorted(versions.items(), key=lambda item: item[0].casefold())
    }


def resolve(characters: Mapping[str, Character], character: str, version: str) -> tuple[int, LoraFile]:
    """The file of a character's version: `live`, `3` or `v3`.

    Raises:
        LoraError: there is no such character or version, two files claim it, or `live.json` is damaged.
    """
    known = characters.get(character)
    if known is None:
        some = ", ".join(list(characters)[:5]) or "none yet"
        raise LoraError(
            f"There is no LoRA of {character!r}: put <character>_v1.safetensors into the loras folder (there: {some})."
        )
    text = version.strip().lower()
    match = _VERSION.fullmatch(text)
    if text != LIVE and match is None:
        raise LoraError(f"The version is {version!r}: write {LIVE}, or a number such as 3.")
    number = known.live() if match is None else int(match[1])
    if number not in known.versions:
        raise LoraError(f"There is no v{number} of {character}: choose {LIVE} or one of {_numbers(known.versions)}.")
    if number in known.clashes:
        raise LoraError(
            f"Two files are v{number} of {character}, {known.versions[number].name} and {known.clashes[number]}: "
            "rename one of them."
        )
    return number, known.versions[number]


def set_live(character: Character, version: int) -> None:
    """Makes a version the live one; other characters' entries stay, whoever else writes them at the same time.

    Raises:
        LoraError: there is no such version, `live.json` is damaged, or the folder cannot be written to.
    """
    if version not in character.versions:
        raise LoraError(f"There is no v{version} of {character.name}: choose one of {_numbers(character.versions)}.")
    told = next((folder for folder in character.folders() if character.name in _pointers(folder / POINTER)), None)
    pointer = (told or character.versions[version].path.parent) / POINTER
    try:
        with locked(pointer.with_name(f"{POINTER}.lock")):
            pointers = {**_pointers(pointer), character.name: version}
            text = json.dumps(pointers, ensure_ascii=False, indent=1, sort_keys=True)
            write_atomically(pointer, text.encode() + b"\n", durable=True)
    except OSError as error:
        raise LoraError(f"{pointer.name} cannot be written ({error.strerror or error}): check the folder.") from error


def _parsed(name: PurePosixPath) -> tuple[str, int] | None:
    if name.suffix.lower() not in (".safetensors", ".sft"):
        return None
    match = _FLAT.fullmatch(name.stem)
    if match:
        return match["character"], int(match["version"])
    match = _IN_FOLDER.fullmatch(name.stem)
    return (name.parent.name, int(match["version"])) if match and name.parent.name else None


def _pointers(path: Path) -> dict[str, int]:
    """What a `live.json` says, nothing where there is none. A damaged one is never taken for none.

    Raises:
        LoraError: it is damaged.
    """
    instead = f'write {{"<character>": <version>}} into {path.parent.name}/{path.name}, or delete it'
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise LoraError(f"{path.name} cannot be read ({error}): {instead}.") from None
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise LoraError(f"{path.name} does not say which versions are live: {instead}.")
    return found


def _numbers(versions: Mapping[int, LoraFile]) -> str:
    return ", ".join(f"v{number}" for number in versions)
