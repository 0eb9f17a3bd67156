"""From a stranger's file to the picture that is stored: upright, RGB, of bounded size, without a word of metadata."""

import hashlib
import io

from PIL import Image

from server.catalog import pictures

__all__ = ["SIDE", "Clean", "clean"]

SIDE = 2_048
"""Pixels of the longer side: eight times what the image encoder looks at, enough for tiles and for a start frame."""
_WHITE = (255, 255, 255, 255)


class Clean:
    """A picture as it will be stored: its pixels (RGB) and, of them, `data` (PNG) and `sha256`."""

    def __init__(self, image: Image.Image) -> None:
        out = io.BytesIO()
        image.save(out, "PNG", compress_level=6)
        self.image = image
        self.data = out.getvalue()
        self.sha256 = hashlib.sha256(self.data).hexdigest()


def clean(data: bytes) -> Clean:
    """The picture in `data`, at most 2,048 pixels on a side; what is transparent becomes white.

    ComfyUI's loader drops transparency and shows whatever colour lies under it, often black: white is what a shop's
    picture stands on. Of an animation the first frame is kept.

    Raises:
        TooLarge: more than 10 MB.
        InvalidRequest: not a PNG, JPEG or WebP, too many pixels, or damaged.
    """
    image = pictures.decoded(data, (SIDE, SIDE))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return Clean(image)
