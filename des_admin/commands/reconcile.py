"""`des-admin reconcile`: rows below the watermark that nobody has packed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.shared_options import YesOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, utc
from des_core.basics.errors import CheckFailed, ExitCode, UsageError
from des_core.basics.wording import numbered, one_or_many

if TYPE_CHECKING:
    from rich.console import Console

    from watermark_orchestrator.rechecking import RecheckReport


_CLOSELY = "--every-day"


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin reconcile",
            "des-admin reconcile --since 2024-11-01 --every-day",
            "des-admin reconcile --record --yes",
            "des-admin reconcile --accept-gone --reason 'the third was deleted on request'",
            note="Exit code 4 if late rows were found, or packed rows are gone from the table; 3 "
            "if late rows were recorded. The runner looks for late rows of the last "
            "watermark.recheck_days days in each cycle. Files that were skipped with --forget are "
            "late rows too.",
        )
    )(reconcile)


def reconcile(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Start. Default: the beginning of the ledger."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="End. Default: the watermark.")
    ] = None,
    every_day: Annotated[
        bool,
        typer.Option("--every-day", help="Compare row by row also the days whose counts agree."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Make late rows exceptions; the next run packs them.")
    ] = False,
    accept_gone: Annotated[
        bool,
        typer.Option("--accept-gone", help="Rows that are gone were deleted on purpose."),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Why; required by --accept-gone, kept in the audit trail."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="With --record or --accept-gone: show, change nothing."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Find rows below the watermark that no shard and no exception knows.

    A day costs one count; a day whose count differs from the ledger is compared row by row.
    """
    from des_core.ledger.outcomes import RECONCILE

    context = Context.of(ctx)
    if accept_gone and not reason:
        raise UsageError("accepting that rows are gone wants a reason", hint="add --reason TEXT")
    because = reason if accept_gone and not dry_run else None
    request = _Request(since, until, every_day, record and not dry_run, because, yes)
    with context.remembered(RECONCILE, dry_run=dry_run) as seen:
        report, recorded, accepted = _compare(context, request)
        seen.files = report.late + report.gone - accepted
        seen.exit_code = ExitCode.NEW_EXCEPTIONS if recorded else ExitCode.DONE
        seen.clears_nothing = not _covers_the_last(context, request)
        _emit(context, report, recorded, accepted)
        _judge(request, report, recorded, accepted)
    if recorded:
        context.finish(ExitCode.NEW_EXCEPTIONS)


@dataclass(frozen=True)
class _Request:
    """What was typed. `accept_because` is why rows that are gone are no news."""

    since: str | None
    until: str | None
    every_day: bool
    record: bool
    accept_because: str | None
    yes: bool


def _covers_the_last(context: Context, request: _Request) -> bool:
    """Whether it looks at all that the last one looked at: every day, and as closely."""
    from des_core.ledger.outcomes import RECONCILE, newest_outcomes

    if request.since is not None or request.until is not None:
        return False
    with context.config_database.read() as tx:
        last = next((item for item in newest_outcomes(tx, RECONCILE) if item.is_news), None)
    was_close = last is not None and not last.succeeded and _CLOSELY in (last.hint or "")
    return request.every_day or not was_close


def _judge(request: _Request, report: RecheckReport, recorded: int, accepted: int) -> None:
    late, gone = report.late - recorded, report.gone - accepted
    problems = []
    if late > 0:
        problems.append(f"{numbered(late, 'row')} below the watermark never packed")
    if gone > 0:
        are = one_or_many(gone, "is", "are")
        problems.append(f"{numbered(gone, 'row')} of the ledger {are} gone from the table")
    if not problems:
        return
    again = f"des-admin reconcile {_CLOSELY}" if request.every_day else "des-admin reconcile"
    hint = f"{again} --record makes them exceptions; then: des-admin run"
    if not late:
        hint = (
            "was an older copy restored? See docs/runbook/alerts.md, Rows are gone; once they are "
            f"back: {again}; if they were deleted on purpose: {again} --accept-gone --reason TEXT"
        )
    raise CheckFailed("; ".join(problems), hint=hint)


