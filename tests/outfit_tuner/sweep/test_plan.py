"""A sweep that travels as text is the same sweep."""

import pytest

from comfy_nodes.outfit_tuner.sweep import make_grid, parse_axis
from comfy_nodes.outfit_tuner.sweep.plan import Plan
from comfy_nodes.outfit_tuner.tuning import FreeU, TuningValues


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (("weight", "0.2:0.4:0.1"), ("end_at", "0.7,0.8")),
        (("weight_type", "all"), None),
        (("freeu_b1", "1.1:1.4:0.1"), ("lora_model", "0.6,0.8")),
    ],
)
def test_there_and_back(x: tuple[str, str], y: tuple[str, str] | None) -> None:
    grid = make_grid(TuningValues(freeu=FreeU(b2=1.2)), parse_axis(*x), None if y is None else parse_axis(*y))
    assert Plan.from_json(Plan(grid, "Сукня · seed 1").to_json()) == Plan(grid, "Сукня · seed 1")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"title": "", "base": {}, "axes": []}', "null"])
def test_anything_else_says_where_sweeps_come_from(text: str) -> None:
    with pytest.raises(ValueError, match="use Outfit Sweep"):
        Plan.from_json(text)
