"""The table of values that widgets and axes are made of agrees with what a tuning takes."""

import pytest

from comfy_nodes.outfit_tuner.fields import CHOICES, FREEU, NUMBERS, Choice, Number, value_of, with_value
from comfy_nodes.outfit_tuner.tuning import FreeU, TuningError, TuningValues

VALUES = TuningValues(start_at=0.0, end_at=1.0, freeu=FreeU())


@pytest.mark.parametrize("field", [*NUMBERS, *FREEU], ids=lambda field: field.name)
def test_a_number_takes_its_whole_range_and_no_more(field: Number) -> None:
    assert value_of(with_value(VALUES, field.name, field.default), field.name) == field.default
    for good in (field.low, field.high):
        assert value_of(with_value(VALUES, field.name, good), field.name) == good
    for bad in (field.low - 0.01, field.high + 0.01):
        with pytest.raises(TuningError, match="between"):
            with_value(VALUES, field.name, bad)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_a_choice_takes_each_of_its_options(choice: Choice) -> None:
    for option in choice.options:
        assert value_of(with_value(VALUES, choice.name, option), choice.name) == option


def test_defaults_are_the_tunings_own() -> None:
    defaults = {field.name: field.default for field in (*NUMBERS, *CHOICES)}
    own = {name: value for name, value in vars(TuningValues()).items() if name not in ("freeu", "layer_weights")}
    assert defaults == own
    assert {field.name.removeprefix("freeu_"): field.default for field in FREEU} == vars(FreeU())


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(TuningError, match="no value 'colour': choose one of behaviour, "):
        value_of(VALUES, "colour")
    with pytest.raises(TuningError, match="turn FreeU on"):
        with_value(TuningValues(), "freeu_s1", 0.5)
