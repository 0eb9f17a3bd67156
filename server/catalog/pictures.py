"""Pictures of characters: strangers' files in, a clean picture of our own making out.

Only PNG, JPEG and WebP are decoded, only after the size in the header was looked at, and only pixels are kept: no
metadata, no colour profile, no animation. SVG is never accepted (it is a program).
"""

import hashlib
import io
import struct
import zlib

from PIL import Image, ImageDraw, ImageFont, ImageOps

from server.catalog.limits import FILE_BYTES, PIXELS, PORTRAIT, SIDE
from server.errors import InvalidRequest, TooLarge

CONTENT_TYPE = "image/webp"
_FORMATS = ("PNG", "JPEG", "WEBP")
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
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def portrait(data: bytes) -> bytes:
    """The picture in `data` as WebP, upright, within 512 x 768 pixels; a transparent one stays transparent.

    Raises:
        TooLarge, InvalidRequest: as `decoded`.
    """
    return _webp(decoded(data, PORTRAIT))


def decoded(data: bytes, within: tuple[int, int], *, limit: int = FILE_BYTES) -> Image.Image:
    """The pixels of the picture in `data`, RGB or RGBA, upright and no larger than `within`, in pixels.

    Raises:
        TooLarge: more than `limit` bytes.
        InvalidRequest: not a PNG, JPEG or WebP, too many pixels, or damaged.
    """
    if len(data) > limit:
        raise TooLarge(f"The picture is too large: {limit // 2**20} MB are allowed.", limit=limit)
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > PIXELS or max(width, height) > SIDE:
                raise _too_many_pixels()
            image.draft("RGB", (2 * within[0], 2 * within[1]))  # a large JPEG need not be decoded in full
            return _pixels(image, within)
    except _BOMB:
        raise _too_many_pixels() from None
    except Image.UnidentifiedImageError:
        raise InvalidRequest("This is not a picture the server can read: send a PNG, JPEG or WebP.") from None
    except _BROKEN:
        raise InvalidRequest("The picture is damaged or cut off. Save it again and retry.") from None


def kind(data: bytes) -> str:
    """`png`, `jpeg` or `webp`, as the bytes themselves say.

    Raises:
        InvalidRequest: another kind of file.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return str(image.format).lower()
    except _BOMB:
        raise _too_many_pixels() from None
    except (Image.UnidentifiedImageError, *_BROKEN):
        raise InvalidRequest("This is not a picture that can be read: use a PNG, JPEG or WebP.") from None


def png_of(webp: bytes) -> bytes:
    """A stored portrait as PNG, for a card."""
    with Image.open(io.BytesIO(webp), formats=("WEBP",)) as image:
        return _png(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))


def blank_png(name: str) -> bytes:
    """A plain coloured picture with the initial of `name`, for the card of a character without a portrait."""
    hue = hashlib.sha256(name.encode()).digest()[0]
    shade = Image.linear_gradient("L").resize((400, 600)).point([150 - level // 3 for level in range(256)])
    image = Image.merge("HSV", (Image.new("L", shade.size, hue), Image.new("L", shade.size, 70), shade)).convert("RGB")
    if name[0].isascii() and name[0].isalnum():
        middle = (image.width / 2, image.height / 2)
        font = ImageFont.load_default(220)
        ImageDraw.Draw(image).text(middle, name[0].upper(), font=font, fill=(244, 240, 232), anchor="mm")
    return _png(image)


def _pixels(image: Image.Image, within: tuple[int, int]) -> Image.Image:
    """The picture's pixels as RGB or RGBA, upright and scaled down, in an image without metadata."""
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    upright = ImageOps.exif_transpose(image)
    mode = "RGBA" if upright.has_transparency_data else "RGB"
    scaled = upright.convert(mode)
    scaled.thumbnail(within, Image.Resampling.LANCZOS)
    clean = Image.new(mode, scaled.size)
    clean.paste(scaled)
    return clean


def _webp(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=88, method=4)
    return out.getvalue()


def _png(image: Image.Image) -> bytes:
    image.info.clear()
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _too_many_pixels() -> InvalidRequest:
    return InvalidRequest(f"The picture has too many pixels: {PIXELS // 1_000_000} million are allowed.")
