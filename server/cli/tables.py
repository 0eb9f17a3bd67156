"""Tables on the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 10_000


def show(columns: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> None:
    """Prints rows of cells, each with whether it is dim. What is long is folded on a terminal and never cut off."""
    table = Table(box=None, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for cells, dim in rows:
        table.add_row(*map(Text, cells), style="dim" if dim else "")
    console = Console()
    if not console.is_terminal:  # a program reads it: a line for each row
        console = Console(width=_WIDE)
    console.print(table)
