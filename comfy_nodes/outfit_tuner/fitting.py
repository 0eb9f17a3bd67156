"""Making a reference square, so that the encoder sees all of it.

CLIP's own preprocessing cuts the middle out of whatever is not square: a full-length dress loses head and hem. Here the
whole picture stays, unless a crop was asked for by name, and it is never enlarged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image

from .pictures import Picture

__all__ = ["MAX_SIDE", "WAYS", "Fitted", "Fitting", "FittingError", "colour", "fit"]

Way = Literal["pad", "letterbox", "crop"]
WAYS: tuple[Way, ...] = get_args(Way)
MAX_SIDE = 1024  # pixels; an encoder reads 224 to 448
_NAMES = {"white": "#ffffff", "grey": "#808080", "gray": "#808080", "black": "#000000"}


class FittingError(ValueError):
    """A fitting that cannot be done; the message says what would do."""


@dataclass(frozen=True)
class Fitting:
    """How a picture becomes square.

    `pad`: the picture's own border goes on to both sides; round a cut-out, `background`. `letterbox`: bars of
    `background`. `crop`: the largest square there is in it, at `crop_x`, `crop_y` from 0 (left, top) to 1 (right,
    bottom). `background` (`#rrggbb`, or white, grey, black) is also what shows through transparent pixels.
    """

    way: str = "pad"
    background: str = "#ffffff"
    crop_x: float = 0.5
    crop_y: float = 0.5

    def __post_init__(self) -> None:
        """Raises `FittingError`."""
        if self.way not in WAYS:
            raise FittingError(f"fit is {self.way!r}: it must be one of {', '.join(WAYS)}.")
        colour(self.background)
        if not (0 <= self.crop_x <= 1 and 0 <= self.crop_y <= 1):
            raise FittingError(f"The crop is at {self.crop_x}, {self.crop_y}: both must be between 0 and 1.")


@dataclass(frozen=True, eq=False)
class Fitted:
    """`image` `[1, side, side, 3]`, 0 to 1. `mask` `[1, side, side]`, 1 where the item is, None where nobody said.

    `area` `[1, side, side]` is 1 where the picture is and 0 where it was filled up. `name` and the picture's bytes
    decide all of it.
    """

    image: torch.Tensor
    mask: torch.Tensor | None
    area: torch.Tensor
    name: str


def fit(picture: Picture, fitting: Fitting, mask: torch.Tensor | None = None) -> Fitted:
    """A picture made square.

    Args:
        mask: `[height, width]` or `[1, height, width]`, 1 where the item is, of the picture's own size. Without it the
            picture's transparency tells.

    Raises:
        FittingError: the mask is of another size.
    """
    background = colour(fitting.background)
    image = Image.fromarray(picture.rgb)
    if picture.alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, background), Image.fromarray(picture.alpha))
    box = _square(image.size, fitting) if fitting.way == "crop" else (0, 0, *image.size)
    subject, said_by = _subject(picture, mask)
    return Fitted(
        image=_fitted(image, box, None if fitting.way == "pad" and picture.alpha is None else background),
        mask=None if subject is None else _fitted(subject, box, 0),
        area=_fitted(Image.new("L", image.size, 255), box, 0),
        name=_name(fitting, said_by),
    )


def colour(text: str) -> tuple[int, int, int]:
    """`#rrggbb`, or white, grey, black.

    Raises:
        FittingError: none of these.
    """
    value = _NAMES.get(text.strip().lower(), text.strip())
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value, re.ASCII):
        raise FittingError(f"The background is {text!r}: write it as #rrggbb, or white, grey, black.")
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def _subject(picture: Picture, mask: torch.Tensor | None) -> tuple[Image.Image | None, str]:
    """Where the item is, as `L`, and who said so."""
    if mask is None:
        return (None, "no mask") if picture.alpha is None else (Image.fromarray(picture.alpha), "transparency")
    if mask.ndim == 3 and mask.shape[0] == 1:
        mask = mask[0]
    height, width = picture.rgb.shape[:2]
    if mask.shape != (height, width):
        size = " × ".join(str(side) for side in reversed(mask.shape))
        raise FittingError(
            f"The mask is {size}, the picture {width} × {height} pixels: draw the mask on this very picture."
        )
    levels = (mask.detach().float().nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(levels), f"mask {hashlib.sha256(levels.tobytes()).hexdigest()[:16]}"


def _square(size: tuple[int, int], fitting: Fitting) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the largest square at the place that was asked for."""
    side = min(size)
    left = round((size[0] - side) * fitting.crop_x)
    top = round((size[1] - side) * fitting.crop_y)
    return left, top, left + side, top + side


def _fitted(
    layer: Image.Image, box: tuple[int, int, int, int], fill: int | tuple[int, int, int] | None
) -> torch.Tensor:
    """What is in `box`, scaled to at most `MAX_SIDE` and filled up to a square: by `fill`, or by its own border.

    Gives `[1, side, side]` or `[1, side, side, 3]`, 0 to 1.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, MAX_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        pixels = np.asarray(layer.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
    else:
        pixels = np.asarray(layer.crop(box))
    side = max(size)
    above, before = (side - size[1]) // 2, (side - size[0]) // 2
    rows, columns = (above, side - size[1] - above), (before, side - size[0] - before)
    edges = (rows, columns, *((0, 0),) * (pixels.ndim - 2))
    square = np.pad(pixels, edges, mode="edge")
    if fill is not None:
        square[...] = fill
        square[above : above + size[1], before : before + size[0]] = pixels
    return torch.from_numpy(square.astype(np.float32) / 255)[None]


def _name(fitting: Fitting, said_by: str) -> str:
    at = f" at {fitting.crop_x:g},{fitting.crop_y:g}" if fitting.way == "crop" else ""
    return f"{fitting.way}{at} on #{bytes(colour(fitting.background)).hex()} to {MAX_SIDE}, {said_by}"
