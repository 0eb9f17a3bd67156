"""A sweep as data, for programs and spreadsheets."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .grid import Grid

__all__ = ["table"]


def table(grid: Grid, origin: str | None) -> str:
    """The sweep as JSON: its axes, what it began from, and the cells in the order of the pictures."""
    document: dict[str, Any] = {
        "origin": origin,
        "base": dataclasses.asdict(grid.base),
        "x": {"name": grid.x.name, "values": list(grid.x.values)},
        "y": None if grid.y is None else {"name": grid.y.name, "values": list(grid.y.values)},
        "cells": [
            {"picture": index, "row": cell.row, "column": cell.column, "base": grid.is_base(cell), **grid.swept(cell)}
            for index, cell in enumerate(grid.cells)
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2)
