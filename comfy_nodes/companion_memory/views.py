"""What the server says of a companion, read and bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ServerAway

__all__ = ["Character", "Memory", "State", "Worn"]

_STRANGE = "The Vestige server's answer has another shape than this node pack knows: update the older of the two."


@dataclass(frozen=True)
class Character:
    """`names`: what no prompt may say. `lora` is the name at the hosts, "" where there is none; so is its version."""

    id: str
    name: str
    names: tuple[str, ...]
    appearance: str
    lora: str
    lora_version: str

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Character:
        """Raises `ServerAway` where it has another shape."""
        try:
            lora = found["lora"] or {}
            return cls(
                str(found["id"]),
                str(found["name"]),
                tuple(map(str, found["names"])),
                str(found["appearance"]),
                str(lora.get("name", "")),
                str(lora.get("version", "")),
            )
        except (KeyError, TypeError, AttributeError):
            raise ServerAway(_STRANGE) from None


@dataclass(frozen=True)
class Memory:
    """`text` is ready for a prompt. `recent` and `remembered` are lines, newest last; `provenance` is JSON: which
    messages they are from. `names` are the character's, and stay out of scenes."""

    text: str = ""
    summary: str = ""
    recent: tuple[str, ...] = ()
    remembered: tuple[str, ...] = ()
    provenance: str = "{}"
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, found: Mapping[str, Any], character: Character) -> Memory:
        """Raises `ServerAway` where it has another shape."""
        try:
            recent = [(str(one["id"]), _said(one)) for one in found["recent"]]
            spans = [(turn["message_id"], str(turn["text"])) for span in found["memories"] for turn in span["turns"]]
            source = {
                "character": character.id,
                "state": found["state"],
                "recent": [name for name, _ in recent],
                "memories": [name for name, _ in spans],
            }
            return cls(
                str(found["text"]),
                str(found["summary"] or ""),
                tuple(text for _, text in recent),
                tuple(text for _, text in spans),
                json.dumps(source),
                character.names,
            )
        except (KeyError, TypeError, IndexError):
            raise ServerAway(_STRANGE) from None


@dataclass(frozen=True)
class Worn:
    """What a character wears. `reference`: the sha256 of its picture, "" where it has none."""

    item: str
    title: str
    prompt_hint: str
    reference: str

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Worn | None:
        """None where nothing is worn. Raises `ServerAway` where it has another shape."""
        try:
            item = found["item"]
            if item is None:
                return None
            return cls(str(item["id"]), str(item["title"]), str(item["prompt_hint"]), str(item["reference"] or ""))
        except (KeyError, TypeError):
            raise ServerAway(_STRANGE) from None


@dataclass(frozen=True)
class State:
    """Hashes: each changes with what it is called by."""

    memory: str
    worn: str
    character: str

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> State:
        """Raises `ServerAway` where it has another shape."""
        try:
            return cls(str(found["memory"]), str(found["worn"]), str(found["character"]))
        except KeyError:
            raise ServerAway(_STRANGE) from None


def _said(message: Mapping[str, Any]) -> str:
    """The alternative of a message that counts as said."""
    return str(message["text"]) if "text" in message else str(message["alternatives"][message["chosen"]]["text"])
