"""An axis of a sweep as an artist writes it: `0.2:0.6:0.05`, `0.3, 0.4, 0.6`, `linear, style transfer`, `all`."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal

from ..fields import CHOICES, FREEU, NUMBERS
from ..tuning import TuningError

__all__ = ["AXES", "DEFAULT_STEP", "MOST_VALUES", "Axis", "parse_axis"]

DEFAULT_STEP = Decimal("0.05")
MOST_VALUES = 400
_LONGEST = 2000
_NUMBERS = {field.name: field for field in (*NUMBERS, *FREEU)}
_CHOICES = {field.name: field for field in CHOICES}

AXES: tuple[str, ...] = (*_NUMBERS, *_CHOICES)
"""What can be swept, by name."""


@dataclass(frozen=True)
class Axis:
    """A value's name and what it is in turn, in the order it was written."""

    name: str
    values: tuple[float, ...] | tuple[str, ...]

    def label(self, value: float | str) -> str:
        """`value` as the sheet shows it."""
        return value if isinstance(value, str) else f"{value:.4f}".rstrip("0").rstrip(".")


def parse_axis(name: str, text: str) -> Axis:
    """The axis of value `name` that `text` describes.

    Numbers are a list and ranges, in any mixture: `first:last:step`, `first:last` (step 0.05) or one number. Both ends
    belong to a range; `0.6:0.2:0.1` goes down. The steps are decimal: 0.05 three times is 0.15 exactly. Choices are a
    list of their names, or `all`. What is written twice counts once.

    Raises:
        TuningError: it describes nothing, or too much.
    """
    if name not in AXES:
        raise TuningError(f"There is no axis {name!r}: choose one of {', '.join(AXES)}.")
    parts = [part.strip() for part in text[:_LONGEST].replace(";", ",").split(",")]
    parts = [part for part in parts if part]
    if not parts or len(text) > _LONGEST:
        raise TuningError(f"The axis {name} has no values: {_example(name)}.")
    if name in _CHOICES:
        options = _CHOICES[name].options
        return Axis(name, options if parts == ["all"] else tuple(dict.fromkeys(_choice(name, part) for part in parts)))
    numbers: list[Decimal] = []
    for part in parts:
        numbers += _range(name, part, MOST_VALUES - len(numbers))
    return Axis(name, tuple(dict.fromkeys(float(number) for number in numbers)))


def _choice(name: str, part: str) -> str:
    for option in _CHOICES[name].options:
        if option.casefold() == part.casefold():
            return option
    raise TuningError(f"{part!r} is no {name}: choose among {', '.join(_CHOICES[name].options)}, or write all.")


def _range(name: str, part: str, most: int) -> list[Decimal]:
    pieces = part.split(":")
    if len(pieces) > 3:
        raise TuningError(f"{part!r} is no range of {name}: {_example(name)}.")
    first, last = _within(name, pieces[0]), _within(name, pieces[min(1, len(pieces) - 1)])
    step = abs(_number(name, pieces[2])) if len(pieces) == 3 else DEFAULT_STEP
    if step == 0 and first != last:
        raise TuningError(f"{part!r} has steps of 0 and never arrives: {_example(name)}.")
    steps = Decimal(0) if first == last else abs(last - first) / step
    if steps >= most:
        raise TuningError(f"The axis {name} has more than {MOST_VALUES} values: widen its step or narrow its range.")
    direction = step if last >= first else -step
    return [first + direction * index for index in range(int(steps) + 1)]


def _within(name: str, piece: str) -> Decimal:
    number = _number(name, piece)
    field = _NUMBERS[name]
    if not field.low <= number <= field.high:
        raise TuningError(f"{name} is {piece.strip()}: it must be between {field.low:g} and {field.high:g}.")
    return number


def _number(name: str, piece: str) -> Decimal:
    try:
        number = Decimal(piece.strip())
    except decimal.InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise TuningError(f"{piece.strip()!r} is no number for {name}: {_example(name)}.")
    return number


def _example(name: str) -> str:
    if name in _CHOICES:
        options = _CHOICES[name].options
        return f"write a list such as {', '.join(options[:2])}, or all"
    return "write a range such as 0.2:0.6:0.05 or a list such as 0.3, 0.4, 0.6"
