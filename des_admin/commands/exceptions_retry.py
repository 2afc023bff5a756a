"""`des-admin exceptions retry`: try to pack exceptions again, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.exceptions import (
    ReasonsOption,
    UidsOption,
    app,
    exception_filter,
    require_known_reasons,
)
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.values import count
from des_core.basics.errors import ExitCode

if TYPE_CHECKING:
    from des_core.ledger.exception_edits import ExceptionFilter


def register(_root: typer.Typer) -> None:
    app.command(
        epilog=examples("des-admin exceptions retry", "des-admin exceptions retry --reason skipped")
    )(retry)


def retry(
    ctx: typer.Context,
    reason: ReasonsOption = None,
    uid: UidsOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Try to pack exceptions again now, without waiting for their turn.

    What can be packed becomes a new part of its day and is closed; the rest stays open.
    """
    from des_admin.runner_session import retry_selected
    from des_core.ledger.outcomes import RETRY

    context = Context.of(ctx)
    wanted = exception_filter(reason, uid)
    files = _count(context, wanted)
    if not files:
        require_known_reasons(reason)
        nothing = dict.fromkeys(("tried", "packed", "failed", "gone"), 0)
        context.emit("exceptions-retry", nothing, lambda out: out.print("nothing to try"))
        return
    context.prompts.confirm(f"Try {files:,} exceptions again?", yes=yes)
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
