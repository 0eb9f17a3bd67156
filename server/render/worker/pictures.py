"""What a host sends becomes a clean picture: decoded whole, made anew, without a word of metadata."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image

__all__ = ["Damaged", "Picture", "clean", "measured", "small"]

MAX_PIXELS = 4096 * 4096
FRAME_SIDE = 256
"""The longer side of a live preview, in pixels."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_QUALITY, _FRAME_QUALITY = 92, 70


class Damaged(ValueError):
    """Bytes that are not a whole picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A WebP; sizes in pixels."""

    data: bytes
    width: int
    height: int


def clean(data: bytes) -> Picture:
    """The picture as it is served. Blocking, some 0.1 s.

    Raises:
        Damaged: it is cut off, broken, larger than any render is, or no picture.
    """
    image = _decoded(data)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY, method=4)
    return Picture(out.getvalue(), image.width, image.height)


def measured(data: bytes) -> Picture:
    """A picture that was made clean before, as it is. Blocking, some milliseconds.

    Raises:
        Damaged: as `clean`.
    """
    image = _decoded(data)
    return Picture(data, image.width, image.height)


def small(data: bytes) -> bytes:
    """A live preview as a small JPEG. Blocking, some milliseconds.

    Raises:
        Damaged: as `clean`.
    """
    image = _decoded(data)
    image.thumbnail((FRAME_SIDE, FRAME_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_FRAME_QUALITY)
    return out.getvalue()


def _decoded(data: bytes) -> Image.Image:
    """The pixels and nothing else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Damaged("larger than any render is")
                plain = image.convert("RGB")  # decodes all of it
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Damaged("not a whole picture") from error
    plain.info.clear()
    return plain
