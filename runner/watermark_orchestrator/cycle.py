"""A cycle: everything in `(archived_until, target]`, slice by slice, then late rows and exceptions.

The target is computed once, under the lock; each slice is committed on its own. Whatever stops a
cycle, the next one reads the watermark and goes on from there: a slice that was not committed is
packed again, and finds the shards that are already there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from des_core.database_source import WindowStats
from des_core.errors import DatabaseUnreachable, ExitCode, Refused
from des_core.ledger import slice_is_recorded
from des_core.logs import bind, get_logger
from des_core.metrics import NoMetrics, RunnerMetrics, observe_cycle
from des_core.timestamps import format_utc
from des_core.watermark import Watermark, compute_target, read_watermark
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.commit import commit_window
from watermark_orchestrator.deletion_pass import DeletionLimits, DeletionReport
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink, ignore_progress
from watermark_orchestrator.rechecking import recheck
from watermark_orchestrator.retrying import RetryReport, Selection, retry_exceptions
from watermark_orchestrator.run import Run, open_run
from watermark_orchestrator.slice_packing import PackedSlice, pack_rows
from watermark_orchestrator.slices import Window, cut, slice_before
from watermark_orchestrator.source_deletion import delete_sources
from watermark_orchestrator.stopping import StopRequest

log = get_logger("cycle")


@dataclass(frozen=True, slots=True)
class CyclePlan:
    """What a cycle would do now. `pending` is counted by the index on created_at.

    `held_back_by` is the start of the open transaction that keeps the target back, if one does;
    `hidden_sessions` says how many sessions this user may not look into.
    """

    window: Window
    lag_days: int
    slices: int
    pending: WindowStats
    held_back_by: datetime | None
    hidden_sessions: int


@dataclass(slots=True)
class CycleReport:
    """What a cycle did. Files and bytes count committed slices only.

    `late` rows were found below the watermark; they are among those that were then tried again.
    `unsure` is a slice whose commit was cut off before the database answered; the next try looks
    it up in the ledger.
    """

    window: Window | None = None
    watermark: datetime | None = None
    slices: int = 0
    shards: int = 0
    files_in: int = 0
    files_out: int = 0
    files_present: int = 0
    files_failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    duration_s: float = 0.0
    late: int = 0
    retried: RetryReport = field(default_factory=RetryReport)
    deleted: DeletionReport = field(default_factory=DeletionReport)
    unsure: PackedSlice | None = None

    @property
    def has_new_exceptions(self) -> bool:
        """Whether the run ends with exit code 3."""
        return self.files_failed > 0

    def add(self, packed: PackedSlice) -> None:
        """Count a slice, after it was committed."""
        record = packed.record
        self.slices += 1
        self.shards += len(packed.shards)
        self.files_in += record.files_in
        self.files_out += record.files_out
        self.files_present += record.files_present
        self.files_failed += record.files_failed
        self.bytes_in += record.bytes_in
        self.bytes_out += record.bytes_out
        self.watermark = record.window_end


def current_target(archive: Archive, watermark: Watermark) -> tuple[datetime, CyclePlan]:
    """The target now, with what decided it; the plan's counts are left empty."""
    clock = archive.source.clock()
    _refuse_future(watermark, clock.now)
    unhindered = compute_target(clock.now, watermark.lag_days)
    target = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
    plan = CyclePlan(
        window=Window(watermark.archived_until, max(target, watermark.archived_until)),
        lag_days=watermark.lag_days,
        slices=0,
        pending=WindowStats(0, None, None, None),
        held_back_by=clock.oldest_transaction if target < unhindered else None,
        hidden_sessions=clock.hidden_sessions,
    )
    return target, plan


def _refuse_future(watermark: Watermark, now: datetime) -> None:
    if watermark.archived_until > now:
        raise Refused(
            "the watermark lies in the future: files that are yet to come would count as archived",
            hint="set it back to where packing ended: des-admin watermark history",
            watermark=format_utc(watermark.archived_until),
            now=format_utc(now),
        )


