"""`des-admin doctor`: one screen that a person on call reads in ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_core.basics.errors import ExitCode

if TYPE_CHECKING:
    from des_core.checks import Check
    from des_core.settings.config import Settings


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin doctor",
            "des-admin doctor --all",
            "des-admin doctor --output json",
            "des-admin doctor --rehearse",
            note="Exit code 4 if a check failed; warnings leave it at 0. What is not in order is "
            "shown, the worst first, then what to do about it. A check that has no answer within "
            "20 s fails, and the others go on. Nothing is changed; a tiny probe is "
            "written to the output directory and removed. --rehearse copies rows of some days into "
            "a scratch database of the same server, migrates, packs, goes back and compares there, "
            "and removes it.",
        )
    )(doctor)


RehearseOption = Annotated[
    bool,
    typer.Option("--rehearse", help="Also try the way there and back on a small copy."),
]
AllOption = Annotated[bool, typer.Option("--all", help="Also what is in order.")]
RowsOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, max=100_000, help="Rows of each day that is rehearsed with."),
]


def doctor(
    ctx: typer.Context,
    rehearse: RehearseOption = False,
    rehearse_rows: RowsOption = 500,
    everything: AllOption = False,
) -> None:
    """Check connections, schema, watermark, runner, exceptions, disk and clocks."""
    from des_admin.render.findings import draw_findings
    from des_core.checks import Status, examine

    context = Context.of(ctx)
    checks = [examine(context.settings)]
    if rehearse:
        checks.append(_rehearse(context.settings, rehearse_rows))
    found = list(chain.from_iterable(checks))
    is_healthy = all(check.status is not Status.FAILED for check in found)
    payload = {"healthy": is_healthy, "checks": found}
    quiet = context.options.quiet
    context.emit(
        "doctor",
        payload,
        lambda out: draw_findings(out, found, everything=everything, quiet=quiet),
    )
    if not is_healthy:
        context.finish(ExitCode.REFUSED)


def _rehearse(settings: Settings, rows_per_day: int) -> Iterator[Check]:
    """The acts of a rehearsal, as checks."""
    from des_core.checks.check import failed, ok
    from watermark_orchestrator.rehearsal import rehearse

    for act in rehearse(settings, rows_per_day=rows_per_day):
        name, detail = f"rehearse: {act.name}", f"{act.detail} ({act.seconds:.1f} s)"
        yield ok(name, detail) if act.problem is None else failed(name, detail, act.problem)
