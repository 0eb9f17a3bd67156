"""What one picture is, in numbers: size, sharpness, transparency, and two fingerprints."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MOST_PIXELS = 200_000_000
_ORIENTATION = 0x0112
_SHARP_SIDE = 768
_SIDE, _CELLS = 64, 6
_FLAT = 14.0
"""Edges of a cell, in grey levels, below which it counts as plain."""
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, struct.error)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """`size` is as stored, (width, height) in pixels. `turned`: EXIF asks to turn it. `sharpness`: variance of the
    Laplacian of its sharpest part (see `_sharpness`). `clear`: the share of it that is transparent. `print`: 63 bits of
    its coarse structure, equal but for a few bits for pictures that look the same; `colours`: a 12 × 12 miniature about
    its mean, in levels. `shape`: a unit vector of where
    edges run which way, near 1 in product for the same pose from the same angle."""

    size: tuple[int, int]
    turned: bool
    frames: int
    clear: float
    has_alpha: bool
    sharpness: float
    print: NDArray[np.bool_]
    colours: Floats
    shape: Floats
    thumbnail: Image.Image


class Unreadable(Exception):
    """The picture cannot be decoded."""


def measure(path: Path) -> Measures:
    """Raises:
    Unreadable: it is damaged, no picture, or has absurdly many pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"it has more than {MOST_PIXELS // 1_000_000} million pixels")
            size, frames = image.size, int(getattr(image, "n_frames", 1))
            turned = image.getexif().get(_ORIENTATION, 1) not in (0, 1)
            has_alpha = image.has_transparency_data
            upright = ImageOps.exif_transpose(image).convert("RGBA" if has_alpha else "RGB")
    except Image.UnidentifiedImageError:
        raise Unreadable("it is no PNG, JPEG, WebP or BMP") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"it has more than {MOST_PIXELS // 1_000_000} million pixels") from None
    except (*_BROKEN, zlib.error):
        raise Unreadable("it is damaged or cut off") from None
    clear = 0.0
    if has_alpha:
        clear = float((np.asarray(upright.getchannel("A")) < 250).mean())
        ground = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(ground, upright).convert("RGB")
    thumbnail = upright.copy()
    thumbnail.thumbnail((256, 256), Image.Resampling.LANCZOS)
    grey = upright.convert("L")
    return Measures(
        size,
        turned,
        frames,
        clear,
        has_alpha,
        _sharpness(grey),
        _print(grey),
        _colours(upright),
        _shape(grey),
        thumbnail,
    )


def _sharpness(grey: Image.Image) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al., 2000) of the sharpest of 16 tiles, at a long side of 768 pixels:
    a soft background does not make a portrait blurred."""
    grey = grey.copy()
    grey.thumbnail((_SHARP_SIDE, _SHARP_SIDE), Image.Resampling.BOX)
    a = np.asarray(grey, dtype=np.float64)
    if min(a.shape) < 16:
        return 0.0
    edges = a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] - 4 * a[1:-1, 1:-1]
    tiles = [tile for row in np.array_split(edges, 4, axis=0) for tile in np.array_split(row, 4, axis=1)]
    return float(max(tile.var() for tile in tiles))


def _print(grey: Image.Image) -> NDArray[np.bool_]:
    """The signs about the median of the lowest 63 frequencies of a 32 × 32 miniature (perceptual hash, Zauner 2010)."""
    small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    waves = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)
    lowest = (waves @ small @ waves.T).ravel()[1:]
    return lowest > np.median(lowest)


def _colours(image: Image.Image) -> Floats:
    small = np.asarray(image.resize((12, 12), Image.Resampling.BOX), dtype=np.float64)
    return small - small.mean()


def _shape(grey: Image.Image) -> Floats:
    """Histograms of gradient directions (Dalal and Triggs, 2005): 6 × 6 cells of a 64 × 64 miniature that fade into
    their neighbours, so that a shift of a twentieth changes little, and 9 directions."""
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    down, right = np.gradient(small)
    direction = (np.degrees(np.arctan2(down, right)) % 180 / 20).astype(int) % 9
    strengths = np.zeros((9, _SIDE, _SIDE))
    np.put_along_axis(strengths, direction[None], np.hypot(down, right)[None], axis=0)
    middles = (np.arange(_CELLS) + 0.5) * _SIDE / _CELLS
    fading = np.maximum(0, 1 - np.abs(np.arange(_SIDE) + 0.5 - middles[:, None]) * _CELLS / _SIDE)
    cells = np.einsum("ai,kij,bj->abk", fading, strengths, fading)
    cells = np.sqrt(cells / (cells.sum(axis=2, keepdims=True) + _FLAT))
    cells -= cells.mean(axis=(0, 1))
    length = float(np.linalg.norm(cells))
    return cells.ravel() / length if length > 0 else cells.ravel()
