"""The numbers of an outfit are checked where they are made."""

import math
from typing import Any

import pytest

from comfy_nodes.outfit_tuner.tuning import FreeU, TuningError, TuningValues


def test_the_defaults_are_a_moderate_weight_and_an_early_end() -> None:
    values = TuningValues()
    assert (values.weight, values.start_at, values.end_at) == (0.4, 0.0, 0.8)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"weight": math.nan}, "weight"),
        ({"weight": 5.1}, "weight"),
        ({"weight": True}, "weight"),
        ({"end_at": 1.01}, "end_at"),
        ({"start_at": 0.9}, "start_at"),
        ({"embeds_scaling": "v only"}, "embeds_scaling"),
        ({"combine": "multiply"}, "combine"),
        ({"behaviour": "like that pack"}, "behaviour"),
        ({"lora_clip": -11.0}, "lora_clip"),
        ({"freeu": FreeU(b1=-1.0)}, r"freeu\.b1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(TuningError, match=named):
        TuningValues(**wrong)
