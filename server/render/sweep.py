"""The axes of a sweep, and a preset's values as slots."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from server.errors import InvalidRequest, RenderError
from server.render.templates import Value

__all__ = ["AXES", "MOST_CELLS", "Axis", "around", "parse_axis", "tuning_of"]

STEP = Decimal("0.05")
MOST_CELLS = 121
AXES = {
    "weight": (Decimal(-1), Decimal(3)),
    "start_at": (Decimal(0), Decimal(1)),
    "end_at": (Decimal(0), Decimal(1)),
    "lora_model": (Decimal(-2), Decimal(3)),
    "lora_clip": (Decimal(-2), Decimal(3)),
}
"""What a sweep can walk, and between which values."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One value that is walked."""

    name: str
    values: tuple[float, ...]

    def labels(self) -> list[str]:
        return [f"{value:.2f}" for value in self.values]


def parse_axis(text: str) -> Axis:
    """`weight=0.3:0.6` in steps of 0.05, `weight=0.3:0.6:0.1`, or `weight=0.3,0.45,0.6`.

    Raises:
        InvalidRequest: it is neither, or goes past what the value may be.
    """
    name, equals, given = (part.strip() for part in text.partition("="))
    if not equals or name not in AXES:
        raise InvalidRequest(f"{text!r} is no axis: write one of {', '.join(AXES)}, such as weight=0.3:0.6:0.05.")
    try:
        values = _range(given) if ":" in given else [Decimal(part) for part in re.split(r"\s*,\s*", given)]
    except (InvalidOperation, ValueError):
        raise InvalidRequest(f"{given!r} are no values: write 0.3:0.6, 0.3:0.6:0.1 or 0.3,0.45,0.6.") from None
    low, high = AXES[name]
    outside = next((value for value in values if not value.is_finite() or not low <= value <= high), None)
    if outside is not None:
        raise InvalidRequest(f"{name} is {outside}: it must be between {low} and {high}.")
    return Axis(name, tuple(float(value) for value in dict.fromkeys(values)))


def around(name: str, middle: float, each_side: int = 2) -> Axis:
    """Steps of 0.05 on both sides of a value, within what it may be."""
    low, high = AXES[name]
    centre = Decimal(str(round(middle, 2)))
    steps = (centre + STEP * step for step in range(-each_side, each_side + 1))
    return Axis(name, tuple(float(value) for value in steps if low <= value <= high))


def _range(text: str) -> list[Decimal]:
    parts = [Decimal(part) for part in text.split(":")]
    if len(parts) not in (2, 3) or not all(part.is_finite() for part in parts):
        raise ValueError(text)
    start, end, step = (*parts, STEP)[:3]
    if step <= 0 or end < start or (end - start) / step > MOST_CELLS:
        raise ValueError(text)
    return [start + step * at for at in range(int((end - start) / step) + 1)]


def tuning_of(preset: Mapping[str, Any]) -> dict[str, Value]:
    """A preset's values, as a host's `/vestige/presets` gives them, by slot.

    Raises:
        RenderError: the host's pack is of another time.
    """
    values = preset.get("values")
    if not isinstance(values, Mapping) or "weight" not in values:
        raise RenderError("The host's preset is not one this version can read: bring the pack there up to date.")
    freeu = values.get("freeu")
    found: dict[str, Value] = {name: value for name, value in values.items() if name != "freeu"}
    found["freeu"] = freeu is not None
    if isinstance(freeu, Mapping):
        found |= {f"freeu_{name}": value for name, value in freeu.items()}
    return found
