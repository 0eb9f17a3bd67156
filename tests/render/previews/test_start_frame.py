"""A start frame: the size that was asked for, the whole picture, a background that goes on, and where it came from."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from server.errors import InvalidRequest
from server.render.previews.start_frame import StartFrame, check_size, start_frame

WALL, FLOOR, DRESS = (196, 188, 180), (120, 100, 90), (160, 20, 40)


def figure(size: tuple[int, int] = (832, 1216), *, cut: str = "") -> bytes:
    """Somebody in a red dress before a wall and on a floor; `cut`: the figure crosses this edge."""
    width, height = size
    image = Image.new("RGB", size, WALL)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 4 // 5, width, height), FLOOR)
    top = 0 if "top" in cut else height // 8
    bottom = height if "bottom" in cut else height * 7 // 8
    left = 0 if "left" in cut else width // 3
    draw.rectangle((left, top, width * 2 // 3, bottom), DRESS)
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True)
    return out.getvalue()


def pixels(frame: StartFrame) -> np.ndarray:
    with Image.open(io.BytesIO(frame.content)) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        return np.asarray(image, np.int16)


@pytest.mark.parametrize(
    ("size", "placed"),
    [
        ((832, 1216), (0, 0, 832, 1216)),  # as it is
        ((416, 608), (0, 0, 416, 608)),  # half of it
        ((1280, 720), (393, 0, 493, 720)),  # lying
        ((1024, 1024), (161, 0, 701, 1024)),  # square
        ((480, 832), (0, 65, 480, 702)),  # taller
        ((1664, 2048), (131, 0, 1401, 2048)),  # larger than it is
        ((256, 2048), (0, 837, 256, 374)),
        ((2048, 256), (936, 0, 175, 256)),
    ],
)
def test_the_whole_picture_is_there_undistorted(size: tuple[int, int], placed: tuple[int, int, int, int]) -> None:
    frame = start_frame(figure(), *size, key="k")
    record, image = frame.record, pixels(frame)
    assert (image.shape, record.placed) == ((size[1], size[0], 3), placed)
    x, y, width, height = placed
    assert abs(width / height / (832 / 1216) - 1) < 0.01
    with Image.open(io.BytesIO(figure())) as source:
        whole = np.asarray(source.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.int16)
    assert np.abs(image[y : y + height, x : x + width] - whole).max() <= 1
    sides = record.extended
    assert (sides["left"], sides["top"]) == (x, y)
    assert (x + width + sides["right"], y + height + sides["bottom"]) == size


def test_what_is_added_is_the_background_that_goes_on_without_a_seam() -> None:
    frame = start_frame(figure(), 1280, 720, key="k")
    image, (x, _, width, height) = pixels(frame), frame.record.placed
    for row, colour in ((10, WALL), (height - 10, FLOOR)):
        assert np.abs(image[row, [0, x // 2, x - 1, x + width, -1]] - colour).max() < 30
    assert np.abs(image[:, x - 1] - image[:, x]).max() < 12
    assert np.abs(image[:, x + width] - image[:, x + width - 1]).max() < 12
    assert not (np.abs(image[:, :x] - DRESS).max(axis=2) < 60).any()  # no second figure


@pytest.mark.parametrize(
    ("cut", "size", "extended"),
    [
        ("", (480, 832), {"top": 65, "bottom": 65}),
        ("bottom", (480, 832), {"top": 130, "bottom": 0}),
        ("top", (480, 832), {"top": 0, "bottom": 130}),
        ("top bottom", (480, 832), {"top": 65, "bottom": 65}),
    ],
)
def test_an_edge_that_the_figure_crosses_stays_at_the_frames_edge(
    cut: str, size: tuple[int, int], extended: dict[str, int]
) -> None:
    record = start_frame(figure(cut=cut), *size, key="k").record
    assert {side: record.extended[side] for side in extended} == extended


def test_the_record_says_what_it_was_made_of_and_the_same_again_is_the_same() -> None:
    source = figure()
    frame, again = (start_frame(source, 1280, 720, key="abc") for _ in range(2))
    assert frame == again
    record = frame.record.document()
    assert record["key"] == "abc"
    assert record["source_sha256"] == hashlib.sha256(source).hexdigest()
    assert (record["source_width"], record["source_height"], record["source_bytes"]) == (832, 1216, len(source))
    assert record["sha256"] == hashlib.sha256(frame.content).hexdigest()
    assert (record["width"], record["height"], record["bytes"]) == (1280, 720, len(frame.content))


@pytest.mark.parametrize(
    ("width", "height", "says"),
    [
        (1280, 722, "take 720 or 728"),
        (1279, 720, "take 1272 or 1280"),
        (0, 720, "from 256"),
        (-8, 720, "from 256"),
        (1280, 4096, "to 2,048"),
    ],
)
def test_sizes_that_no_service_takes_are_refused(width: int, height: int, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        check_size(width, height)
    with pytest.raises(InvalidRequest, match=says):
        start_frame(figure(), width, height, key="k")


def test_a_strip_of_a_picture_and_a_damaged_one() -> None:
    assert start_frame(figure((1, 900)), 256, 512, key="k").record.placed[2:] == (1, 512)
    assert start_frame(figure((2, 900)), 256, 256, key="k").record.placed[2:] == (1, 256)
    assert start_frame(figure((900, 3)), 256, 256, key="k").record.placed[2:] == (256, 1)
    with pytest.raises(InvalidRequest):
        start_frame(figure()[:100], 512, 512, key="k")
