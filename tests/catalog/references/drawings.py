"""Pictures of items as shops have them, drawn: what is on them is known."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WHITE, GREY, NAVY, TAN, SKIN, HAIR = (
    (250, 250, 250),
    (205, 205, 210),
    (25, 35, 80),
    (176, 124, 82),
    (222, 170, 140),
    (60, 40, 30),
)
Colour = tuple[int, int, int]


def sheet(colour: Colour = WHITE, size: tuple[int, int] = (800, 1000)) -> Image.Image:
    """A backdrop that is lit from one side."""
    image = Image.new("RGB", size, colour)
    shade = Image.linear_gradient("L").resize(size).point([255 - level // 10 for level in range(256)])
    return Image.composite(image, Image.new("RGB", size, (0, 0, 0)), shade)


def wallpaper(size: tuple[int, int] = (800, 1000)) -> Image.Image:
    """A backdrop full of small things in many colours."""
    random = np.random.default_rng(1)
    blocks = random.integers(0, 255, (size[1] // 25, size[0] // 25, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def dress(on: Image.Image, colour: Colour = NAVY, *, at: tuple[int, int] = (0, 0)) -> Image.Image:
    """A dress in the middle, moved by `at`."""
    x, y = at
    points = [(330, 200), (470, 200), (480, 420), (600, 860), (200, 860), (320, 420)]
    ImageDraw.Draw(on).polygon([(a + x, b + y) for a, b in points], colour)
    return on


def handbag(on: Image.Image, colour: Colour = TAN) -> Image.Image:
    draw = ImageDraw.Draw(on)
    draw.arc((300, 200, 500, 600), 180, 360, colour, 24)
    draw.rounded_rectangle((200, 400, 600, 780), 40, colour)
    draw.ellipse((380, 430, 420, 470), (212, 175, 55))
    return on


def shoes(on: Image.Image, colour: Colour = TAN) -> Image.Image:
    draw = ImageDraw.Draw(on)
    for x in (150, 430):
        draw.ellipse((x, 400, x + 220, 700), colour)
        draw.rectangle((x + 60, 620, x + 160, 760), HAIR)
    return on


def bottle(on: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(on)
    draw.rectangle((375, 150, 425, 230), TAN)
    draw.rectangle((365, 220, 435, 420), (20, 50, 30))
    draw.rounded_rectangle((300, 400, 500, 850), 40, (20, 50, 30))
    return on


def on_a_hanger(on: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(dress(on))
    draw.polygon([(400, 140), (560, 230), (240, 230)], TAN)
    draw.arc((380, 70, 420, 150), 150, 360, (90, 90, 90), 6)
    return on


def varsity_jacket(on: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(on)
    draw.rounded_rectangle((280, 200, 520, 700), 30, NAVY)
    for box in ((180, 220, 290, 650), (510, 220, 620, 650)):
        draw.rounded_rectangle(box, 30, TAN)
    draw.rectangle((360, 180, 440, 215), HAIR)
    return on


def face(on: Image.Image, box: tuple[int, int, int, int], skin: Colour = SKIN) -> Image.Image:
    """A face seen from the front, with hair, in `box`."""
    x, y, right, bottom = box
    w, h = right - x, bottom - y
    over = on.copy()
    draw = ImageDraw.Draw(over)
    part = lambda a, b, c, d: (x + a * w, y + b * h, x + c * w, y + d * h)  # noqa: E731
    dark = tuple(level // 3 for level in skin)
    draw.ellipse(part(-0.1, -0.18, 1.1, 0.95), HAIR)
    draw.ellipse(part(0.02, 0.0, 0.98, 1.05), skin)
    for left in (0.16, 0.62):
        draw.ellipse(part(left, 0.30, left + 0.22, 0.42), dark)
    draw.polygon([part(0.5, 0.4, 0, 0)[:2], part(0.44, 0.6, 0, 0)[:2], part(0.56, 0.6, 0, 0)[:2]], skin)
    draw.ellipse(part(0.36, 0.72, 0.64, 0.81), (150, 60, 60))
    return over.filter(ImageFilter.GaussianBlur(w / 60))


def worn(on: Image.Image, skin: Colour = SKIN) -> Image.Image:
    """The dress on somebody who stands before the backdrop."""
    draw = ImageDraw.Draw(on)
    for box in ((240, 230, 285, 560), (515, 230, 560, 560), (310, 840, 370, 960), (430, 840, 490, 960)):
        draw.rounded_rectangle(box, 20, skin)
    return face(dress(on), (345, 60, 455, 200), skin)
