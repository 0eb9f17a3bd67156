"""A preview as the first frame of a video, at the size an image-to-video service wants.

Nothing is distorted and nothing is cut: the whole picture is scaled until it fits, and where the frame's aspect is
another one, the background goes on. Each edge's colours run outwards and blur the more the farther they are from it, as
a backdrop does that is out of focus. Where the figure itself crosses an edge (a portrait cut at the waist), that edge
stays at the frame's own where the opposite one can be extended instead, so that no body ends in mid-air; where it
cannot, the figure fades into the background beside it.

Coordinates: x to the right and y down from the frame's upper left corner, in pixels. The same picture and size give the
same bytes.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from server.catalog.pictures import decoded
from server.catalog.references.backdrop import Backdrop, Mask, Pixels, view_of
from server.errors import InvalidRequest

__all__ = ["MULTIPLE", "SIDES", "Record", "StartFrame", "check_size", "start_frame"]

MULTIPLE = 8
"""What the sides must be a multiple of; services that want 16 are asked with such a size."""
SIDES = (256, 2_048)

_STRIP = 8  # pixels whose mean an edge goes on with, so that one noisy line does not become a streak
_SPREAD = 0.3  # of the distance from the edge: the sigma of its blur there
_SOFTEST = 0.04  # of the edge's length: the largest sigma, so that wall and floor stay two things
_FADES = 24  # pixels in which what crosses an edge becomes background
_CROSSES = 0.08  # of an edge's length that the figure covers where it crosses it; all of it is a floor
_UNLIKE = 28.0  # levels of 255 between an edge's middle and its ends where a figure crosses it
_MARGIN = 0.02  # of an edge's length: what is so near to the figure has some of it
_MEDIAN = 0.35  # of the edge's length: what is narrower counts as figure where the background is not plain
_SEED = 7


@dataclass(frozen=True, slots=True)
class Record:
    """How a start frame came to be. Sizes in pixels and bytes; hashes are sha256.

    `placed`: x, y, width and height of the picture within the frame. `extended`: how much was added at each side.
    """

    key: str
    source_sha256: str
    source_width: int
    source_height: int
    source_bytes: int
    width: int
    height: int
    sha256: str
    bytes: int
    placed: tuple[int, int, int, int]
    extended: Mapping[str, int]
    scale: float
    method: str = "contain; lanczos; edges extended"
    version: int = 1

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StartFrame:
    """The frame as PNG without metadata, and its record."""

    content: bytes
    record: Record


def check_size(width: int, height: int) -> None:
    """Raises:
    InvalidRequest: a side is not from 256 to 2,048 pixels, or no multiple of 8.
    """
    for name, side in (("width", width), ("height", height)):
        if not SIDES[0] <= side <= SIDES[1]:
            raise InvalidRequest(f"The {name} must be from {SIDES[0]} to {SIDES[1]:,} pixels.", field=name)
        if side % MULTIPLE:
            near = side - side % MULTIPLE
            raise InvalidRequest(
                f"The {name} must be a multiple of {MULTIPLE}: take {near} or {near + MULTIPLE}.", field=name
            )


def start_frame(picture: bytes, width: int, height: int, *, key: str) -> StartFrame:
    """The preview `picture` (PNG, JPEG or WebP) as a frame of `width` x `height` pixels.

    Some tenths of a second of one core: call it in a thread.

    Raises:
        InvalidRequest: see `check_size`; or what is there is no picture.
    """
    check_size(width, height)
    source = decoded(picture, (4_096, 4_096), limit=64 * 1024 * 1024).convert("RGB")
    scale = min(width / source.width, height / source.height)
    size = (_side(source.width * scale, width), _side(source.height * scale, height))
    scaled = np.asarray(source.resize(size, Image.Resampling.LANCZOS), np.float32)
    figure = _figure(source)
    left, right = _shares(scaled.swapaxes(0, 1), figure.T, width - size[0])
    top, bottom = _shares(scaled, figure, height - size[1])
    # one of the two pairs is (0, 0)
    wide = _extended(scaled.swapaxes(0, 1), figure.T, left, right).swapaxes(0, 1)
    content = _png(_extended(wide, figure, top, bottom))
    return StartFrame(
        content,
        Record(
            key=key,
            source_sha256=hashlib.sha256(picture).hexdigest(),
            source_width=source.width,
            source_height=source.height,
            source_bytes=len(picture),
            width=width,
            height=height,
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            placed=(left, top, *size),
            extended={"left": left, "top": top, "right": right, "bottom": bottom},
            scale=round(scale, 6),
        ),
    )


def _side(pixels: float, most: int) -> int:
    return min(most, max(1, round(pixels)))


def _figure(source: Image.Image) -> Mask:
    """Where the figure is in a small copy of the picture [down, across]; nowhere where the background is not plain."""
    view = view_of(source)
    if min(view.shape[:2]) < 16:
        return np.zeros(view.shape[:2], bool)
    backdrop = Backdrop.of(view)
    return backdrop.item if backdrop.is_plain else np.zeros_like(backdrop.item)


def _shares(pixels: Pixels, figure: Mask, more: int) -> tuple[int, int]:
    """How many of `more` lines are added before the first line of `pixels` [lines, across, 3] and after the last."""
    first, last = _crossed(pixels[:_STRIP], figure[0]), _crossed(pixels[-_STRIP:], figure[-1])
    if first and not last:
        return 0, more
    if last and not first:
        return more, 0
    return more // 2, more - more // 2


def _crossed(strip: Pixels, figure: Mask) -> bool:
    """Whether a figure goes on beyond an edge: it is known to be there, or the middle is unlike the ends."""
    if _CROSSES < figure.mean() < 1 - _CROSSES:
        return True
    line = strip.mean(axis=0)
    third = len(line) // 3
    if third < 2:
        return False
    ends = np.concatenate((line[: third // 2], line[-(third // 2) :]))
    usual = np.median(ends, axis=0)
    middle_is = np.abs(line[third:-third] - usual).max(axis=1) > _UNLIKE
    ends_are = np.abs(ends - usual).max(axis=1) > _UNLIKE
    return bool(middle_is.mean() > 0.25 > ends_are.mean())


def _extended(pixels: Pixels, figure: Mask, before: int, after: int) -> Pixels:
    """`pixels` [lines, across, 3] with so many lines added before the first and after the last."""
    parts = [pixels]
    if before:
        parts.insert(0, _outwards(pixels[:_STRIP], figure[0], before)[::-1])
    if after:
        parts.append(_outwards(pixels[-_STRIP:][::-1], figure[-1], after))
    return np.concatenate(parts) if len(parts) > 1 else pixels


def _outwards(strip: Pixels, figure: Mask, lines: int) -> Pixels:
    """`lines` lines that go on from an edge, nearest first; `strip` [lines, across, 3] begins with the outermost line.

    The edge's colours, less and less of the figure in them, blurred along the edge, at distances that double; between
    two of them, a mixture.
    """
    edge, mean = strip[0], strip.mean(axis=0)
    beside = _without(mean, figure)
    softest = _SOFTEST * len(edge)
    steps = [0, *(2**power for power in range(lines.bit_length() + 1))]
    levels = [edge]
    for step in steps[1:]:
        fade = min(1.0, step / _FADES)
        levels.append(_blurred(mean * (1 - fade) + beside * fade, min(_SPREAD * step, softest)))
    at = np.interp(np.arange(1, lines + 1), steps, np.arange(len(steps)))
    lower = np.minimum(at.astype(int), len(steps) - 2)
    share = (at - lower).astype(np.float32)[:, None, None]
    mixed = np.stack(levels)[lower] * (1 - share) + np.stack(levels)[lower + 1] * share
    grain = np.random.default_rng(_SEED).uniform(-0.5, 0.5, mixed.shape)  # against bands in what is nearly one colour
    return (mixed + grain).astype(np.float32)


def _without(line: Pixels, figure: Mask) -> Pixels:
    """A line of colours [across, 3] with what is beside the figure in the figure's place.

    Where the figure is not known, what is narrow is taken for it: a median keeps the step from wall to floor.
    """
    places = np.arange(len(line))
    crossed = _wider(figure[places * len(figure) // len(line)], round(_MARGIN * len(line)))
    if crossed.any() and not crossed.all():
        known = places[~crossed]
        return np.stack([np.interp(places, known, line[known, band]) for band in range(3)], axis=1).astype(np.float32)
    if figure.any():
        return line
    reach = min(len(line) - 1, round(_MEDIAN * len(line) / 2))
    padded = np.pad(line, ((reach, reach), (0, 0)), mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0), axis=-1).astype(
        np.float32
    )


def _wider(mask: Mask, by: int) -> Mask:
    return np.convolve(mask, np.ones(2 * by + 1), "same") > 0


def _blurred(line: Pixels, sigma: float) -> Pixels:
    """A Gaussian blur of a line of colours [across, 3]; beyond its ends it is mirrored."""
    reach = min(len(line) - 1, max(1, round(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(line, ((reach, reach), (0, 0)), mode="reflect")
    return np.stack([np.convolve(padded[:, band], kernel, "valid") for band in range(3)], axis=1).astype(np.float32)


def _png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
