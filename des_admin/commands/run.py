"""`des-admin run`: the runner, with progress on the screen."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import seconds
from des_admin.render.json import plain
from des_admin.render.tables import print_facts
from des_admin.render.values import count, duration, size, utc
from des_core.basics.errors import ExitCode
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from watermark_orchestrator.cycle import CyclePlan, CycleReport


class EngineName(StrEnum):
    """Who packs."""

    LOCAL = "local"
    DASK = "dask"


class LogFormat(StrEnum):
    """What a line of the log looks like."""

    TEXT = "text"
    KEYVALUE = "keyvalue"
    JSON = "json"


class Mode(StrEnum):
    """How long it goes on."""

    SINGLE = "single"
    CONTINUOUS = "continuous"


LogFileOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="The log file, instead of logging.file.")
]
LogFormatOption = Annotated[
    LogFormat | None, typer.Option(help="The form of a log line, instead of logging.format.")
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, max=256, help="Processes, instead of packer.workers.")
]
ShardOption = Annotated[
    int | None,
    typer.Option(min=0, help="Number of this sharded worker. Default: database.shard_id."),
]
TotalOption = Annotated[
    int | None,
    typer.Option(min=1, help="Number of sharded workers. Default: database.shards_total."),
]
BeginOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Begin an archive even if its shards hold few files.")
]


def register(root: typer.Typer) -> None:
    root.command(
        epilog=examples(
            "des-admin run --dry-run",
            "des-admin run",
            "des-admin run --mode continuous --interval 1h",
            "des-admin run --engine dask --scheduler tls://dask-scheduler:8786",
            note="Ctrl-C stops at the next safe point; twice: at once. Either is safe: the next "
            "run goes on where the last commit was. Exit code 3: done, and some files became "
            "exceptions.",
        )
    )(run)


def run(
    ctx: typer.Context,
    mode: Annotated[Mode, typer.Option(help="One cycle, or one after the other.")] = Mode.SINGLE,
    interval: Annotated[
        float,
        typer.Option(
            parser=seconds(1),
            metavar="LENGTH",
            help="Pause between cycles in continuous mode.",
        ),
    ] = 300.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what a cycle would do, change nothing.")
    ] = False,
    jobs: JobsOption = None,
    shard_id: ShardOption = None,
    shards_total: TotalOption = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(help="Processes of this machine or a Dask cluster. Default: packer.engine."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The Dask scheduler, like tls://host:8786. Default: packer.scheduler.",
        ),
    ] = None,
    log_file: LogFileOption = None,
    log_format: LogFormatOption = None,
    yes: BeginOption = False,
) -> None:
    """Pack the files between watermark and target, then move the watermark.

    Files that cannot be packed become exceptions; everything else is in a shard, read back and
    recorded, before the watermark moves.
    """
    context = Context.of(ctx)
    given = {
        "packer.workers": jobs,
        "packer.engine": None if engine is None else engine.value,
        "packer.scheduler": scheduler,
        "database.shard_id": shard_id,
        "database.shards_total": shards_total,
        "logging.file": log_file,
        "logging.format": None if log_format is None else log_format.value,
    }
    context.overrides |= {key: value for key, value in given.items() if value is not None}
    if dry_run:
        _show_plan(context)
        return
    if not yes:
        _require_shape(context)
    _run(context, mode, interval)


def _require_shape(context: Context) -> None:
    """Refused before a first cycle that would make an archive of tiny shards by default."""
    from des_admin.runner_session import make_opener
    from watermark_orchestrator.first_cycle import require_shape

    if "n_bits" in context.settings.packer.model_fields_set:
        return  # somebody has decided
    with make_opener(context)() as archive:
        require_shape(archive)


def _show_plan(context: Context) -> None:
    from des_admin.runner_session import make_opener
    from watermark_orchestrator.cycle import plan_cycle

    with make_opener(context)() as archive:
        plan = plan_cycle(archive)
    share = None if plan.share is None else str(plan.share)
    payload = {"plan": {**plain(plan), "share": share}}
    context.emit("run-plan", payload, lambda out: print_facts(out, plan_facts(plan)))


def _run(context: Context, mode: Mode, interval_s: float) -> None:
    """In continuous mode until a signal comes, which becomes exit code 130 or 143."""
    from des_admin.runner_session import logging_as_configured, waiting_files, watching
    from watermark_orchestrator.runner import RunnerOptions, run_cycles

    total = waiting_files(context) if mode is Mode.SINGLE else None
    with logging_as_configured(context), watching(context, "packing", total) as progress:
        report = run_cycles(
            context.settings,
            RunnerOptions(mode is Mode.CONTINUOUS, interval_s, context.actor),
            say=context.say,
            on_report=lambda report: show_report(context, report),
            progress=progress,
        )
    if report.has_new_exceptions:
        context.say("next: des-admin exceptions list")
        context.finish(ExitCode(context.settings.migration.new_exceptions_exit_code))


def show_report(context: Context, report: CycleReport) -> None:
    """What a cycle did."""
    names = (
        *("window", "watermark", "slices", "shards", "files_in", "files_out", "files_present"),
        *("files_failed", "bytes_in", "bytes_out", "retried", "worker", "packed_until"),
    )
    payload = {name: getattr(report, name) for name in names}
    payload["duration_seconds"] = report.duration_s
    context.emit("run", payload, lambda out: print_facts(out, report_facts(report)))


def plan_facts(plan: CyclePlan) -> list[tuple[str, object]]:
    """The plan in words."""
    window = plan.window
    facts: list[tuple[str, object]] = [
        ("window", f"after {utc(window.start)}, up to {utc(window.end)}"),
        ("lag", numbered(plan.lag_days, "day")),
        ("slices", count(plan.slices)),
        ("files", f"{count(plan.pending.files)}, {size(plan.pending.size_bytes)}"),
    ]
    if plan.share is not None:
        total = plan.share.workers_total
        facts.append(("worker", f"{plan.share}; packs about one in {count(total)} of these files"))
    if plan.filtering is not None:
        facts.append(("reads", plan.filtering.describe()))
    if plan.held_back_by is not None:
        facts.append(("held back", f"by a transaction open since {utc(plan.held_back_by)}"))
    if plan.hidden_sessions:
        hidden = numbered(plan.hidden_sessions, "session")
        words = f"hidden from this user: {hidden} (grant pg_read_all_stats or PROCESS)"
        facts.append(("caution", words))
    return facts


def report_facts(report: CycleReport) -> list[tuple[str, object]]:
    """The report in words."""
    rate = round(report.files_out / report.duration_s) if report.duration_s > 0 else 0
    facts: list[tuple[str, object]] = [
        ("watermark", utc(report.watermark)),
        ("packed", f"{numbered(report.files_out, 'file')} in {numbered(report.slices, 'slice')}"),
        (
            "shards",
            f"{count(report.shards)}, {size(report.bytes_out)} for {size(report.bytes_in)}",
        ),
        ("took", f"{duration(report.duration_s)}, {count(rate)} files/s"),
    ]
    if report.worker is not None:
        facts.append(("worker", f"{report.worker}, packed until {utc(report.packed_until)}"))
    if report.files_present:
        facts.append(("present", f"{count(report.files_present)} of them were packed before"))
    if report.files_failed:
        facts.append(("exceptions", f"{count(report.files_failed)} new"))
    retried = report.retried
    if retried.tried:
        words = f"{count(retried.packed)} packed, {count(retried.failed)} failed again"
        facts.append(("retried", f"{numbered(retried.tried, 'exception')}: {words}"))
    return facts
