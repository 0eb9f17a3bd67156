"""A sweep written down, so that it can travel as a constant in a graph."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from ..tuning import FreeU, TuningValues
from .axes import Axis
from .grid import Grid, make_grid

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """A grid and the line above its sheet."""

    grid: Grid
    title: str

    def to_json(self) -> str:
        axes = [axis for axis in (self.grid.x, self.grid.y) if axis is not None]
        document = {
            "title": self.title,
            "base": dataclasses.asdict(self.grid.base),
            "axes": [[axis.name, list(axis.values)] for axis in axes],
        }
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Raises `ValueError`: it is none."""
        try:
            document = json.loads(text)
            base = document["base"]
            x, *rest = (Axis(name, tuple(values)) for name, values in document["axes"])
            freeu = None if base["freeu"] is None else FreeU(**base["freeu"])
            grid = make_grid(TuningValues(**{**base, "freeu": freeu}), x, rest[0] if rest else None)
            return cls(grid, document["title"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"This is no sweep ({error}): use Outfit Sweep.") from None
