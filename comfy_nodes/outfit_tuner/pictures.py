"""Pictures of items: anybody's file in, plain pixels out.

Only PNG, JPEG and WebP are decoded, whatever a file calls itself, and only after the size in its header was looked at.
What would show another picture than the one that was meant is refused with a sentence: an animation, a file that is
cut off, a sliver. What only stores pixels differently is taken: a rotation in EXIF, 16 bits, CMYK, a palette, a colour
profile, grey.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

__all__ = [
    "CONTENT_TYPES",
    "MAX_ASPECT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "Picture",
    "PictureError",
    "PictureInfo",
    "decode",
    "inspect",
]

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64_000_000  # of a phone's largest pictures; 200 MB while it is decoded
MIN_SIDE = 16  # pixels; an item cannot be seen in less
MAX_ASPECT = 20  # the longer side in shorter sides; a belt is about 15
CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}

_BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF")
_PROFILE_BYTES = 4 * 2**20
_SCAN = b"\xff\xda"  # the marker before each pass of a JPEG over its pixels
_MAX_SCANNED = 2_000_000_000  # pixels, over all passes; 14 passes are usual
_UPRIGHT = {  # EXIF orientation (Exif 2.32, tag 0x0112) → what turns the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Everything Pillow's readers raise on files made to break them.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


class PictureError(ValueError):
    """A file that is not taken as a picture. `code` tells programs why; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class PictureInfo:
    """`format` is a key of `CONTENT_TYPES`; width and height in pixels, upright."""

    format: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Picture:
    """Upright sRGB pixels: `rgb` `[height, width, 3]` and `alpha` `[height, width]`, both uint8, 255 where opaque.

    `alpha` is None where all of it is opaque. Colours under transparent pixels are as stored.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    info: PictureInfo


def inspect(data: bytes) -> PictureInfo:
    """What the header of `data` says; no pixel is decoded.

    Raises:
        PictureError: empty, too large, not a PNG, JPEG or WebP, animated, too many pixels, or no more than a sliver.
    """
    with _opened(data) as image:
        turned = (_orientation(image) or 1) >= 5
        return PictureInfo(_format(image), *(reversed(image.size) if turned else image.size))


def decode(data: bytes) -> Picture:
    """The pixels of `data`.

    Raises:
        PictureError: as `inspect`, and damaged or cut off.
    """
    with _opened(data) as image:
        image.load()
        if not _ends(data, _format(image)):  # Pillow says so too, unless another pack told it to put up with it
            raise _damaged()
        rgb, alpha = _srgb(image), _alpha(image)
        orientation = _orientation(image)
        if orientation is not None:
            rgb = rgb.transpose(_UPRIGHT[orientation])
            alpha = alpha and alpha.transpose(_UPRIGHT[orientation])
        return Picture(
            np.asarray(rgb), None if alpha is None else np.asarray(alpha), PictureInfo(_format(image), *rgb.size)
        )


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """A picture whose header is good; what Pillow raises on a bad one, here or inside, is a `PictureError`."""
    if not data:
        raise PictureError("empty", "The picture's file is empty (0 bytes): save or download it again.")
    if len(data) > MAX_BYTES:
        raise PictureError("too_large", f"The picture's file is larger than {MAX_BYTES // 2**20} MB: save it smaller.")
    try:
        with Image.open(io.BytesIO(data), formats=tuple(CONTENT_TYPES)) as image:
            _check_header(image, data)
            yield image
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels() from None
    except Image.UnidentifiedImageError:
        if data.startswith(_BEGINNINGS):
            raise _damaged() from None
        raise PictureError(
            "not_a_picture", "This is not a PNG, JPEG or WebP picture: save it as one of these."
        ) from None
    except _BROKEN:
        raise _damaged() from None


def _check_header(image: Image.Image, data: bytes) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels()
    short, long = sorted(image.size)
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        raise PictureError(
            "sliver",
            f"The picture is {width} × {height} pixels: an item cannot be seen in it. Use one of at least "
            f"{MIN_SIDE} × {MIN_SIDE} whose longer side is at most {MAX_ASPECT} times the shorter.",
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # the first picture of a phone's JPEG is the photograph
        raise PictureError(
            "animated",
            f"The picture is an animation of {frames} frames: save the frame that shows the item as a still.",
        )
    if width * height * data.count(_SCAN) > _MAX_SCANNED and _format(image) == "JPEG":
        raise PictureError("too_slow", "The JPEG is stored in far too many passes: save it again as a plain JPEG.")


def _format(image: Image.Image) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _ends(data: bytes, format: str) -> bool:
    """Whether the file has its end."""
    if format == "PNG":
        return data.rfind(b"IEND") >= 0
    if format == "JPEG":  # after the last scan: an embedded thumbnail has an end of its own
        return data.find(b"\xff\xd9", data.rfind(_SCAN)) >= 0
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def _orientation(image: Image.Image) -> int | None:
    """How EXIF says the stored pixels are turned, where they are; one that cannot be read turns nothing."""
    try:
        if image.format == "PNG" and "exif" not in image.info:
            return None  # `getexif` would decode the picture to look for one behind the pixels
        value = image.getexif().get(0x0112)
    except _BROKEN:
        return None
    return value if value in _UPRIGHT else None


def _alpha(image: Image.Image) -> Image.Image | None:
    """The picture's opacity as `L`; None where all of it is opaque."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):
        alpha = Image.fromarray(np.where(np.asarray(image) == image.info["transparency"], 0, 255).astype(np.uint8))
    else:
        alpha = image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _srgb(image: Image.Image) -> Image.Image:
    """The picture's colours as `RGB`, whatever it stores; a profile that makes no sense is ignored, as browsers do."""
    if image.mode.startswith("I"):  # 16 bits of grey
        levels = np.asarray(image).astype(np.int64)
        plain = Image.fromarray(((levels * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8))
    elif image.mode == "P":
        plain = image.convert("RGBA").convert("RGB")
    elif image.mode in ("1", "L", "LA"):
        plain = image.convert("L")
    else:
        plain = image if image.mode == "CMYK" else image.convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and len(profile) <= _PROFILE_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):  # most are; their numbers stay what they are
                converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                plain = converted or plain
        except (ImageCms.PyCMSError, ImportError, *_BROKEN):  # some builds of Pillow have no colour management
            pass
    return plain.convert("RGB")


def _damaged() -> PictureError:
    return PictureError("damaged", "The picture is damaged or cut off: save or download it again.")


def _too_many_pixels() -> PictureError:
    return PictureError(
        "too_many_pixels", f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels: save a smaller copy."
    )
