"""The axes of a sheet as a person writes them."""

import pytest

from server.errors import InvalidRequest, RenderError
from server.render.sweep import Axis, around, parse_axis, tuning_of


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("weight=0.3:0.45", "weight", (0.3, 0.35, 0.4, 0.45)),
        ("weight = 0.3:0.6:0.1", "weight", (0.3, 0.4, 0.5, 0.6)),
        ("end_at=0.8, 0.7,0.7", "end_at", (0.8, 0.7)),
        ("lora_model=1", "lora_model", (1.0,)),
        ("weight=0.5:0.5", "weight", (0.5,)),
    ],
)
def test_ranges_and_lists_are_read_without_rounding(text: str, name: str, values: tuple[float, ...]) -> None:
    assert parse_axis(text) == Axis(name, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight", "is no axis"),
        ("", "is no axis"),
        ("seed=1:5", "is no axis"),
        ("weight=", "are no values"),
        ("weight=a", "are no values"),
        ("weight=0.6:0.3", "are no values"),
        ("weight=0:1:0", "are no values"),
        ("weight=0:1:-0.1", "are no values"),
        ("weight=0:3:0.0001", "are no values"),
        ("weight=0:1:0.1:2", "are no values"),
        ("weight=nan", "it must be between"),
        ("weight=0:inf", "are no values"),
        ("end_at=1.05", "end_at is 1.05: it must be between 0 and 1"),
    ],
)
def test_what_is_no_axis_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_axis(text)


@pytest.mark.parametrize(
    ("name", "middle", "values"),
    [
        ("weight", 0.4, (0.3, 0.35, 0.4, 0.45, 0.5)),
        ("end_at", 0.95, (0.85, 0.9, 0.95, 1.0)),
        ("end_at", 0.0, (0.0, 0.05, 0.1)),
    ],
)
def test_steps_around_a_value_stay_within_what_it_may_be(name: str, middle: float, values: tuple[float, ...]) -> None:
    assert around(name, middle) == Axis(name, values)


def test_a_preset_becomes_slots() -> None:
    values = {"weight": 0.5, "end_at": 0.7, "freeu": {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}}
    assert tuning_of({"name": "x", "values": values}) == {
        "weight": 0.5, "end_at": 0.7, "freeu": True, "freeu_b1": 1.1, "freeu_b2": 1.2, "freeu_s1": 0.9, "freeu_s2": 0.2
    }  # fmt: skip
    assert tuning_of({"values": {"weight": 0.5, "freeu": None}})["freeu"] is False


@pytest.mark.parametrize("preset", [{}, {"values": None}, {"values": []}, {"values": {}}])
def test_a_preset_of_another_time_is_told_of(preset: dict[str, object]) -> None:
    with pytest.raises(RenderError, match="up to date"):
        tuning_of(preset)
