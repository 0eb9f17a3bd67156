"""Tuning Values: an outfit's numbers by hand."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..fields import CHOICES, FREEU, NUMBERS, Choice, Number
from ..sockets import TUNING
from ..tuning import FreeU, Tuning, TuningError
from ..tuning import TuningValues as Values
from .shown import shown_tuning

__all__ = ["TuningValues"]


class TuningValues(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_TuningValues",
            display_name="Tuning Values",
            category="Vestige/Outfit",
            description="The numbers of an outfit, set by hand. Change one at a time: weight first, then end_at.",
            inputs=[
                *(_number(field) for field in NUMBERS),
                *(_choice(field) for field in CHOICES),
                io.String.Input(
                    "layer_weights",
                    default="",
                    placeholder="3:0.5, 6:1.0",
                    tooltip="A weight for each layer by its number, such as 3:0.5, 6:1.0; layers that are not named "
                    "do not see the reference. Empty: the weight type decides.",
                ),
                io.Boolean.Input(
                    "freeu",
                    default=False,
                    label_on="on",
                    label_off="off",
                    tooltip="FreeU V2 between the LoRA and the IP-Adapter. It changes the whole picture: try it last.",
                ),
                *(_number(field) for field in FREEU),
            ],
            outputs=[io.Custom(TUNING).Output("tuning", display_name="tuning", tooltip="These values, with no pins.")],
        )

    @classmethod
    def validate_inputs(cls, **given: Any) -> bool | str:
        """The values against each other; those that come along a link are looked at when the node runs."""
        if any(value is None for value in given.values()):
            return True
        try:
            _values(**given)
        except TuningError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, **given: Any) -> io.NodeOutput:
        tuning = Tuning(_values(**given))
        return io.NodeOutput(tuning, ui=shown_tuning(tuning))


def _number(field: Number) -> io.Input:
    return io.Float.Input(
        field.name,
        default=field.default,
        min=field.low,
        max=field.high,
        step=field.step,
        round=0.001,
        tooltip=field.help,
    )


def _choice(field: Choice) -> io.Input:
    return io.Combo.Input(field.name, options=list(field.options), default=field.default, tooltip=field.help)


def _values(freeu: bool, **given: Any) -> Values:
    factors = FreeU(**{field.name.removeprefix("freeu_"): given.pop(field.name) for field in FREEU})
    return Values(**given, freeu=factors if freeu else None)
