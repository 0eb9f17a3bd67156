"""What will hurt the pictures made with a reference, told to the shop keeper while it can still be changed.

The image encoder sees all of a reference: what stands around an item, and who wears it, ends up in the pictures. These
are guesses from a small copy, made to be silent when unsure; nothing is refused for them.
"""

from typing import Any

import numpy as np
from PIL import Image

from server.catalog.references import person
from server.catalog.references.backdrop import Backdrop, view_of
from server.catalog.references.models import Finding

__all__ = ["findings_of"]

SMALL = 256
"""Pixels of the shorter side below which the encoder's 224 are mostly invented."""
SMALL_ITEM = 224
"""Pixels of the longer side of the item itself."""
_TOUCHES = 0.06  # of an edge's length that the item covers where it is cut off
_EDGES = ("top", "bottom", "left", "right")


def findings_of(image: Image.Image) -> tuple[Finding, ...]:
    """What is wrong with an RGB picture, the worst first; nothing for a good one.

    About 50 ms of one core: call it in a thread.
    """
    found: list[Finding] = []
    view = view_of(image)
    if min(view.shape[:2]) < 16:  # a line, of which nothing can be said but that it is small
        return (_small(image),)
    backdrop = Backdrop.of(view)
    if person.is_there(view, backdrop):
        found.append(
            Finding(
                "person",
                "Somebody seems to wear it, and their face and body would get into the pictures: use a picture of the "
                "item alone.",
            )
        )
    if backdrop.is_busy:
        found.append(
            Finding(
                "busy_background",
                "The background is busy and would show up in the pictures: cut the item out, or take its picture "
                "before a plain wall or sheet.",
            )
        )
    edges = _cut_at(backdrop) if backdrop.is_plain else []
    if edges:
        found.append(
            Finding(
                "cropped",
                f"The item is cut off at the {_listed(edges)}: use a picture that shows all of it, with some space "
                "around it.",
            )
        )
    if min(image.size) < SMALL:
        found.append(_small(image))
    elif backdrop.is_plain and (pixels := _longer_side(backdrop) * max(image.size) / max(view.shape)) < SMALL_ITEM:
        found.append(
            Finding(
                "small",
                f"The item fills only about {round(pixels)} pixels of the picture: crop closer to it, or use a larger "
                "picture.",
            )
        )
    return tuple(found)


def _small(image: Image.Image) -> Finding:
    return Finding(
        "small",
        f"The picture has only {image.width} x {image.height} pixels: use one with at least {2 * SMALL} on its shorter "
        "side.",
    )


def _cut_at(backdrop: Backdrop) -> list[str]:
    """The edges that the item crosses. What reaches into a corner is a floor or a table, not an item."""
    item = backdrop.item
    lines = (item[0] & item[1], item[-1] & item[-2], item[:, 0] & item[:, 1], item[:, -1] & item[:, -2])
    return [name for name, line in zip(_EDGES, lines, strict=True) if _longest_run(line) >= _TOUCHES * line.size]


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _longest_run(line: "np.ndarray[Any, np.dtype[np.bool_]]") -> int:
    """The length of the longest run of true in `line` that touches neither of its ends."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], line, [False])).astype(np.int8)))
    starts, ends = changes[::2], changes[1::2]
    inside = (starts > 0) & (ends < len(line))
    return int((ends - starts)[inside].max(initial=0))


def _longer_side(backdrop: Backdrop) -> float:
    """How far the item reaches, in pixels of the small copy; specks are not counted."""
    rows, columns = np.nonzero(backdrop.item)
    if len(rows) < 20:
        return float(max(backdrop.item.shape))  # nothing stands out: a white dress on white
    return float(max(np.ptp(np.percentile(rows, [1, 99])), np.ptp(np.percentile(columns, [1, 99]))) + 1)
