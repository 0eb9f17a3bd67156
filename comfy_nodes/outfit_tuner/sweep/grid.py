"""The cells of a sweep: for every pair of values the whole set of numbers to render with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..fields import value_of, with_value
from ..tuning import TuningError, TuningValues
from .axes import Axis

__all__ = ["MOST_CELLS", "Cell", "Grid", "make_grid"]

MOST_CELLS = 400


@dataclass(frozen=True)
class Cell:
    """One picture to render. `key` is made of the swept values alone: the same for the same cell of another grid."""

    row: int
    column: int
    values: TuningValues
    key: str


@dataclass(frozen=True)
class Grid:
    """`x` runs along the columns and `y`, where there is one, along the rows; `cells` are row by row."""

    base: TuningValues
    x: Axis
    y: Axis | None
    cells: tuple[Cell, ...]

    @property
    def columns(self) -> int:
        return len(self.x.values)

    @property
    def rows(self) -> int:
        return 1 if self.y is None else len(self.y.values)

    def is_base(self, cell: Cell) -> bool:
        """Whether the cell is the values the sweep began from."""
        return cell.values == self.base

    def swept(self, cell: Cell) -> dict[str, float | str]:
        """The swept values of `cell` by name."""
        axes = (self.x,) if self.y is None else (self.x, self.y)
        return {axis.name: value_of(cell.values, axis.name) for axis in axes}


def make_grid(base: TuningValues, x: Axis, y: Axis | None = None, most: int = MOST_CELLS) -> Grid:
    """Every pair of values of `x` and `y` in `base`'s place.

    Raises:
        TuningError: more than `most` cells, the same axis twice, or a cell whose values cannot be used together.
    """
    if y is not None and x.name == y.name:
        raise TuningError(f"Both axes are {x.name}: choose two different values, or none for the second.")
    count = len(x.values) * (1 if y is None else len(y.values))
    if count > most:
        shape = f"{len(x.values)} × {len(y.values)} = {count}" if y is not None else str(count)
        raise TuningError(
            f"This sweep has {shape} pictures and stops at {most}: widen a step or narrow a range"
            + (", or raise most_pictures." if most < MOST_CELLS else ".")
        )
    cells: list[Cell] = []
    for row, below in enumerate((None,) if y is None else y.values):
        for column, across in enumerate(x.values):
            pairs = [(x.name, across)] if y is None or below is None else [(x.name, across), (y.name, below)]
            cells.append(Cell(row, column, _values(base, pairs), _key(pairs)))
    return Grid(base, x, y, tuple(cells))


def _values(base: TuningValues, pairs: list[tuple[str, float | str]]) -> TuningValues:
    """`base` with `pairs` set, in whichever order is valid: a start and an end may only fit together."""
    try:
        return _set(base, pairs)
    except TuningError as error:
        try:
            return _set(base, pairs[::-1])
        except TuningError:
            cell = ", ".join(f"{name} {value}" for name, value in pairs)
            raise TuningError(f"The cell with {cell} cannot be rendered: {error}") from None


def _set(values: TuningValues, pairs: list[tuple[str, float | str]]) -> TuningValues:
    for name, value in pairs:
        values = with_value(values, name, value)
    return values


def _key(pairs: list[tuple[str, float | str]]) -> str:
    """The pairs by name, whatever axis is which: turning the grid on its side renders nothing again."""
    return "_".join(f"{name}={re.sub(r'[^a-z0-9.+-]+', '-', str(value).lower())}" for name, value in sorted(pairs))
