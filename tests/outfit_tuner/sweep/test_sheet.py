"""The contact sheet: every picture in its place, labels that fit, no side too long."""

import pytest
from PIL import Image

from comfy_nodes.outfit_tuner.sweep import Grid, contact_sheet, make_grid, parse_axis
from comfy_nodes.outfit_tuner.sweep.sheet import LONGEST_SIDE
from comfy_nodes.outfit_tuner.tuning import TuningValues

PAPER = (250, 250, 248)


def grid(x: str = "0.3,0.4", y: str | None = "0.6,0.7,0.8") -> Grid:
    return make_grid(TuningValues(), parse_axis("weight", x), None if y is None else parse_axis("end_at", y))


def pictures(made: Grid, size: tuple[int, int]) -> list[Image.Image]:
    """A flat colour for each cell, so that it can be found on the sheet."""
    return [Image.new("RGB", size, (40 + 20 * cell.column, 40 + 10 * cell.row, 200)) for cell in made.cells]


def middle(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int]:
    found = [
        (x, y) for x in range(0, sheet.width, 8) for y in range(0, sheet.height, 8) if sheet.getpixel((x, y)) == colour
    ]
    assert found, colour
    return sum(x for x, _ in found) // len(found), sum(y for _, y in found) // len(found)


def test_every_picture_is_in_its_row_and_column() -> None:
    made = grid()
    sheet = contact_sheet(pictures(made, (128, 96)), made, "dress@2 · seed 7")
    centres = [middle(sheet, (40 + 20 * cell.column, 40 + 10 * cell.row, 200)) for cell in made.cells]
    columns = [{x for (x, _), cell in zip(centres, made.cells, strict=True) if cell.column == c} for c in range(2)]
    rows = [{y for (_, y), cell in zip(centres, made.cells, strict=True) if cell.row == r} for r in range(3)]
    assert max(columns[0]) < min(columns[1])
    assert max(rows[0]) < min(rows[1]) <= max(rows[1]) < min(rows[2])


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (96, 192), (600, 75)])
@pytest.mark.parametrize(("x", "y"), [("0.4", None), ("0.3,0.4", "0.8"), ("0.2:0.6", "0.6:1")])
def test_the_sheet_has_labels_at_every_size(size: tuple[int, int], x: str, y: str | None) -> None:
    made = grid(x, y)
    sheet = contact_sheet([Image.new("RGB", size, PAPER)] * len(made.cells), made, "starter-sdxl-realistic@1")
    assert sheet.getpixel((0, 0)) == PAPER
    assert len(sheet.getcolors(1 << 24) or []) > 10  # letters have many greys, an empty sheet has one


def test_the_cell_it_began_from_has_a_frame_and_no_other() -> None:
    made = grid()
    sheet = contact_sheet([Image.new("RGB", (64, 64), "white")] * 6, made, "")
    mark = (214, 93, 14)
    marked = [(x, y) for x in range(sheet.width) for y in range(sheet.height) if sheet.getpixel((x, y)) == mark]
    width, height = (max(v) - min(v) + 1 for v in zip(*marked, strict=True))
    assert (width, height) == (64, 64)


@pytest.mark.parametrize(("size", "values"), [((32, 3200), "0:1:0.0025"), ((3200, 32), "0:1:0.05")])
def test_a_large_grid_of_large_pictures_stays_within_bounds(size: tuple[int, int], values: str) -> None:
    made = grid(values.replace("0:", "0.0025:", 1), None)
    sheet = contact_sheet([Image.new("RGB", size)] * len(made.cells), made, "x" * 200, most_side=3200)
    assert max(sheet.size) <= LONGEST_SIDE


def test_a_picture_is_shrunk_and_never_enlarged() -> None:
    made = grid("0.4", None)
    assert contact_sheet([Image.new("RGB", (32, 32))], made, "").width < 64
    large = contact_sheet([Image.new("RGB", (2000, 1000))], made, "", most_side=300)
    assert 300 <= large.width < 340


def test_a_picture_per_cell() -> None:
    made = grid()
    with pytest.raises(ValueError, match="5 pictures for 6 cells"):
        contact_sheet(pictures(made, (8, 8))[:5], made, "")
