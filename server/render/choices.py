"""What a host offers, read from its `/object_info`, and which of it a person means."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors import InvalidRequest

__all__ = ["choices", "meant"]


def choices(nodes: Mapping[str, Any], node: str, name: str) -> list[str]:
    """What an input of a node can be chosen from; empty where it is no choice. Both ways hosts write it are read."""
    described = nodes.get(node)
    inputs = described.get("input") if isinstance(described, Mapping) else None
    for group in ("required", "optional"):
        entry = (inputs or {}).get(group, {}).get(name)
        if not isinstance(entry, Sequence) or not entry:
            continue
        if isinstance(entry[0], list):
            return [str(choice) for choice in entry[0]]
        if len(entry) > 1 and isinstance(entry[1], Mapping):
            options = entry[1].get("options")
            return [str(choice) for choice in options] if isinstance(options, list) else []
    return []


def meant(given: str, offered: Sequence[str], what: str) -> str:
    """The one of `offered` that a person means: by its name, with or without folder and ending, or a part of it.

    Raises:
        InvalidRequest: none, or several.
    """
    if given in offered:
        return given
    wanted = given.lower()
    for same in (_stem, str.lower):
        found = [one for one in offered if same(one).lower() == _stem(wanted)]
        if len(found) == 1:
            return found[0]
    found = [one for one in offered if wanted in one.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(f"Several files there could be the {what} {given!r}: {_list(found)}. Say which.")
    close = difflib.get_close_matches(given, offered, n=3, cutoff=0.4) or list(offered)
    there = f"There is: {_list(close)}." if close else "There is none at all."
    raise InvalidRequest(f"The host has no {what} {given!r}. {there}")


def _stem(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].removesuffix(".safetensors").lower()


def _list(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
