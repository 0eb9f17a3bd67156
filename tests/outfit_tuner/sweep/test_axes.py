"""An axis as an artist writes it."""

import pytest

from comfy_nodes.outfit_tuner.sweep import parse_axis
from comfy_nodes.outfit_tuner.sweep.axes import AXES
from comfy_nodes.outfit_tuner.tuning import BEHAVIOURS, TuningError, TuningValues


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.4", (0.4,)),
        ("0.2:0.4", (0.2, 0.25, 0.3, 0.35, 0.4)),
        ("0.2:0.4:0.1", (0.2, 0.3, 0.4)),
        ("0.4:0.2:0.1", (0.4, 0.3, 0.2)),
        ("0.4:0.2:-0.1", (0.4, 0.3, 0.2)),
        ("0.2:0.44:0.1", (0.2, 0.3, 0.4)),
        ("0.3:0.3:0", (0.3,)),
        ("-0.1:0.1:0.1", (-0.1, 0.0, 0.1)),
        ("0.3, 0.5,0.4,", (0.3, 0.5, 0.4)),
        ("0.1:0.2, 0.15; .6", (0.1, 0.15, 0.2, 0.6)),
        (" 0.1 : 0.2 : 0.1 ", (0.1, 0.2)),
    ],
)
def test_numbers_are_lists_and_ranges_with_both_ends(text: str, values: tuple[float, ...]) -> None:
    assert parse_axis("weight", text).values == values


def test_steps_are_decimal_so_that_a_value_is_the_one_an_artist_would_type() -> None:
    values = parse_axis("end_at", "0:1").values
    assert values == tuple(float(f"{step * 5 / 100:.2f}") for step in range(21))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("weight", "", "has no values: write a range such as"),
        ("weight", " , ", "has no values"),
        ("weight", "0.4," * 900, "has no values"),
        ("weight", "much", "'much' is no number for weight"),
        ("weight", "0.1:", "'' is no number"),
        ("weight", "nan", "'nan' is no number"),
        ("weight", "0:inf", "'inf' is no number"),
        ("weight", "1:2:3:4", "is no range of weight"),
        ("weight", "0:1:0", "steps of 0"),
        ("weight", "0:1:0.0000001", "more than 400 values"),
        ("weight", "0:1:1e-999999", "more than 400 values"),
        ("weight", "0:1:0.005,2:3:0.005", "more than 400 values"),
        ("weight", "50", "between -5 and 5"),
        ("end_at", "0:1.2", "end_at is 1.2: it must be between 0 and 1"),
        ("freeu_b1", "11", "between 0 and 10"),
        ("weight_type", "liner", "'liner' is no weight_type: choose among linear, "),
        ("weight_type", "", "write a list such as linear, ease in, or all"),
        ("colour", "red", "no axis 'colour': choose one of weight, "),
    ],
)
def test_what_is_no_axis_is_refused_with_what_would_be_one(name: str, text: str, message: str) -> None:
    with pytest.raises(TuningError, match=message):
        parse_axis(name, text)


def test_choices_are_a_list_of_names_or_all_of_them() -> None:
    assert parse_axis("weight_type", "Linear, style transfer, linear").values == ("linear", "style transfer")
    assert parse_axis("behaviour", "all").values == BEHAVIOURS


def test_every_value_of_a_tuning_can_be_an_axis_but_the_layer_string() -> None:
    own = {name for name in vars(TuningValues()) if name not in ("freeu", "layer_weights")}
    assert set(AXES) == own | {"freeu_b1", "freeu_b2", "freeu_s1", "freeu_s2"}


def test_labels_have_no_more_digits_than_they_need() -> None:
    axis = parse_axis("weight", "0.05:0.15")
    assert [axis.label(value) for value in axis.values] == ["0.05", "0.1", "0.15"]
