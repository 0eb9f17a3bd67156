"""A contact sheet: pictures in a grid, with what was changed along its edges."""

from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from server.catalog.pictures import decoded
from server.render.host import MAX_PICTURE

__all__ = ["contact_sheet"]

CELL = 384
"""The longer side of a picture on the sheet, in pixels."""
GAP = 8
MARGIN = 110
"""Room for the labels of rows and columns, in pixels."""
_PAPER, _INK, _MISSING = (250, 250, 248), (30, 30, 34), (226, 226, 222)


def contact_sheet(
    cells: Mapping[tuple[int, int], bytes], rows: Sequence[str], columns: Sequence[str], title: str
) -> bytes:
    """A PNG of the pictures in `cells`, keyed by `(row, column)`; a place without one stays grey.

    Raises:
        InvalidRequest: a picture cannot be read.
    """
    pictures = {place: decoded(data, (CELL, CELL), limit=MAX_PICTURE) for place, data in cells.items()}
    width = max((picture.width for picture in pictures.values()), default=CELL)
    height = max((picture.height for picture in pictures.values()), default=CELL)
    sheet = Image.new(
        "RGB", (MARGIN + len(columns) * (width + GAP) + GAP, MARGIN + len(rows) * (height + GAP) + GAP), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    big, small = ImageFont.load_default(24), ImageFont.load_default(20)
    draw.text((GAP, GAP), title, fill=_INK, font=big)
    for column, label in enumerate(columns):
        draw.text((MARGIN + column * (width + GAP) + width // 2, MARGIN - GAP), label, _INK, small, anchor="md")
    for row, label in enumerate(rows):
        draw.text((MARGIN - GAP, MARGIN + row * (height + GAP) + height // 2), label, _INK, small, anchor="rm")
        for column in range(len(columns)):
            corner = (MARGIN + column * (width + GAP), MARGIN + row * (height + GAP))
            picture = pictures.get((row, column))
            if picture is None:
                draw.rectangle((*corner, corner[0] + width, corner[1] + height), fill=_MISSING)
            else:
                sheet.paste(picture, corner)
    made = BytesIO()
    sheet.save(made, "PNG")
    return made.getvalue()
