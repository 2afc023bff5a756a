"""`des-admin reconcile`: rows below the watermark that nobody has packed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, utc
from des_core.basics.errors import CheckFailed, ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from watermark_orchestrator.rechecking import RecheckReport


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin reconcile",
            "des-admin reconcile --since 2024-11-01 --every-day",
            "des-admin reconcile --record --yes",
            note="Exit code 4 if late rows were found, 3 if they were recorded. The runner does "
            "the same for the last watermark.recheck_days days of each cycle. Files that were "
            "skipped with --forget are late rows too.",
        )
    )(reconcile)


def reconcile(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From there on. Default: where the ledger begins."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to there. Default: the watermark.")
    ] = None,
    every_day: Annotated[
        bool,
        typer.Option("--every-day", help="Compare row by row also the days whose counts agree."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Make late rows exceptions; the next run packs them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Find rows below the watermark that no shard and no exception knows.

    A day costs one count; a day whose count differs from the ledger is compared row by row.
    """
    from des_admin.render.activity import watch_work
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.rechecking import look_for_late, record_late
    from watermark_orchestrator.stopping import stop_on_signals

    context = Context.of(ctx)
    with (
        stop_on_signals(context.say) as stop,
        open_archive(context.settings, actor=context.actor) as archive,
    ):
        with watch_work(context, "reconcile", unit="days") as work:
            report = look_for_late(
                archive,
                since=_moment(context, since),
                until=_moment(context, until),
                every_day=every_day,
                stop=stop,
                on_day=lambda _: work.advance(1),
            )
        recorded = 0
        if record and report.late:
            if not context.wants_json:
                _draw(context.talk, report)
            context.prompts.confirm(f"Make {report.late:,} late rows exceptions?", yes=yes)
            recorded = record_late(archive, report, stop=stop)
    _emit(context, report, recorded)
    if recorded:
        context.finish(ExitCode.NEW_EXCEPTIONS)
    if report.late:
        raise CheckFailed(
            f"{report.late:,} rows below the watermark were never packed",
            hint="des-admin reconcile --record makes them exceptions; then: des-admin run",
        )


def _moment(context: Context, text: str | None) -> datetime | None:
    from des_core.basics.timestamps import parse_time

    return None if text is None else parse_time(text, now=context.now)


def _emit(context: Context, report: RecheckReport, recorded: int) -> None:
    scope = report.scope
    payload = {
        "start": scope.start if scope else None,
        "end": scope.end if scope else None,
        "ledger_begins": scope.begins_at if scope else None,
        "days": report.days,
        "rows": report.rows,
        "late": report.late,
        "recorded": recorded,
        "findings": [
            {
                "day": finding.count.scope.day,
                "rows": finding.count.rows,
                "packed": finding.count.packed,
                "exceptions": finding.count.exceptions,
                "late": finding.late,
            }
            for finding in report.findings
        ],
    }

    def draw(out: Console) -> None:
        if recorded:
            out.print(f"{count(recorded)} late rows are exceptions now; next: des-admin run")
        else:
            _draw(out, report)

    context.emit("reconcile", payload, draw)


def _draw(out: Console, report: RecheckReport) -> None:
    columns = [
        Column("day", wraps=False),
        Column("rows", numeric=True),
        Column("in shards", numeric=True),
        Column("exceptions", numeric=True),
        Column("late", numeric=True),
    ]
    rows = [
        (
            finding.count.scope.day.isoformat(),
            count(finding.count.rows),
            count(finding.count.packed),
            count(finding.count.exceptions),
            count(finding.late),
        )
        for finding in report.findings
    ]
    if rows:
        print_table(out, columns, rows)
    out.print(f"{count(report.days)} days, {count(report.rows)} rows; {count(report.late)} late")
    if report.scope is not None and report.scope.begins_at is None:
        out.print("the ledger is empty: there is nothing to compare with yet")
    elif report.scope is not None and report.scope.begins_at is not None:
        begins = utc(report.scope.begins_at)
        out.print(f"what lies up to {begins} was packed before the ledger began")
