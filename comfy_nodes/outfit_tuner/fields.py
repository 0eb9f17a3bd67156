"""The values of a tuning, one by one: what each means to an artist, and what it may be.

One table for the nodes' widgets, the axes of a sweep and the editor.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .schedules import WEIGHT_TYPES
from .tuning import BEHAVIOURS, COMBINES, SCALINGS, FreeU, TuningError, TuningValues

__all__ = ["CHOICES", "FREEU", "NUMBERS", "Choice", "Number", "value_of", "with_value"]


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; `step` is what an arrow of its widget adds."""

    name: str
    default: float
    low: float
    high: float
    step: float
    help: str


@dataclass(frozen=True)
class Choice:
    """One of `options`."""

    name: str
    default: str
    options: tuple[str, ...]
    help: str


_VALUES = TuningValues()
_FREEU = FreeU()

_LORA = (
    Number(
        "lora_model",
        _VALUES.lora_model,
        -10.0,
        10.0,
        0.05,
        "Strength of the character LoRA in the UNet. Lower it where the LoRA brings its training clothes.",
    ),
    Number(
        "lora_clip",
        _VALUES.lora_clip,
        -10.0,
        10.0,
        0.05,
        "Strength of the character LoRA in the text encoder. Usually as the strength in the UNet.",
    ),
)
_ADAPTER = (
    Number(
        "weight",
        _VALUES.weight,
        -5.0,
        5.0,
        0.05,
        "How strongly the reference is worn: the IP-Adapter's share beside the prompt in every cross-attention layer. "
        "Item not recognisable: raise it by 0.05. Face drifted: lower it by 0.05.",
    ),
    Number(
        "start_at",
        _VALUES.start_at,
        0.0,
        1.0,
        0.05,
        "Share of the sampling schedule before the reference is looked at; it becomes a sigma. 0 is the first step.",
    ),
    Number(
        "end_at",
        _VALUES.end_at,
        0.0,
        1.0,
        0.05,
        "Share of the sampling schedule after which the reference is let go; it becomes a sigma. The last steps run on "
        "the LoRA alone and the face comes back. Face drifted: lower it by 0.05.",
    ),
)
NUMBERS: tuple[Number, ...] = (*_ADAPTER, *_LORA)
"""In the order of the widgets."""

FREEU: tuple[Number, ...] = (
    Number(
        "freeu_b1", _FREEU.b1, 0.0, 10.0, 0.01, "FreeU V2: backbone factor of the deepest up-blocks. 1 changes nothing."
    ),
    Number(
        "freeu_b2",
        _FREEU.b2,
        0.0,
        10.0,
        0.01,
        "FreeU V2: backbone factor of the up-blocks after them. 1 changes nothing.",
    ),
    Number(
        "freeu_s1", _FREEU.s1, 0.0, 10.0, 0.01, "FreeU V2: skip factor beside b1. Lower is smoother; 1 changes nothing."
    ),
    Number(
        "freeu_s2", _FREEU.s2, 0.0, 10.0, 0.01, "FreeU V2: skip factor beside b2. Lower is smoother; 1 changes nothing."
    ),
)

CHOICES: tuple[Choice, ...] = (
    Choice(
        "weight_type",
        _VALUES.weight_type,
        WEIGHT_TYPES,
        "How the weight is spread over steps or layers: linear is the same everywhere, the eases go over the blocks, "
        "style and composition use only the layers that carry them.",
    ),
    Choice(
        "embeds_scaling",
        _VALUES.embeds_scaling,
        SCALINGS,
        "What the weight multiplies: values only, keys and values, or with a penalty for many channels. "
        "V only is how adapters are trained.",
    ),
    Choice(
        "combine",
        _VALUES.combine,
        COMBINES,
        "How several references become one: side by side (concat), added, the others subtracted from the first, "
        "averaged, or averaged at the same length. With one reference it changes nothing.",
    ),
    Choice(
        "behaviour",
        _VALUES.behaviour,
        BEHAVIOURS,
        "ipadapter_plus: the same picture as the well-known pack for the same numbers. reference: as the authors' "
        "code, the middle block included.",
    ),
)


def value_of(values: TuningValues, name: str) -> float | str:
    """The value called `name`; FreeU's are `freeu_b1` … `freeu_s2`.

    Raises:
        TuningError: there is no such value, or FreeU is off.
    """
    if name.startswith("freeu_"):
        if values.freeu is None:
            raise TuningError(f"{name} cannot be changed while FreeU is off: turn FreeU on in the values first.")
        return getattr(values.freeu, name.removeprefix("freeu_"))
    if name not in _KNOWN:
        raise TuningError(f"There is no value {name!r}: choose one of {', '.join(sorted(_KNOWN))}.")
    return getattr(values, name)


def with_value(values: TuningValues, name: str, value: float | str) -> TuningValues:
    """`values` with the one called `name` changed.

    Raises:
        TuningError: as `value_of`, or the value cannot be used.
    """
    value_of(values, name)
    if name.startswith("freeu_") and values.freeu is not None:
        return dataclasses.replace(
            values, freeu=dataclasses.replace(values.freeu, **{name.removeprefix("freeu_"): value})
        )
    return dataclasses.replace(values, **{name: value})


_KNOWN = frozenset(field.name for field in (*NUMBERS, *CHOICES))
