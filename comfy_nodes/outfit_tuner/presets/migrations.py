"""How a preset's file of an earlier format becomes one of today's.

`MIGRATIONS` only ever grows: entry *n* turns a document of format *n + 1* into one of format *n + 2*, so that
`FORMAT` is one more than there are entries. A published entry is never edited: files in that format exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .errors import PresetDamaged, PresetTooNew

__all__ = ["FORMAT", "MIGRATIONS", "Migration", "migrate"]

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: tuple[Migration, ...] = ()
FORMAT = len(MIGRATIONS) + 1


def migrate(document: dict[str, Any], steps: Sequence[Migration] = MIGRATIONS) -> dict[str, Any]:
    """`document` in today's format; itself where it is that already.

    Raises:
        PresetTooNew: its format is later than this version of the pack knows.
        PresetDamaged: it has no format.
    """
    newest = len(steps) + 1
    written = document.get("format")
    if not isinstance(written, int) or isinstance(written, bool) or written < 1:
        raise PresetDamaged("it has no format number")
    if written > newest:
        raise PresetTooNew(
            f"it is of format {written} and this version of Vestige reads formats up to {newest}: update the pack"
        )
    for number, step in enumerate(steps[written - 1 :], written):
        document = {**step(document), "format": number + 1}
    return document
