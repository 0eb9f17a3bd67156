"""The cells of a sweep, and the table that lists them."""

import dataclasses
import json

import pytest

from comfy_nodes.outfit_tuner.sweep import MOST_CELLS, Grid, make_grid, parse_axis, table
from comfy_nodes.outfit_tuner.tuning import FreeU, TuningError, TuningValues

BASE = TuningValues(weight=0.4, end_at=0.8)


def grid(x: tuple[str, str], y: tuple[str, str] | None, base: TuningValues = BASE, most: int = MOST_CELLS) -> Grid:
    return make_grid(base, parse_axis(*x), None if y is None else parse_axis(*y), most)


def test_cells_are_row_by_row_with_both_values_in_the_bases_place() -> None:
    made = grid(("weight", "0.35,0.4"), ("end_at", "0.7,0.8"))
    assert (made.rows, made.columns) == (2, 2)
    assert [(cell.row, cell.column, cell.values.weight, cell.values.end_at) for cell in made.cells] == [
        (0, 0, 0.35, 0.7),
        (0, 1, 0.4, 0.7),
        (1, 0, 0.35, 0.8),
        (1, 1, 0.4, 0.8),
    ]
    assert [made.is_base(cell) for cell in made.cells] == [False, False, False, True]
    assert made.cells[0].values == dataclasses.replace(BASE, weight=0.35, end_at=0.7)


def test_one_axis_is_one_row() -> None:
    made = grid(("freeu_b1", "1.1,1.3"), None, dataclasses.replace(BASE, freeu=FreeU()))
    assert (made.rows, made.columns) == (1, 2)
    assert [cell.values.freeu for cell in made.cells] == [FreeU(b1=1.1), FreeU(b1=1.3)]


def test_a_cells_key_is_its_values_whatever_the_rest_of_the_grid() -> None:
    small = grid(("weight", "0.4"), ("end_at", "0.8"))
    large = grid(("weight", "0.2:0.6"), ("end_at", "0.6:1"))
    turned = grid(("end_at", "0.6:1"), ("weight", "0.2:0.6"))
    assert {cell.key for cell in small.cells} == {"end_at=0.8_weight=0.4"}
    assert {cell.key for cell in small.cells} < {cell.key for cell in large.cells}
    assert {cell.key for cell in turned.cells} == {cell.key for cell in large.cells}


def test_keys_are_different_where_values_are() -> None:
    made = grid(("weight_type", "all"), ("embeds_scaling", "all"))
    assert len({cell.key for cell in made.cells}) == len(made.cells)
    assert all(" " not in cell.key and ":" not in cell.key for cell in made.cells)


def test_start_and_end_swept_together_need_only_fit_together() -> None:
    made = grid(("start_at", "0.85,0.9"), ("end_at", "0.95,1"))
    assert {(cell.values.start_at, cell.values.end_at) for cell in made.cells} == {
        (0.85, 0.95),
        (0.9, 0.95),
        (0.85, 1.0),
        (0.9, 1.0),
    }


@pytest.mark.parametrize(
    ("x", "y", "most", "message"),
    [
        (("weight", "0:1"), ("weight", "0:1"), 400, "Both axes are weight"),
        (("weight", "0:1"), ("end_at", "0:1"), 400, "21 × 21 = 441 pictures and stops at 400: widen a step"),
        (("weight", "0:1"), ("end_at", "0.5:1"), 100, r"21 × 11 = 231 .* stops at 100.* raise most_pictures"),
        (("weight", "0:1"), None, 20, "has 21 pictures"),
        (
            ("start_at", "0.5"),
            ("end_at", "0.4"),
            400,
            "cell with start_at 0.5, end_at 0.4 cannot be rendered: start_at",
        ),
        (("start_at", "0.9"), None, 400, "cell with start_at 0.9 cannot be rendered"),
        (("freeu_b1", "1.1"), None, 400, "turn FreeU on"),
    ],
)
def test_a_grid_that_cannot_be_rendered_is_refused_before_anything_is(
    x: tuple[str, str], y: tuple[str, str] | None, most: int, message: str
) -> None:
    with pytest.raises(TuningError, match=message):
        grid(x, y, most=most)


def test_the_table_lists_the_cells_in_the_order_of_the_pictures() -> None:
    made = grid(("weight", "0.35,0.4"), ("end_at", "0.8"))
    document = json.loads(table(made, "dress@2"))
    assert document["origin"] == "dress@2"
    assert document["base"] == dataclasses.asdict(BASE)
    assert document["x"] == {"name": "weight", "values": [0.35, 0.4]}
    assert document["cells"] == [
        {"picture": 0, "row": 0, "column": 0, "base": False, "weight": 0.35, "end_at": 0.8},
        {"picture": 1, "row": 0, "column": 1, "base": True, "weight": 0.4, "end_at": 0.8},
    ]
    assert json.loads(table(grid(("weight", "0.4"), None), None))["y"] is None
