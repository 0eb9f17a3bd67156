"""A grid of pictures over one or two values: the axes, the cells, the contact sheet and the table."""

from .axes import Axis, parse_axis
from .grid import MOST_CELLS, Cell, Grid, make_grid
from .sheet import contact_sheet
from .table import table

__all__ = ["MOST_CELLS", "Axis", "Cell", "Grid", "contact_sheet", "make_grid", "parse_axis", "table"]
