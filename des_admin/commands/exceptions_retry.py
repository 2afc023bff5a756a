"""`des-admin exceptions retry`: try to pack exceptions again, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.exceptions import (
    OnlyOption,
    UidsOption,
    app,
    exception_filter,
    require_known_reasons,
)
from des_admin.commands.shared_options import YesOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.values import count
from des_core.basics.errors import ExitCode
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from des_core.ledger.exception_edits import ExceptionFilter


def register(_root: typer.Typer) -> None:
    app.command(
        epilog=examples("des-admin exceptions retry", "des-admin exceptions retry --only skipped")
    )(retry)


def retry(
    ctx: typer.Context,
    only: OnlyOption = None,
    uid: UidsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how many would be tried, change nothing.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Try to pack exceptions again now, without waiting for their turn.

    What can be packed becomes a new part of its day and is closed; the rest stays open.
    """
    from des_admin.runner_session import retry_selected
    from des_core.ledger.outcomes import RETRY

    context = Context.of(ctx)
    wanted = exception_filter(only, uid)
    files = _count(context, wanted)
    nothing = dict.fromkeys(("tried", "packed", "failed", "gone"), 0)
    if not files:
        require_known_reasons(only)
        context.emit("exceptions-retry", nothing, lambda out: out.print("nothing to try"))
        return
    if dry_run:
        context.emit(
            "exceptions-retry", nothing, lambda out: out.print(f"would try {count(files)}")
        )
        return
    context.prompts.confirm(f"Try to pack {numbered(files, 'exception')} again?", yes=yes)
    with context.remembered(RETRY) as seen:
        report = retry_selected(context, wanted)
        seen.files = report.failed
        seen.exit_code = ExitCode.NEW_EXCEPTIONS if report.failed else ExitCode.DONE
    payload = {
        "tried": report.tried,
        "packed": report.packed,
        "failed": report.failed,
        "gone": report.gone,
    }
    words = (
        f"tried {count(report.tried)}: packed {count(report.packed)}, "
        f"failed again {count(report.failed)}, row gone {count(report.gone)}"
    )
    context.emit("exceptions-retry", payload, lambda out: out.print(words))
    if report.failed:
        context.finish(ExitCode.NEW_EXCEPTIONS)


def _count(context: Context, wanted: ExceptionFilter) -> int:
    from des_core.ledger.exception_edits import find_open

    return sum(1 for _ in find_open(context.config_database, wanted))
