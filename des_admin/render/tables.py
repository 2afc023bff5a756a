"""Tables and lists of facts: wrapped to fit a terminal; piped, nothing is wrapped or cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_admin.render.values import foreign

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# What lies between two columns, and how narrow a column of text may become.
GAP = 3
READABLE = 12


@dataclass(frozen=True)
class Column:
    """A heading; `numeric` columns are set to the right and never wrapped."""

    title: str
    numeric: bool = False
    wraps: bool = True
    style: str = ""


Row = Sequence[object]


def print_table(
    console: Console, columns: Sequence[Column], rows: Iterable[Row], *, title: str | None = None
) -> None:
    """Print rows; every cell is foreign text, so nothing in it is obeyed.

    On a terminal too narrow for the columns, each row becomes a list of facts instead.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if console.is_terminal and _least_width(columns, cells) > console.width:
        _print_records(console, columns, cells, title)
    else:
        _print(console, build_table(columns, cells, title=title))


def build_table(
    columns: Sequence[Column], rows: Iterable[Row], *, title: str | None = None
) -> Table:
    """The table as rich draws it."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric or not column.wraps,
            overflow="fold",
            style=column.style,
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> int:
    """The width below which wrapping would leave single letters under each other."""
    width = GAP * (len(columns) - 1)
    for place, column in enumerate(columns):
        widest = max((row[place].cell_len for row in rows), default=0)
        keeps_whole = column.numeric or not column.wraps
        width += max(len(column.title), widest if keeps_whole else min(widest, READABLE))
    return width


def _print_records(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Text]],
    title: str | None,
) -> None:
    if title:
        console.print(title, style="bold")
    for number, row in enumerate(rows):
        if number:
            console.print()
        titles = (column.title for column in columns)
        print_facts(console, [(name, cell) for name, cell in zip(titles, row, strict=True) if cell])


def print_facts(console: Console, facts: Iterable[tuple[str, object]]) -> None:
    """Two columns: what, and its value."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, _cell(value))
    _print(console, table)


def _print(console: Console, table: Table) -> None:
    """Piped lines end where their text ends."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        console.out(line.rstrip(), highlight=False)


def _cell(value: object) -> Text:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    return Text("" if value is None else foreign(value))
