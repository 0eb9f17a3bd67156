"""What an artist tunes: the numbers of one outfit, and the files they were found on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .schedules import WEIGHT_TYPES, ScheduleError, parse_layer_weights

__all__ = [
    "BEHAVIOURS",
    "COMBINES",
    "ON_MISFIT",
    "SCALINGS",
    "FreeU",
    "OnMisfit",
    "Pins",
    "Tuning",
    "TuningError",
    "TuningValues",
]

Behaviour = Literal["ipadapter_plus", "reference"]
Scaling = Literal["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]
Combine = Literal["concat", "add", "subtract", "average", "norm average"]
OnMisfit = Literal["refuse", "warn"]

BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)
COMBINES: tuple[Combine, ...] = get_args(Combine)
ON_MISFIT: tuple[OnMisfit, ...] = get_args(OnMisfit)


class TuningError(ValueError):
    """A value that cannot be used; the message says which and what would do."""


@dataclass(frozen=True)
class FreeU:
    """The four factors of FreeU V2 (Si et al. 2023, arXiv:2309.11497): backbone b1, b2; skip s1, s2."""

    b1: float = 1.3
    b2: float = 1.4
    s1: float = 0.9
    s2: float = 0.2


@dataclass(frozen=True)
class TuningValues:
    """One outfit's numbers.

    `start_at`, `end_at` are shares of the sampling schedule, 0 to 1, turned into sigmas by the model's own sampling;
    after `end_at` the last steps run on the LoRA's weights alone and the face comes back. `weight_type` is one of
    `schedules.WEIGHT_TYPES`; `layer_weights` is a per-layer string and is used where it is not empty. `lora_model` and
    `lora_clip` are the character LoRA's strengths. `freeu` is None where FreeU is off.
    """

    weight: float = 0.4
    start_at: float = 0.0
    end_at: float = 0.8
    weight_type: str = "linear"
    embeds_scaling: Scaling = "V only"
    combine: Combine = "concat"
    behaviour: Behaviour = "ipadapter_plus"
    layer_weights: str = ""
    lora_model: float = 0.8
    lora_clip: float = 0.8
    freeu: FreeU | None = None

    def __post_init__(self) -> None:
        """Raises `TuningError`."""
        _within("weight", self.weight, -5.0, 5.0)
        _within("start_at", self.start_at, 0.0, 1.0)
        _within("end_at", self.end_at, 0.0, 1.0)
        _within("lora_model", self.lora_model, -10.0, 10.0)
        _within("lora_clip", self.lora_clip, -10.0, 10.0)
        if self.start_at > self.end_at:
            raise TuningError(
                f"start_at {self.start_at} is after end_at {self.end_at}: the outfit would never be worn."
            )
        _among("weight_type", self.weight_type, WEIGHT_TYPES)
        if self.layer_weights.strip():
            try:
                parse_layer_weights(self.layer_weights)
            except ScheduleError as error:
                raise TuningError(str(error)) from error
        _among("embeds_scaling", self.embeds_scaling, SCALINGS)
        _among("combine", self.combine, COMBINES)
        _among("behaviour", self.behaviour, BEHAVIOURS)
        for name in ("b1", "b2", "s1", "s2"):
            if self.freeu is not None:
                _within(f"freeu.{name}", getattr(self.freeu, name), 0.0, 10.0)


@dataclass(frozen=True)
class Pins:
    """The files the numbers were found on, by the sha256 of their bytes; None where it was not recorded.

    `base_family` is a name of `lineage.py`: `sd15`, `sdxl`, `pony`, `illustrious`, …
    """

    base_family: str | None = None
    base: str | None = None
    adapter: str | None = None
    encoder: str | None = None


@dataclass(frozen=True)
class Tuning:
    """What a tuning socket carries.

    `origin` is `name@version` of the preset, None for values set by hand. `on_misfit` says what happens where other
    files are loaded than those of `pins` (`pins.py`).
    """

    values: TuningValues
    pins: Pins = Pins()
    origin: str | None = None
    on_misfit: OnMisfit = "refuse"


def _within(name: str, value: float, low: float, high: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TuningError(f"{name} must be a number, not {value!r}.")
    if not low <= value <= high:
        raise TuningError(f"{name} is {value}: it must be between {low} and {high}.")


def _among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise TuningError(f"{name} is {value!r}: it must be one of {', '.join(known)}.")
