"""Tables and lists of facts: wrapped to fit a terminal; piped, nothing is wrapped or cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_admin.render.values import foreign

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

GAP = 3  # between two columns
# A command in a sentence: its name, options with a value each, and values like times and numbers.
COMMAND = re.compile(
    r"des-(?:admin|retriever|migrate)(?: [a-z]+){1,2}"
    r"(?: (?:--?[\w-]+(?:[ =][\w.:/'-]+)?|[A-Z0-9][\w.:/-]*))*"
)
_WORD = re.compile(rf"(\s*)(\S*?{COMMAND.pattern}\S*|\S+)")  # nothing breaks within a command
READABLE = 16  # what is left of a line, however narrow the terminal
INDENT = 2  # of a value that is too wide to stand beside its name


@dataclass(frozen=True)
class Column:
    """A heading; `numeric` columns are set to the right and never wrapped."""

    title: str
    numeric: bool = False
    wraps: bool = True
    style: str = ""


# A table of these may be shown as a list of facts.
FACT_COLUMNS = (Column("what", wraps=False, style="bold"), Column("value"))
Row = Sequence[object]


def print_table(
    console: Console, columns: Sequence[Column], rows: Iterable[Row], *, title: str | None = None
) -> None:
    """Print rows; every cell is foreign text, so nothing in it is obeyed.

    Cells wrap between words, never inside one: on a terminal too narrow for the words, each row
    becomes a list of facts instead.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _fit(columns, cells, console.width) if console.is_terminal else None
    if console.is_terminal and widths is None:
        if title:
            console.print(title, style="bold")
        if columns is FACT_COLUMNS:
            print_facts(console, [(name.plain, value) for name, value in cells])
        else:
            _print_records(console, columns, cells)
    else:
        _print(console, build_table(columns, cells, title=title, widths=widths))


def build_table(
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    title: str | None = None,
    widths: Sequence[int] | None = None,
) -> Table:
    """The table as rich draws it, with columns of these widths if they are given."""
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
    for place, column in enumerate(columns):
        table.add_column(
            column.title,
            width=None if widths is None else widths[place],
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric or not column.wraps,
            overflow="fold",
            style=column.style,
        )
    for row in rows:
        cells = [_cell(value) for value in row]
        if widths is not None:
            cells = [_folded(cell, width) for cell, width in zip(cells, widths, strict=True)]
        table.add_row(*cells)
    return table


def _folded(cell: Text, width: int) -> Text:
    """Broken here, because rich would break within a command."""
    from rich.text import Text

    if cell.cell_len <= width:
        return cell
    lines = between_words(cell, width)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """Widths that fit into the room, the widest columns narrowed first; None where none would."""
    cells = [[row[place] for row in rows] for place in range(len(columns))]
    widths = [
        max([len(column.title), *(cell.cell_len for cell in texts)])
        for column, texts in zip(columns, cells, strict=True)
    ]
    least = [
        width if column.numeric or not column.wraps else max(map(_longest_word, texts), default=0)
        for column, texts, width in zip(columns, cells, widths, strict=True)
    ]
    least = [max(low, len(column.title)) for low, column in zip(least, columns, strict=True)]
    room -= GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda n: (widths[n] > least[n], widths[n]))
        widths[place] -= 1
    return widths


def _longest_word(cell: Text) -> int:
    from rich.cells import cell_len

    return max((cell_len(match[2]) for match in _WORD.finditer(cell.plain)), default=0)


def _print_records(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Text]],
) -> None:
    for number, row in enumerate(rows):
        if number:
            console.print()
        titles = (column.title for column in columns)
        print_facts(console, [(name, cell) for name, cell in zip(titles, row, strict=True) if cell])


def print_facts(console: Console, facts: Iterable[tuple[str, object]]) -> None:
    """Two columns: what, and its value, which goes below its name where a word needs the room.

    A word wider than the terminal is left to it, so that it can be copied in one piece.
    """
    from rich.text import Text

    pairs = [(name, _cell(value)) for name, value in facts]
    beside = max((len(name) for name, _ in pairs), default=0) + 2
    for name, cell in pairs:
        room = console.width - beside
        is_wide = console.is_terminal and _longest_word(cell) > room
        margin = INDENT if is_wide else beside
        lines = [cell]
        if console.is_terminal:
            lines = between_words(cell, console.width - margin)
        first = Text()
        first.append(name, style="bold")
        if is_wide:
            console.print(first, soft_wrap=True)
        else:
            first.append(" " * (beside - len(name)))
            first.append_text(lines.pop(0) if lines else Text(""))
            first.rstrip()
            console.print(first, soft_wrap=True)
        for line in lines:
            line.rstrip()
            console.print(Text(" " * margin).append_text(line), soft_wrap=True)


def hanging(head: str, text: str, width: int | None) -> list[str]:
    """The lines of a text that begins after `head` and goes on below its own beginning.

    Broken between words, and never inside a command: one that is wider than the terminal is left to
    it, so that it can be copied in one piece. None is no terminal: one line.
    """
    from rich.text import Text

    if width is None:
        return [head + text]
    lines = between_words(Text(text), max(width - len(head), READABLE))
    margins = [head, *[" " * len(head)] * len(lines)]
    return [(margin + line.plain).rstrip() for margin, line in zip(margins, lines, strict=False)]


def between_words(text: Text, room: int) -> list[Text]:
    """The lines of a text, which no word or command is wider than, unless it is wider than the
    room."""
    from rich.cells import cell_len

    breaks, used = [], 0
    for match in _WORD.finditer(text.plain):
        if used and used + cell_len(match[0]) > room:
            breaks.append(match.start(2))
            used = 0
        used += cell_len(match[0] if used else match[2])
    return list(text.divide(breaks))


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
