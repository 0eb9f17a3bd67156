"""What a node does while the server does not answer: fail with a sentence, or go on empty and say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .errors import CompanionError, NotSetUp, ServerAway

__all__ = ["EMPTY", "WAYS", "asked", "fingerprint"]

T = TypeVar("T")
FAIL, EMPTY = "fail", "go on empty"
WAYS = (FAIL, EMPTY)


def asked(question: Callable[[], T], empty: T, when_away: str) -> tuple[T, str]:
    """The answer and "", or `empty` and what is the matter, where the node may go on without the server.

    Raises:
        CompanionError: the server refuses, or does not answer and the node may not go on.
    """
    try:
        return question(), ""
    except (ServerAway, NotSetUp) as error:
        if when_away != EMPTY:
            raise
        return empty, str(error)


def fingerprint(question: Callable[[], str], when_away: str) -> str | float:
    """What ComfyUI compares to see whether a node has to run again: the state, or while nobody answers what keeps an
    empty result and makes a failure try again."""
    try:
        return question()
    except CompanionError:
        return "away" if when_away == EMPTY else float("nan")
