"""A thing that a host is to forget, as the text that stands in its list.

render:<prompt id>:<key>     the history entry, what it is filed as, and the files it made
reference:<sha256>           the upload, and what was kept of it
file:<key>:<type>/<subfolder>/<filename>   a picture of a render, for hosts that can be asked for it and no more
memory                       what nodes gave out and is held for the next run
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from server.render.types import PictureRef

__all__ = ["MEMORY", "Things", "about", "of_record", "place", "reference", "render"]

MEMORY = "memory"


def render(prompt_id: str, key: str) -> str:
    return f"render:{prompt_id}:{key}"


def reference(sha256: str) -> str:
    return f"reference:{sha256}"


def place(picture: PictureRef) -> str:
    """Where a host has a picture, as a record of ours has it."""
    return f"{picture.type}/{picture.subfolder}/{picture.filename}"


def of_record(record: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """The host that made a stored picture, and what it is to forget; None where its record does not say.

    What was one person's alone is also dropped from the host's memory: there it may outlast everything else.
    """
    match record:
        case {"host": str(host), "prompt_id": str(prompt_id), "preview": {"key": str(key), "owner": owner}} if host:
            things = [render(prompt_id, key)]
            if isinstance(record.get("file"), str):
                things.append(f"file:{key}:{record['file']}")
            return host, things if owner is None else [*things, MEMORY]
        case _:
            return None


def about(thing: str, keys: frozenset[str], references: frozenset[str]) -> bool:
    """Whether it is the render of one of the keys, or one of the references."""
    kind, _, rest = thing.partition(":")
    match kind:
        case "render":
            return rest.rpartition(":")[2] in keys
        case "file":
            return rest.partition(":")[0] in keys
        case "reference":
            return rest in references
        case _:
            return False


@dataclass(slots=True)
class Things:
    """A list's things by their kind; texts of another version of this program are `unknown`."""

    renders: dict[str, tuple[str, str]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, PictureRef]] = field(default_factory=dict)
    memory: bool = False
    unknown: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        things = cls()
        for text in texts:
            match text.split(":", 2):
                case ["render", prompt_id, key]:
                    things.renders[text] = (prompt_id, key)
                case ["reference", sha256]:
                    things.references[text] = sha256
                case ["file", key, place] if place.count("/") >= 2:
                    kind, _, rest = place.partition("/")
                    subfolder, _, filename = rest.rpartition("/")
                    things.files[text] = (key, PictureRef("", filename, subfolder, kind))
                case ["memory"]:
                    things.memory = True
                case _:
                    things.unknown.append(text)
        return things
