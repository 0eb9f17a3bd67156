"""Whether a picture shows somebody: a guess from colours and light, made to be right when it says so.

Two signs count. A face that fills much of the picture: a patch of skin colour in which the places of eyes and mouth are
darker than forehead, cheeks and chin. And before a plain backdrop a head on top of a figure: a patch of skin of a
head's shape, with hair or eyes, in the middle of the upper part. Of 277 pictures that ship with ComfyUI's workflow
templates none without a figure was taken for one, and ten of some forty-five with somebody were recognised: who is
turned away, wears a mask, is small in a scene or has no head in the picture is not. No face is known by this, and
nothing about it is kept.

The comparison of light boxes is after Viola and Jones, "Rapid object detection using a boosted cascade of simple
features" (CVPR 2001); the boxes here are drawn by hand.
"""

from typing import Any

import numpy as np

from server.catalog.references.backdrop import Backdrop, Mask, Pixels, luminance

__all__ = ["is_there"]

_FACE = 3.5  # the score from which on it is a face
_SMALLEST = 0.2  # of the picture's height
_FEWEST = 24.0  # pixels, so that each box below has some
_GROWTH = 1.18
_BOXES = {  # top, bottom, left, right within the square of a face
    "left eye": (0.27, 0.44, 0.14, 0.40),
    "right eye": (0.27, 0.44, 0.60, 0.86),
    "between": (0.27, 0.44, 0.43, 0.57),
    "left cheek": (0.50, 0.66, 0.14, 0.36),
    "right cheek": (0.50, 0.66, 0.64, 0.86),
    "nose": (0.44, 0.60, 0.42, 0.58),
    "forehead": (0.02, 0.16, 0.25, 0.75),
    "mouth": (0.72, 0.82, 0.32, 0.68),
    "chin": (0.86, 0.98, 0.38, 0.62),
}

Sums = np.ndarray[Any, np.dtype[np.float64]]


def is_there(view: Pixels, backdrop: Backdrop) -> bool:
    """Whether somebody is in the picture `view` (of `view_of`)."""
    skin = _skin(view)
    return _face(view, skin) or (backdrop.is_plain and _head(view, skin & backdrop.item, backdrop.item))


def _skin(view: Pixels) -> Mask:
    """Where a colour is one that skin has, by its share of red and green: of whatever tone, but so has much wood."""
    red, green, blue = view[..., 0], view[..., 1], view[..., 2]
    total = view.sum(axis=2) + 1e-3
    r, g = red / total, green / total
    hue = (r > 0.36) & (r < 0.53) & (g > 0.26) & (g < 0.37)
    return hue & (red > green) & (red - blue > 12) & (red > 45)


def _face(view: Pixels, skin: Mask) -> bool:
    height, width = skin.shape
    light = np.log(luminance(view).astype(np.float64) + 12)
    sums = _Sums(light), _Sums(light * light), _Sums(skin)
    side = max(_FEWEST, _SMALLEST * height)
    while side <= 0.95 * min(height, width):
        if _best_face(*sums, side) >= _FACE:
            return True
        side *= _GROWTH
    return False


class _Sums:
    """Means over boxes, for squares of one size at many places at once."""

    def __init__(self, values: "np.ndarray[Any, Any]") -> None:
        self._sums = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        self.height, self.width = values.shape

    def mean(self, side: float, box: tuple[float, float, float, float]) -> Sums:
        """Of `box` (as in `_BOXES`) within squares of `side` pixels, [places down, places across]."""
        step = max(1.0, side / 12)
        down = np.arange(0, self.height - side, step)[:, None]
        across = np.arange(0, self.width - side, step)[None]
        top, bottom = (np.rint(down + part * side).astype(int) for part in box[:2])
        left, right = (np.rint(across + part * side).astype(int) for part in box[2:])
        found = self._sums
        total = found[bottom, right] - found[top, right] - found[bottom, left] + found[top, left]
        return total / ((bottom - top) * (right - left))


def _best_face(light: _Sums, squared: _Sums, skin: _Sums, side: float) -> float:
    """How much the most face-like of all squares of `side` pixels is one: contrasts in standard deviations of light."""
    whole = light.mean(side, (0, 1, 0, 1))
    if whole.size == 0:
        return -np.inf
    spread = np.sqrt(np.maximum(squared.mean(side, (0, 1, 0, 1)) - whole * whole, 1e-6)) + 0.05
    at = {name: light.mean(side, box) / spread for name, box in _BOXES.items()}
    eye = np.maximum(at["left eye"], at["right eye"])
    over_cheeks = np.minimum(at["left cheek"], at["right cheek"]) - eye
    under_forehead = at["forehead"] - eye
    beside_nose = at["between"] - eye
    mouth = np.minimum(at["chin"], at["nose"]) - at["mouth"]
    uneven = np.abs(at["left eye"] - at["right eye"]) + np.abs(at["left cheek"] - at["right cheek"])
    weakest = np.minimum(np.minimum(over_cheeks, under_forehead), 1.5 * np.minimum(beside_nose, mouth))
    score = (
        np.minimum(over_cheeks, 1.2)
        + np.minimum(under_forehead, 1.2)
        + np.minimum(beside_nose, 0.8)
        + np.minimum(mouth, 0.8)
        + weakest
        - 0.7 * uneven
    )
    is_skin = (skin.mean(side, (0.45, 0.95, 0.2, 0.8)) > 0.7) & (skin.mean(side, (0.02, 0.2, 0.25, 0.75)) > 0.5)
    return float(np.where(is_skin, score, -np.inf).max())


def _head(view: Pixels, skin: Mask, figure: Mask) -> bool:
    """Whether a patch of skin is where a figure has its head, and looks like one: no even cork, no thin strap."""
    rows, columns = np.nonzero(figure)
    if not len(rows):
        return False
    (top, bottom), (left, right) = np.percentile(rows, [1, 99]), np.percentile(columns, [1, 99])
    light = luminance(view)
    for down, across in _patches(skin, at_least=max(30, round(0.01 * len(rows)))):
        height, width = np.ptp(down) + 1, np.ptp(across) + 1
        placed = (down.mean() - top) / max(1.0, bottom - top), (across.mean() - left) / max(1.0, right - left)
        here = light[down, across]
        tone = float(np.median(here))
        around = (
            slice(max(0, down.min() - height // 4), down.max() + 1),
            slice(max(0, across.min() - width // 6), across.max() + 1 + width // 6),
        )
        dark = ((light[around] < 0.55 * tone) & figure[around]).mean()
        if (
            placed[0] <= 0.3
            and 0.35 <= placed[1] <= 0.65
            and len(down) <= 0.14 * len(rows)
            and 0.75 <= height / width <= 2.2
            and 0.38 <= len(down) / (height * width) <= 0.82
            and here.std() >= 0.15 * tone
            and dark >= 0.08
        ):
            return True
    return False


def _patches(mask: Mask, *, at_least: int) -> "list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]":
    """The connected patches of so many pixels, each as its rows and columns."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    found = []
    while left:
        front = [left.pop()]
        patch = []
        while front:
            row, column = front.pop()
            patch.append((row, column))
            for beside in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if beside in left:
                    left.remove(beside)
                    front.append(beside)
        if len(patch) >= at_least:
            places = np.array(patch)
            found.append((places[:, 0], places[:, 1]))
    return found
