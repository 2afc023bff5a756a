"""The checks of `doctor` on a screen: the worst first, then what to do, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from des_admin.render.tables import hanging
from des_admin.render.values import foreign
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from des_core.checks import Check
    from des_core.progress.health import Remark

MARKS = {"failed": "✗", "warning": "!", "skipped": "–", "ok": "✓"}
ASCII_MARKS = {"failed": "x", "warning": "!", "skipped": "-", "ok": "+"}
STYLES = {"failed": "bold red", "warning": "yellow", "skipped": "dim", "ok": "green"}
ORDER = tuple(MARKS)
NAME_WIDTH = 13
READABLE = 16
# A screen of 24 lines, with the prompt below it.
SCREEN = 23
# What comes below the findings: a blank line, the heading, the last line.
FRAME = 3


def draw_findings(out: Console, found: Sequence[Check], *, everything: bool, quiet: bool) -> None:
    """At most a screen, unless `everything` is asked for; `quiet` leaves the last line out."""
    ordered = sorted(found, key=lambda check: ORDER.index(check.status))
    problems = [check for check in ordered if check.status in {"failed", "warning"}]
    steps = [
        _step(out, f"  {number}. → ", f"{foreign(hint)}  [{name}]")
        for number, (name, hint) in enumerate(_steps(problems), 1)
    ]
    shown = ordered if everything else problems
    room = SCREEN - FRAME - sum(len(lines) for lines in steps)
    left = _draw_lines(out, shown, None if everything else room)
    if left:
        out.print(f"  … and {numbered(left, 'more finding')}: des-admin doctor --all")
    if steps:
        out.print()
        out.print("What to do, in this order:", style="bold")
        for line in chain.from_iterable(steps):
            out.print(line, soft_wrap=True)
    if not quiet:
        out.print(_totals(ordered, everything=everything))


def draw_remarks(out: Console, health: Iterable[Remark]) -> None:
    """What needs attention, each with the next command below it."""
    mark = ASCII_MARKS["warning"] if out.options.ascii_only else MARKS["warning"]
    for remark in health:
        for line in _wrapped(out, f"{mark} ", foreign(remark.text), "red"):
            out.print(line, soft_wrap=True)
        for line in _step(out, "  → ", foreign(remark.hint)):
            out.print(line, soft_wrap=True)


def _draw_lines(out: Console, shown: Sequence[Check], room: int | None) -> int:
    """Draw what there is room for; how many are left out."""
    used = 0
    for number, check in enumerate(shown):
        lines = list(_lines(out, check))
        if room is not None and number and used + len(lines) > room:
            return len(shown) - number
        used += len(lines)
        for line in lines:
            out.print(line, soft_wrap=True)
    return 0


def _lines(out: Console, check: Check) -> Iterable[Text]:
    from rich.text import Text

    marks = ASCII_MARKS if out.options.ascii_only else MARKS
    head = Text.assemble(
        (f"{marks[check.status]} ", STYLES[check.status]),
        (f"{check.name:<{NAME_WIDTH}} ", "bold"),
    )
    room = out.width - head.cell_len
    if out.is_terminal and room < READABLE:
        yield head
        yield from _wrapped(out, "  ", foreign(check.detail), "")
        return
    for number, line in enumerate(_wrapped(out, " " * head.cell_len, foreign(check.detail), "")):
        yield line if number else Text.assemble(head, line.plain.lstrip())


def _step(out: Console, head: str, text: str) -> list[Text]:
    """A hint; its commands are never broken."""
    return list(_wrapped(out, head, text, "cyan"))


def _wrapped(out: Console, head: str, text: str, style: str) -> Iterator[Text]:
    """Lines that fit the terminal, indented below their head; piped, it is one line."""
    from rich.text import Text

    width = out.width if out.is_terminal else None
    for line in hanging(head, text, width):
        yield Text(line, style)


def _steps(problems: Iterable[Check]) -> list[tuple[str, str]]:
    """The hints in the order of the findings, each once, with the names that it is for.

    One that another begins with is said by that.
    """
    names: dict[str, list[str]] = {}
    for check in problems:
        if check.hint:
            names.setdefault(check.hint, []).append(check.name)
    for hint in sorted(names, key=len):
        longer = next((h for h in names if h.startswith(f"{hint}; ")), None)
        if longer is not None:
            names[longer] += names.pop(hint)
    return [(", ".join(found), hint) for hint, found in names.items()]


def _totals(found: Sequence[Check], *, everything: bool) -> str:
    statuses = [str(check.status) for check in found]
    parts = [
        numbered(statuses.count(name), name, "" if name == "warning" else name)
        for name in ORDER
        if name in statuses
    ]
    rest = "" if everything or not {"ok", "skipped"} & set(statuses) else "; --all shows every one"
    return ", ".join(parts) + rest