def plan_cycle(archive: Archive) -> CyclePlan:
    """What a cycle would do now; changes nothing."""
    with archive.config.read() as connection:
        watermark = read_watermark(connection, archive.config.dialect)
    _, plan = current_target(archive, watermark)
    pending = archive.source.stats(plan.window.start, plan.window.end)
    slices = _slices(archive, plan.window)
    return replace(plan, pending=pending, slices=sum(1 for _ in slices))


def run_cycle(
    archive: Archive,
    *,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
    metrics: RunnerMetrics | None = None,
    report: CycleReport | None = None,
) -> CycleReport:
    """Pack the window and the exceptions that are due; the report of what was committed.

    LockHeld where somebody else is at work; FenceLost where somebody else moved the watermark
    meanwhile; Interrupted or Terminated after a stop. All of them leave whole slices only.
    A `report` from a try that lost its connection is continued.
    """
    began = time.monotonic()
    report = report or CycleReport()
    metrics = metrics or NoMetrics()
    with (
        observe_cycle(metrics) as observed,
        open_run(archive, stop or StopRequest(), progress, "run", metrics) as (run, found),
    ):
        watermark = found
        _settle_unsure(archive, report)
        target, plan = current_target(archive, watermark)
        report.window = report.window or plan.window
        report.watermark = watermark.archived_until
        metrics.cycle_started(
            watermark=watermark.archived_until, target=target, lag_days=watermark.lag_days
        )
        for window in _slices(archive, plan.window):
            run.stop.check()
            watermark = _pack_slice(run, window, watermark, report)
        report.late += recheck(run, watermark).late
        report.retried.add(retry_exceptions(run, watermark, Selection(only_due=True)))
        if archive.policy.delete_source_files:
            report.deleted.add(delete_sources(run, watermark, DeletionLimits()))
        observed.code = ExitCode.NEW_EXCEPTIONS if report.has_new_exceptions else ExitCode.DONE
    report.duration_s += time.monotonic() - began
    return report


def retry_now(
    archive: Archive,
    selection: Selection,
    *,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
) -> RetryReport:
    """Try the selected exceptions again, due or not."""
    with open_run(archive, stop or StopRequest(), progress, "exceptions retry") as (run, watermark):
        return retry_exceptions(run, watermark, selection)


def _pack_slice(run: Run, window: Window, watermark: Watermark, report: CycleReport) -> Watermark:
    with bind(slice=str(window)):
        return _pack_and_commit(run, window, watermark, report)


def _pack_and_commit(
    run: Run, window: Window, watermark: Watermark, report: CycleReport
) -> Watermark:
    run.progress(ProgressEvent("slice_started", window))
    pages = run.archive.source.rows(window.start, window.end)
    packed = pack_rows(run, "window", window, pages, started_at=datetime.now(UTC))
    try:
        moved = commit_window(run, watermark, packed)
    except DatabaseUnreachable:
        report.unsure = packed
        raise
    report.add(packed)
    run.metrics.slice_committed(
        packed.record,
        shards=len(packed.shards),
        watermark=moved.archived_until,
        target=report.window.end if report.window else moved.archived_until,
    )
    record = packed.record
    log.info("slice_committed", files=record.files_out, failed=record.files_failed)
    run.progress(ProgressEvent("slice_committed", window, packed.record.files_out))
    return moved


def _settle_unsure(archive: Archive, report: CycleReport) -> None:
    """Ask the ledger about the slice whose commit got no answer; never assume."""
    if report.unsure is not None and slice_is_recorded(archive.config, report.unsure.record):
        report.add(report.unsure)
    report.unsure = None


def _slices(archive: Archive, window: Window) -> Iterator[Window]:
    """The slices of a window; what holds no row is one slice, however long it is."""
    start = window.start
    while start < window.end:
        rest = Window(start, window.end)
        first = archive.source.first_created_at(start, window.end)
        if first is None:
            yield rest
            return
        empty_until = slice_before(first, rest, archive.policy.slice_kind)
        if empty_until > start:
            yield Window(start, empty_until)
            start = empty_until
        packed = next(cut(Window(start, window.end), archive.policy.slice_kind))
        yield packed
        start = packed.end
