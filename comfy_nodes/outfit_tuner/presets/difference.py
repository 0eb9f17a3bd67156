"""What changed between two presets, value by value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .record import Preset

__all__ = ["Change", "difference"]


@dataclass(frozen=True)
class Change:
    """One entry that differs; `name` as in the preset's file: `values.weight`, `values.freeu.b1`, `pins.adapter`."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.before)} → {_shown(self.after)}"


def difference(before: Preset, after: Preset) -> tuple[Change, ...]:
    """What it takes to come from `before` to `after`: values first, then pins and notes; empty where they are equal.

    What every version has of its own (name, version, parent, time) is left out.
    """
    old, new = _flat(before), _flat(after)
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    )


def _flat(preset: Preset) -> dict[str, Any]:
    values = dataclasses.asdict(preset.values)
    freeu = values.pop("freeu") or {}
    return {
        **{f"values.{name}": value for name, value in values.items()},
        **{f"values.freeu.{name}": value for name, value in freeu.items()},
        **{f"pins.{name}": value for name, value in dataclasses.asdict(preset.pins).items()},
        "notes": preset.notes,
    }


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value) or "empty"
