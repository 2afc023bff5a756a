"""`des-migrate`: per-record mode, for before the cutover and after a rollback."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.app import set_options
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.program import run_command_line
from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, duration, size
from des_core.basics.errors import ExitCode
from des_core.basics.wording import numbered
from des_core.process.collector import collect_rarely

if TYPE_CHECKING:
    from rich.console import Console

    from watermark_orchestrator.per_record import PerRecordPlan, PerRecordReport

SHOWN_FAILURES = 20


def make_app() -> typer.Typer:
    """One command without a name."""
    app = typer.Typer(name="des-migrate", rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(
        name="des-migrate",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=examples(
            "des-migrate --config old-config.yaml --dry-run",
            "des-migrate --config old-config.yaml",
            "des-migrate --config old-config.yaml --batch-size 1000",
            note="Exit code 3: done, but some files could not be packed; they stay unmarked.",
        ),
    )(migrate)
    return app


def migrate(
    ctx: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The configuration, old or new form."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, help="Rows marked per UPDATE; 1000, if nothing says otherwise."
        ),
    ] = None,
    older_than_days: Annotated[
        int | None,
        typer.Option(min=0, help="Instead of migration.archive_age_days or database.lag_days."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the rows to pack, change nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more details.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
) -> None:
    """Pack files that are not archived, and mark each row that was packed.

    For before the cutover and after a rollback. Refused while a watermark is in force.
    """
    set_options(ctx, config_file, verbose=verbose, quiet=quiet, no_color=no_color)
    context = Context.of(ctx)
    from des_admin.runner_session import obeying_signals, watching
    from des_core.settings.per_record_config import load_per_record_settings
    from watermark_orchestrator.per_record import pack_per_record, plan_per_record

    loaded = load_per_record_settings(context.config_path, env=context.env)
    age = loaded.older_than_days if older_than_days is None else older_than_days
    if dry_run:
        _draw_plan(context.out, plan_per_record(loaded.settings, older_than_days=age))
        return
    with (
        obeying_signals(context) as stop,
        watching(context, "packing", None) as progress,
    ):
        report = pack_per_record(
            loaded.settings,
            older_than_days=age,
            batch_size=loaded.batch_size if batch_size is None else batch_size,
            stop=stop,
            progress=progress,
        )
    _draw(context.out, report)
    if report.files_failed:
        context.finish(ExitCode.NEW_EXCEPTIONS)


def _draw_plan(out: Console, plan: PerRecordPlan) -> None:
    facts: list[tuple[str, object]] = [
        ("Files to pack", f"{count(plan.files)} of {numbered(len(plan.days), 'day')}")
    ]
    if plan.days:
        facts.append(("Created", f"{plan.days[0]} to {plan.days[-1]}"))
    print_facts(out, facts)


def _draw(out: Console, report: PerRecordReport) -> None:
    print_facts(
        out,
        [
            ("Files processed", count(report.files_in)),
            ("Files migrated", f"{count(report.files_marked)}, {size(report.bytes_in)}"),
            ("Files failed", count(report.files_failed)),
            ("Duration", duration(report.duration_s)),
            ("Database UPDATEs", count(report.updates)),
        ],
    )
    if report.failures:
        columns = [Column("uid"), Column("reason", wraps=False), Column("error")]
        shown = report.failures[:SHOWN_FAILURES]
        print_table(out, columns, [(f.uid, f.reason, f.error) for f in shown])
        if report.files_failed > len(shown):
            out.print(f"… and {count(report.files_failed - len(shown))} more")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    collect_rarely()
    return run_command_line(
        "des-migrate", make_app, sys.argv[1:] if arguments is None else arguments
    )


if __name__ == "__main__":
    sys.exit(main())
