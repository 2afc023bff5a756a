"""A cycle: everything in `(archived_until, target]`, slice by slice, then late rows and exceptions.

The target is computed once, under the lock; each slice is committed on its own. Whatever stops a
cycle, the next one reads the watermark and goes on from there: a slice that was not committed is
packed again, and finds the shards that are already there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from des_core.basics.errors import DatabaseUnreachable, ExitCode, Refused
from des_core.basics.timestamps import format_utc
from des_core.database.routing_sql import Filtering
from des_core.ledger.slices import slice_is_recorded
from des_core.ledger.watermark import compute_target, read_watermark
from des_core.ledger.workers import read_position
from des_core.metrics import RunnerMetrics, observe_cycle
from des_core.packing.row_spool import RowSpool
from des_core.process.logs import bind, get_logger
from des_core.progress.surroundings import judge_rows
from des_core.rows.reader import WindowStats
from des_core.rows.share import Share
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.commit import commit_window
from watermark_orchestrator.deletion_pass import DeletionLimits, DeletionReport
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink, ignore_progress
from watermark_orchestrator.rechecking import recheck
from watermark_orchestrator.retrying import RetryReport, Selection, retry_exceptions
from watermark_orchestrator.run import Run, keep_trail_head, open_run, open_writer
from watermark_orchestrator.slice_packing import PackedSlice, pack_slice
from watermark_orchestrator.slice_rows import slices_with_rows
from watermark_orchestrator.slices import Window, cut, slice_before
from watermark_orchestrator.source_deletion import delete_sources
from watermark_orchestrator.stopping import StopRequest
from watermark_orchestrator.writers import SoleWriter, Writer

log = get_logger("cycle")


@dataclass(frozen=True, slots=True)
class CyclePlan:
    """What a cycle would do now. `pending` is counted by the index on created_at.

    `held_back_by` is the start of the open transaction that keeps the target back, if one does;
    `hidden_sessions` says how many sessions this user may not look into. A sharded worker reads the
    window and packs its `share` of it; `filtering` says who leaves out the other rows.
    """

    window: Window
    lag_days: int
    slices: int
    pending: WindowStats
    held_back_by: datetime | None
    hidden_sessions: int
    share: Share | None
    filtering: Filtering | None


@dataclass(slots=True)
class CycleReport:
    """What a cycle did. Files and bytes count committed slices only.

    `late` rows were found below the watermark; they are among those that were then tried again.
    `worker` is which sharded worker it was, as `2/4`, and `packed_until` how far its own share is
    packed: the watermark is where all workers have come. `unsure` is a slice whose commit was cut
    off before the database answered; the next try looks it up in the ledger.
    """

    window: Window | None = None
    watermark: datetime | None = None
    packed_until: datetime | None = None
    worker: str | None = None
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

    def see(self, writer: Writer) -> None:
        """Note where the writer and the watermark are."""
        self.watermark, self.packed_until = writer.watermark, writer.packed_until
        self.worker = None if writer.share is None else str(writer.share)


@dataclass(frozen=True, slots=True)
class Target:
    """Where packing ends now, and what decided it, as in `CyclePlan`."""

    at: datetime
    window: Window
    held_back_by: datetime | None
    hidden_sessions: int


def current_target(archive: Archive, packed_until: datetime, lag_days: int) -> Target:
    """By the clock of the source; a watermark or a target in the future is Refused."""
    clock = archive.source.clock()
    _refuse_future(packed_until, clock.now)
    unhindered = compute_target(clock.now, lag_days)
    _refuse_ahead(unhindered, clock.now)
    target = compute_target(clock.now, lag_days, clock.oldest_transaction)
    return Target(
        at=target,
        window=Window(packed_until, max(target, packed_until)),
        held_back_by=clock.oldest_transaction if target < unhindered else None,
        hidden_sessions=clock.hidden_sessions,
    )


def _refuse_future(packed_until: datetime, now: datetime) -> None:
    if packed_until > now:
        raise Refused(
            "the watermark lies in the future: files that are yet to come would count as archived",
            hint="set it back to where packing ended: des-admin watermark history",
            watermark=format_utc(packed_until),
            now=format_utc(now),
        )


def _refuse_ahead(target: datetime, now: datetime) -> None:
    """A server whose clock is days ahead would let the watermark pass files yet to come."""
    here = datetime.now(UTC)
    if target > here:
        raise Refused(
            "the source's clock is ahead of this machine's, and the target would lie in the "
            "future: files that are yet to come would count as archived",
            hint="set the clock that is wrong: des-admin doctor, date -u",
            target=format_utc(target),
            source=format_utc(now),
            here=format_utc(here),
        )


def _refuse_older_table(archive: Archive, archived_until: datetime) -> None:
    """A window that holds no row closes: not while rows are gone that once were there.

    An older copy is being restored, or this user may not see them; once they are back they would
    lie below the watermark, in no shard.
    """
    found = judge_rows(archive.config, archive.source, archived_until)
    if found is not None:
        raise Refused(
            f"{found.text}; a window would close without what is yet to come back",
            hint=f"{found.hint}; if they were deleted on purpose, the same with --accept-gone "
            "--reason 'why'",
        )


def plan_cycle(archive: Archive) -> CyclePlan:
    """What a cycle would do now; changes nothing."""
    with archive.config.read() as tx:
        watermark = read_watermark(tx)
    archive.require_as_begun(may_lack_output=True)
    _refuse_older_table(archive, watermark.archived_until)
    share = archive.share
    packed_until = (
        watermark.archived_until if share is None else read_position(archive.config, share)
    )
    target = current_target(archive, packed_until, watermark.lag_days)
    window = target.window
    return CyclePlan(
        window=window,
        lag_days=watermark.lag_days,
        slices=sum(1 for _ in _slices(archive, window)),
        pending=archive.source.stats(window.start, window.end),
        held_back_by=target.held_back_by,
        hidden_sessions=target.hidden_sessions,
        share=share,
        filtering=None if share is None else archive.source.filtering,
    )


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
    metrics = metrics or RunnerMetrics()
    with (
        observe_cycle(metrics) as observed,
        open_writer(
            archive, stop or StopRequest(), progress, "run", metrics, share=archive.share
        ) as (run, found),
    ):
        writer = found
        _settle_unsure(archive, report)
        _refuse_older_table(archive, writer.watermark)
        target = current_target(archive, writer.packed_until, writer.lag_days)
        report.window = report.window or target.window
        report.see(writer)
        metrics.cycle_started(
            watermark=writer.watermark, target=target.at, lag_days=writer.lag_days
        )
        windows = _slices(archive, target.window)
        with closing(slices_with_rows(run, windows, writer.share)) as slices:
            for window, rows in slices:
                run.stop.check()
                writer = _pack_slice(run, window, rows, writer, report)
        report.late += recheck(run, writer).late
        report.retried.add(retry_exceptions(run, writer, Selection(only_due=True)))
        if archive.policy.delete_source_files and isinstance(writer, SoleWriter):
            report.deleted.add(delete_sources(run, writer.state, DeletionLimits()))
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
        return retry_exceptions(run, SoleWriter(watermark), selection)


def _pack_slice(
    run: Run, window: Window, rows: RowSpool, writer: Writer, report: CycleReport
) -> Writer:
    with bind(slice=str(window)):
        return _pack_and_commit(run, window, rows, writer, report)


def _pack_and_commit(
    run: Run, window: Window, rows: RowSpool, writer: Writer, report: CycleReport
) -> Writer:
    run.progress(ProgressEvent("slice_started", window))
    began = datetime.now(UTC)
    packed = pack_slice(run, "window", window, rows, started_at=began, share=writer.share)
    try:
        after = commit_window(run, writer, packed)
    except DatabaseUnreachable:
        report.unsure = packed
        raise
    report.add(packed)
    report.see(after)
    keep_trail_head(run.archive)
    run.metrics.slice_committed(
        packed.record,
        shards=len(packed.shards),
        watermark=after.watermark,
        target=report.window.end if report.window else after.watermark,
    )
    record = packed.record
    log.info("slice_committed", files=record.files_out, failed=record.files_failed)
    run.progress(ProgressEvent("slice_committed", window, packed.record.files_out))
    return after


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
