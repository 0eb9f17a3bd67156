"""A contact sheet has each picture where its labels say it is."""

import io

import pytest
from PIL import Image

from server.errors import InvalidRequest
from server.render.sheet import CELL, GAP, MARGIN, contact_sheet


def picture(colour: str, size: tuple[int, int] = (400, 600)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, "PNG")
    return made.getvalue()


def test_every_picture_is_in_its_place_and_what_is_missing_stays_grey() -> None:
    sheet = contact_sheet(
        {(0, 0): picture("red"), (1, 1): picture("blue")}, ["0.40", "0.45"], ["0.70", "0.75"], "title"
    )
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    width, height = CELL * 400 // 600, CELL
    assert image.size == (MARGIN + 2 * (width + GAP) + GAP, MARGIN + 2 * (height + GAP) + GAP)

    def middle(row: int, column: int) -> "float | tuple[int, ...] | None":
        return image.getpixel(
            (MARGIN + column * (width + GAP) + width // 2, MARGIN + row * (height + GAP) + height // 2)
        )

    assert (middle(0, 0), middle(1, 1)) == ((255, 0, 0), (0, 0, 255))
    assert middle(0, 1) == middle(1, 0) == (226, 226, 222)


def test_pictures_are_never_blown_up() -> None:
    sheet = Image.open(io.BytesIO(contact_sheet({(0, 0): picture("red", (64, 64))}, ["a"], ["b"], "")))
    assert sheet.size == (MARGIN + 64 + 2 * GAP, MARGIN + 64 + 2 * GAP)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not a picture"):
        contact_sheet({(0, 0): b"<html>"}, ["a"], ["b"], "")
