"""Inputs that several memory nodes have, and how they say that the server is away."""

from __future__ import annotations

from collections.abc import Callable

from comfy_api.latest import io

from ..away import FAIL, WAYS, fingerprint
from ..here import companion_here
from ..views import State

__all__ = ["badge", "character_input", "state_of", "when_away_input"]


def character_input() -> io.String.Input:
    return io.String.Input(
        "character",
        default="",
        placeholder="the character's id",
        tooltip="The character's id on the Vestige server, such as halina-wrobel: the last part of the page's address.",
    )


def when_away_input() -> io.Combo.Input:
    return io.Combo.Input(
        "when_away",
        options=list(WAYS),
        default=FAIL,
        optional=True,
        tooltip="What happens while the Vestige server does not answer: stop with an error, or go on with nothing and "
        "a badge on the node. A key that is refused always stops.",
    )


def badge(away: str) -> dict[str, list[str]]:
    """For the editor extension (`web/memory.js`): what is the matter, or nothing, which takes the badge off."""
    return {"vestige_away": [away] if away else []}


def state_of(character: str | None, part: Callable[[State], str], when_away: str | None) -> str | float:
    """A fingerprint: the part of the companion's state that a node depends on. A character that comes along a link is
    not known here, so the node runs again."""
    if character is None:
        return float("nan")
    return fingerprint(lambda: part(companion_here().state(character)), when_away or FAIL)
