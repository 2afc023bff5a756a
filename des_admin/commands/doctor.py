"""`des-admin doctor`: one screen that a person on call reads in ten seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.values import foreign
from des_core.basics.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.checks import Check
    from des_core.settings.config import Settings

MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}
ASCII_MARKS = {"ok": "+", "warning": "!", "failed": "x", "skipped": "-"}
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
NAME_WIDTH = 13
READABLE = 16


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin doctor",
            "des-admin doctor --quiet",
            "des-admin doctor --output json",
            "des-admin doctor --rehearse",
            note="Exit code 4 if a check failed; warnings leave it at 0. --quiet shows only what "
            "is not in order. Nothing is changed; a tiny probe is written to the output "
            "directory and removed. --rehearse copies rows of some days into a scratch database of "
            "the same server, migrates, packs, goes back and compares there, and removes it.",
        )
    )(doctor)


RehearseOption = Annotated[
    bool,
    typer.Option("--rehearse", help="Also try the way there and back on a small copy."),
]
RowsOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, max=100_000, help="Rows of each day that is rehearsed with."),
]


def doctor(
    ctx: typer.Context, rehearse: RehearseOption = False, rehearse_rows: RowsOption = 500
) -> None:
    """Check connections, schema, watermark, runner, exceptions, disk and clocks."""
    from des_core.checks import Status, examine

    context = Context.of(ctx)
    found = []
    checks = [examine(context.settings)]
    if rehearse:
        checks.append(_rehearse(context.settings, rehearse_rows))
    for check in chain.from_iterable(checks):
        found.append(check)
        if not context.wants_json:
            _draw(context, check)
    is_healthy = all(check.status is not Status.FAILED for check in found)
    payload = {"healthy": is_healthy, "checks": found}
    context.emit("doctor", payload, lambda out: _summary(out, found))
    if not is_healthy:
        context.finish(ExitCode.REFUSED)


def _rehearse(settings: Settings, rows_per_day: int) -> Iterator[Check]:
    """The acts of a rehearsal, as checks."""
    from des_core.checks.check import failed, ok
    from watermark_orchestrator.rehearsal import rehearse

    for act in rehearse(settings, rows_per_day=rows_per_day):
        name, detail = f"rehearse: {act.name}", f"{act.detail} ({act.seconds:.1f} s)"
        yield ok(name, detail) if act.problem is None else failed(name, detail, act.problem)


def _draw(context: Context, check: Check) -> None:
    """A line as soon as the answer is there; the next command below it."""
    if context.options.quiet and check.status in {"ok", "skipped"}:
        return
    from rich.text import Text

    out = context.out
    marks = ASCII_MARKS if out.options.ascii_only else MARKS
    head = Text.assemble(
        (f"{marks[check.status]} ", STYLES[check.status]),
        (f"{check.name:<{NAME_WIDTH}}", "bold"),
    )
    room = out.width - head.cell_len if out.is_terminal else len(check.detail)
    for number, line in enumerate(Text(foreign(check.detail)).wrap(out, max(room, READABLE))):
        out.print(head if number == 0 else " " * head.cell_len, line, sep="", soft_wrap=True)
    if check.hint:
        out.print(Text(f"  {'':<{NAME_WIDTH}}→ {foreign(check.hint)}", "cyan"), soft_wrap=True)


def _summary(out: Console, found: Iterable[Check]) -> None:
    statuses = [str(check.status) for check in found]
    parts = [f"{statuses.count(name)} {name}" for name in MARKS if name in statuses]
    out.print(", ".join(parts))
