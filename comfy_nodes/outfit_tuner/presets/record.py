"""A tuning preset: one version of one name, and nothing that changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..tuning import Pins, Tuning, TuningValues

__all__ = ["UNPINNED", "Preset"]

UNPINNED = Pins()
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Preset:
    """The numbers of one outfit, the files they were found on, and where they came from.

    `created` is UTC, ISO 8601 to the second. `parent` is the `name@version` the values came from, or None. `reasons`
    says why a value is what it is, by the value's name; the presets that come with the pack give one for each.
    """

    name: str
    version: int
    values: TuningValues
    pins: Pins = UNPINNED
    notes: str = ""
    parent: str | None = None
    created: str = ""
    reasons: Mapping[str, str] = field(default_factory=lambda: _NONE)

    @property
    def origin(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def tuning(self) -> Tuning:
        return Tuning(values=self.values, pins=self.pins, origin=self.origin)
