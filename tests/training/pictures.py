"""Drawn pictures of a figure in poses, for datasets of tests."""

import colorsys
import random
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw

from server.training.buckets import Buckets

Pose = Literal["front", "side", "face", "sitting"]
POSES: tuple[Pose, ...] = ("front", "side", "face", "sitting")
SIZE = (416, 608)
"""A size of SDXL's, halved; `BUCKETS` are as well."""
BUCKETS = Buckets((512, 512), 256, 1024, 32)
_SKIN, _DARK = (224, 172, 140), (40, 40, 60)


def figure(seed: int, pose: Pose, size: tuple[int, int] = SIZE) -> Image.Image:
    """A figure before a background of its own; two seeds differ in all but the pose."""
    rng = random.Random(seed)
    image = Image.new("RGB", SIZE, _colour(seed, 0.55, 0.95))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.randrange(SIZE[0]), rng.randrange(SIZE[1])
        draw.ellipse((x, y, x + rng.randrange(5, 30), y + rng.randrange(5, 30)), fill=_colour(rng.random(), 0.4, 1.0))
    cloth = _colour(seed + 0.5, 0.9, 0.45)
    x = 208 + rng.randrange(-12, 12)
    match pose:
        case "front":
            draw.ellipse((x - 45, 75, x + 45, 185), fill=_SKIN)
            draw.rectangle((x - 70, 185, x + 70, 400), fill=cloth)
            draw.rectangle((x - 60, 400, x - 10, 590), fill=_DARK)
            draw.rectangle((x + 10, 400, x + 60, 590), fill=_DARK)
        case "side":
            draw.ellipse((x - 30, 75, x + 50, 185), fill=_SKIN)
            draw.rectangle((x - 30, 185, x + 35, 400), fill=cloth)
            draw.rectangle((x - 25, 400, x + 30, 590), fill=_DARK)
        case "face":
            draw.ellipse((x - 150, 100, x + 150, 475), fill=_SKIN)
            draw.ellipse((x - 80, 225, x - 40, 250), fill=_DARK)
            draw.ellipse((x + 40, 225, x + 80, 250), fill=_DARK)
            draw.rectangle((x - 175, 475, x + 175, 608), fill=cloth)
        case "sitting":
            draw.ellipse((x - 45, 175, x + 45, 280), fill=_SKIN)
            draw.rectangle((x - 60, 280, x + 60, 450), fill=cloth)
            draw.rectangle((x - 60, 450, x + 165, 505), fill=_DARK)
            draw.rectangle((x + 125, 505, x + 165, 600), fill=_DARK)
    return image if size == SIZE else image.resize(size)


def good_dataset(folder: Path, count: int = 16) -> Path:
    """A dataset that nothing is wrong with."""
    places = ("a garden", "a kitchen", "the street", "a beach", "an office", "a hall", "the snow", "a train")
    clothes = ("red dress", "grey pullover", "raincoat", "suit", "blue shirt")
    framings = {
        "front": "full body, standing",
        "side": "full body, walking to the left",
        "face": "close-up",
        "sitting": "sitting on a chair",
    }
    inner = folder / "10_halina"
    inner.mkdir(parents=True)
    rows = ["file,source,licence,note"]
    for index in range(count):
        pose = POSES[index % 4]
        figure(index, pose).save(inner / f"{index:03}.png")
        caption = f"{framings[pose]}, {clothes[index % 5]}, {places[index % 8]}"
        (inner / f"{index:03}.txt").write_text(caption + "\n", encoding="utf-8")
        rows.append(f"10_halina/{index:03}.png,drawn by the tests,CC0,")
    (folder / "sources.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _colour(seed: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Hues that lie apart also for seeds that differ by 4, 8 or 12: those have one pose."""
    red, green, blue = colorsys.hsv_to_rgb(seed * 0.14 % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)