def _compare(context: Context, request: _Request) -> tuple[RecheckReport, int, int]:
    """The report, how many late rows were made exceptions, and how many gone ones accepted."""
    from des_admin.render.activity import watch_work
    from watermark_orchestrator import rechecking
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.stopping import stop_on_signals

    with (
        stop_on_signals(context.say) as stop,
        open_archive(context.settings, actor=context.actor) as archive,
    ):
        with watch_work(context, "reconcile", unit="days") as work:
            report = rechecking.look_for_late(
                archive,
                since=_moment(context, request.since),
                until=_moment(context, request.until),
                every_day=request.every_day,
                stop=stop,
                on_day=lambda _: work.advance(1),
            )
        recorded = accepted = 0
        if not context.wants_json and not request.yes and _asks(request, report):
            _draw(context.talk, report)
        if request.record and report.late:
            context.prompts.confirm(
                f"Record {numbered(report.late, 'late row')} as exceptions?", yes=request.yes
            )
            recorded = rechecking.record_late(archive, report, stop=stop)
        if request.accept_because and report.gone:
            context.prompts.confirm(
                f"Accept as gone from files: {numbered(report.gone, 'row')}?", yes=request.yes
            )
            accepted = rechecking.accept_gone(
                archive, report, actor=context.actor, reason=request.accept_because
            )
    return report, recorded, accepted


def _asks(request: _Request, report: RecheckReport) -> bool:
    """Whether somebody is asked about what was found; then they see it first."""
    return bool((request.record and report.late) or (request.accept_because and report.gone))


def _moment(context: Context, text: str | None) -> datetime | None:
    from des_core.basics.timestamps import parse_time

    return None if text is None else parse_time(text, now=context.now)


def _emit(context: Context, report: RecheckReport, recorded: int, accepted: int) -> None:
    scope = report.scope
    payload = {
        "start": scope.start if scope else None,
        "end": scope.end if scope else None,
        "ledger_begins": scope.begins_at if scope else None,
        "days": report.days,
        "rows": report.rows,
        "late": report.late,
        "recorded": recorded,
        "gone": report.gone,
        "accepted": accepted,
        "findings": [
            {
                "day": finding.count.scope.day,
                "rows": finding.count.rows,
                "packed": finding.count.packed,
                "exceptions": finding.count.exceptions,
                "late": finding.late,
                "gone": finding.gone,
            }
            for finding in report.findings
        ],
    }

    def draw(out: Console) -> None:
        _draw(out, report)
        if recorded:
            are = one_or_many(recorded, "is an exception", "are exceptions")
            out.print(f"{numbered(recorded, 'late row')} {are} now; next: des-admin run")
        if accepted:
            out.print(f"accepted: {numbered(accepted, 'row')} gone")

    context.emit("reconcile", payload, draw)


def _draw(out: Console, report: RecheckReport) -> None:
    columns = [
        Column("day", wraps=False),
        Column("rows", numeric=True),
        Column("in shards", numeric=True),
        Column("exceptions", numeric=True),
        Column("late", numeric=True),
        Column("gone", numeric=True),
    ]
    rows = [
        (
            finding.count.scope.day.isoformat(),
            count(finding.count.rows),
            count(finding.count.packed),
            count(finding.count.exceptions),
            count(finding.late),
            count(finding.gone),
        )
        for finding in report.findings
    ]
    if rows:
        print_table(out, columns, rows)
    found = f"{count(report.late)} late, {count(report.gone)} gone"
    out.print(f"{numbered(report.days, 'day')}, {numbered(report.rows, 'row')}; {found}")
    if report.scope is not None and report.scope.begins_at is None:
        out.print("the ledger is empty: there is nothing to compare with yet")
    elif report.scope is not None and report.scope.begins_at is not None:
        begins = utc(report.scope.begins_at)
        out.print(f"what lies up to {begins} was packed before the ledger began")
