"""`des-admin doctor`: one screen that a person on call reads in ten seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.values import foreign
from des_core.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.checks import Check

MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}
ASCII_MARKS = {"ok": "+", "warning": "!", "failed": "x", "skipped": "-"}
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
NAME_WIDTH = 13


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin doctor",
            "des-admin doctor --quiet",
            "des-admin doctor --output json",
            note="Exit code 4 if a check failed; warnings leave it at 0. --quiet shows only what "
            "is not in order. Nothing is changed; a tiny probe is written to the output "
            "directory and removed.",
        )
    )(doctor)


def doctor(ctx: typer.Context) -> None:
    """Check connections, schema, watermark, runner, exceptions, disk and clocks."""
    from des_core.checks import Status, examine

    context = Context.of(ctx)
    found = []
    for check in examine(context.settings):
        found.append(check)
        if not context.wants_json:
            _draw(context, check)
    is_healthy = all(check.status is not Status.FAILED for check in found)
    payload = {"healthy": is_healthy, "checks": found}
    context.emit("doctor", payload, lambda out: _summary(out, found))
    if not is_healthy:
        context.finish(ExitCode.REFUSED)


def _draw(context: Context, check: Check) -> None:
    """A line as soon as the answer is there; the next command below it."""
    if context.options.quiet and check.status in {"ok", "skipped"}:
        return
    from rich.text import Text

    out = context.out
    marks = ASCII_MARKS if out.options.ascii_only else MARKS
    line = Text.assemble(
        (f"{marks[check.status]} ", STYLES[check.status]),
        (f"{check.name:<{NAME_WIDTH}}", "bold"),
        foreign(check.detail),
    )
    out.print(line, soft_wrap=not out.is_terminal)
    if check.hint:
        out.print(Text(f"  {'':<{NAME_WIDTH}}→ {foreign(check.hint)}", "cyan"), soft_wrap=True)


def _summary(out: Console, found: Iterable[Check]) -> None:
    statuses = [str(check.status) for check in found]
    parts = [f"{statuses.count(name)} {name}" for name in MARKS if name in statuses]
    out.print(", ".join(parts))
