"""A result as titled tables that can be drawn, or written as Markdown or CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_admin.render.tables import Column, Row, print_table
from des_admin.render.values import foreign

if TYPE_CHECKING:
    from rich.console import Console


# A cell that begins like this is run as a formula by a spreadsheet, the wide forms by some.
FORMULA = frozenset("=+-@＝＋－＠")
QUOTE = '"'


@dataclass(frozen=True)
class Section:
    """One table with its title."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


def draw_sections(out: Console, sections: Iterable[Section]) -> None:
    """On the console, a blank line between them."""
    for number, section in enumerate(sections):
        if number:
            out.print()
        if section.rows:
            print_table(out, section.columns, section.rows, title=section.title)
        else:
            out.print(section.title, style="bold")


def to_markdown(sections: Iterable[Section]) -> str:
    """GitHub's tables, which mail and chat programs read as well."""
    return "\n".join(line for section in sections for line in _markdown_lines(section))


def to_csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """RFC 4180 with a header line; plain numbers, times in ISO 8601."""
    lines = [",".join(columns), *(",".join(map(_csv_cell, row)) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _markdown_lines(section: Section) -> list[str]:
    head = " | ".join(column.title for column in section.columns)
    rule = " | ".join("---:" if column.numeric else "---" for column in section.columns)
    rows = [" | ".join(_markdown_cell(value) for value in row) for row in section.rows]
    body = [f"| {line} |" for line in (head, rule, *rows)]
    return [f"### {section.title}", "", *body, ""]


def _markdown_cell(value: object) -> str:
    text = "" if value is None else foreign(value)
    for char in "\\|`*_<>[]":
        text = text.replace(char, f"\\{char}")
    return text


def _csv_cell(value: object) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    # A carriage return begins a new record for many readers.
    text = foreign(value)
    if text[:1] in FORMULA:
        text = f"'{text}"
    # A reader whose language writes a decimal comma parts cells at a semicolon.
    return f'"{text.replace(QUOTE, QUOTE * 2)}"' if any(sign in text for sign in ',;"\t') else text
