"""Late rows become exceptions: at the end of each cycle for the last days, or when asked for.

Order of execution, which is the safety argument:

1. the lock and the fence are ours, so no window is closed meanwhile;
2. the late rows of one day are found, reading only;
3. one transaction opens their exceptions, and sees by compare-and-set that we are still the writer:
   they are exceptions of the watermark that they were compared with, or nothing is written;
4. they are due at once: the retry that follows packs them as new parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from des_core.basics.errors import Refused
from des_core.basics.timestamps import floor_day
from des_core.basics.wording import numbered
from des_core.database.transaction import Transaction
from des_core.ledger.archive_identity import require_own_output
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import NewException, record_exceptions
from des_core.ledger.gone_rows import GONE, read_accepted
from des_core.ledger.jobs import Job, read_job, write_job
from des_core.ledger.provenance import read_provenance, refuse_future
from des_core.ledger.watermark import read_watermark
from des_core.ledger.workers import recheck_job
from des_core.locks.lock import Lock, hold_lock
from des_core.reading.reconcile import DayCount, Reconciler, Scope, find_scope
from des_core.records import SourceRow
from des_core.rows.share import Share
from des_core.storage.listing import ShardListing
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.progress_events import ProgressSink, ignore_progress
from watermark_orchestrator.run import Run, open_run
from watermark_orchestrator.slices import Window
from watermark_orchestrator.stopping import StopRequest
from watermark_orchestrator.writers import SoleWriter, Writer

LATE = "late"
JOB = "recheck"


@dataclass(frozen=True, slots=True)
class DayFinding:
    """A day whose counts differ. `late` rows are in no shard and no exception.

    `gone` rows were packed, or exceptions, and are in `files` no more; those that somebody has
    accepted as gone are left out.
    """

    count: DayCount
    late: int
    gone: int = 0


@dataclass(slots=True)
class RecheckReport:
    """What a comparison came to. `scope` is None where there was nothing to compare."""

    scope: Scope | None = None
    days: int = 0
    rows: int = 0
    late: int = 0
    gone: int = 0
    findings: list[DayFinding] = field(default_factory=list)

    def add(self, count: DayCount) -> None:
        self.days += 1
        self.rows += count.rows

    def add_finding(self, count: DayCount, late: int, gone: int = 0) -> None:
        self.late += late
        self.gone += gone
        self.findings.append(DayFinding(count, late, gone))


def reconciler_of(
    archive: Archive,
    stop: StopRequest,
    share: Share | None = None,
    listing: ShardListing | None = None,
) -> Reconciler:
    """Compares what this archive is made of. A run has a `listing` already."""
    archive.require_as_begun()
    return Reconciler(
        source=archive.source,
        config=archive.config,
        storage=archive.storage,
        listing=listing or archive.storage.listing(),
        n_bits=archive.packer_config.n_bits,
        check=stop.check,
        share=share,
    )


def look_for_late(
    archive: Archive,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every_day: bool = False,
    stop: StopRequest | None = None,
    on_day: Callable[[DayCount], None] = lambda _: None,
) -> RecheckReport:
    """Compare, and change nothing."""
    with archive.config.read() as tx:
        watermark = read_watermark(tx)
        found = read_provenance(tx, watermark)
    refuse_future(found, archive.source.clock().now)
    report = RecheckReport(
        find_scope(archive.config, watermark.archived_until, since=since, until=until)
    )
    require_own_output(archive.config, archive.storage)
    reconciler = reconciler_of(archive, stop or StopRequest())
    accepted = read_accepted(archive.config)
    for count in _suspicious(reconciler, report, every_day=every_day, on_day=on_day):
        late = sum(map(len, reconciler.find_late(count.scope))) if count.rows else 0
        gone = reconciler.count_gone(count, late) - accepted.get(_key(count), 0)
        report.add_finding(count, late, max(gone, 0))
    return report


def accept_gone(archive: Archive, report: RecheckReport, *, actor: str, reason: str) -> int:
    """Record that these rows were deleted on purpose: they are no news any more; how many."""
    now = datetime.now(UTC)
    with hold_lock(archive.config, "reconcile") as lock:
        accepted = read_accepted(archive.config)
        for finding in report.findings:
            day = _key(finding.count)
            accepted[day] = accepted.get(day, 0) + finding.gone
        job = Job(GONE, "done", None, sum(accepted.values()), None, accepted)

        def work(tx: Transaction) -> None:
            write_job(tx, job, now)
            record_event(
                tx,
                action="gone rows accepted",
                actor=actor,
                now=now,
                reason=reason,
                details={_key(f.count): f.gone for f in report.findings if f.gone},
            )

        lock.write(work)
    return report.gone


def record_late(
    archive: Archive,
    plan: RecheckReport,
    *,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
) -> int:
    """Open an exception for each late row of the days in which `look_for_late` found some.

    The days are compared again under the lock, since rows may have been packed or deleted
    meanwhile; how many exceptions were opened. The next retry packs them.
    """
    stop = stop or StopRequest()
    recorded = 0
    with open_run(archive, stop, progress, "reconcile") as (run, watermark):
        writer = SoleWriter(watermark)
        reconciler = reconciler_of(archive, stop, listing=run.listing)
        for finding in plan.findings:
            if finding.late and finding.count.scope.end <= writer.watermark:
                recorded += _record_day(run, writer, reconciler, finding.count)
    return recorded


def recheck(run: Run, writer: Writer) -> RecheckReport:
    """Compare the last `recheck_days` days, as a part of a cycle.

    A sharded worker looks for late rows of its own buckets: those of others may be packed by
    their owners at this moment. Where another worker held the watermark back for long, what this
    one packed ahead of it has waited for its comparison until now. A day that was compared row by
    row, and whose counts have not changed since, is not compared again: rows that were deleted
    after packing make them differ for ever.
    """
    archive, days = run.archive, run.archive.policy.recheck_days
    if days == 0:
        return RecheckReport()
    seen = _Seen(archive, writer.share)
    since = floor_day(writer.watermark) - timedelta(days=days, microseconds=1)
    if seen.compared_until is not None:
        since = min(since, seen.compared_until)
    scope = find_scope(archive.config, writer.watermark)
    scope = replace(scope, start=min(max(scope.start, since), scope.end))
    report = RecheckReport(scope)
    reconciler = reconciler_of(archive, run.stop, writer.share, run.listing)
    for count in _suspicious(reconciler, report):
        if seen.is_known(count) or not count.rows:
            continue
        late = _record_day(run, writer, reconciler, count)
        report.add_finding(count, late)
        if not late:
            seen.add(count)
    seen.save(run.lock, scope)
    return report


class _Seen:
    """Days that were compared row by row, with the counts that they had then; kept as a job.

    `compared_until` is where the watermark was at a sharded worker's last comparison.
    """

    def __init__(self, archive: Archive, share: Share | None) -> None:
        self._name = JOB if share is None else recheck_job(share)
        job = read_job(archive.config, self._name)
        self.compared_until = None if share is None or job is None else job.cursor
        self._is_shared = share is not None
        self._before: dict[str, list[int]] = dict(job.details) if job else {}
        self._days = dict(self._before)

    def is_known(self, count: DayCount) -> bool:
        return self._days.get(_key(count)) == _numbers(count)

    def add(self, count: DayCount) -> None:
        self._days[_key(count)] = _numbers(count)

    def save(self, lock: Lock, scope: Scope) -> None:
        """Keep what lies in the scope, so that the row never grows."""
        first = scope.start.date().isoformat()
        days = {day: numbers for day, numbers in self._days.items() if day >= first}
        cursor = scope.end if self._is_shared else None
        if days != self._before or cursor != self.compared_until:
            job = Job(self._name, "done", cursor, sum(n[0] for n in days.values()), None, days)
            lock.write(lambda tx: write_job(tx, job, datetime.now(UTC)))


def _key(count: DayCount) -> str:
    return count.scope.day.isoformat()


def _numbers(count: DayCount) -> list[int]:
    return [count.rows, count.packed, count.exceptions]


def _suspicious(
    reconciler: Reconciler,
    report: RecheckReport,
    *,
    every_day: bool = False,
    on_day: Callable[[DayCount], None] = lambda _: None,
) -> Iterator[DayCount]:
    """The days that must be compared row by row."""
    if report.scope is None:
        return
    for count in reconciler.count_days(report.scope):
        report.add(count)
        if not count.agrees or (count.rows and every_day):
            yield count
        on_day(count)


def _record_day(run: Run, writer: Writer, reconciler: Reconciler, count: DayCount) -> int:
    """Open exceptions for the late rows of a day, in one transaction; how many."""
    limit = run.archive.policy.max_captured
    late = list(islice(chain.from_iterable(reconciler.find_late(count.scope)), limit + 1))
    if len(late) > limit:
        raise Refused(
            f"a day has more than {numbered(limit, 'row')} that no shard and no exception knows",
            hint="is packer.output_dir the right one? If so many rows are late, pack the day "
            "again: des-admin watermark rewind; or raise migration.max_captured",
            day=count.scope.day,
            rows=count.rows,
            in_shards=count.packed,
        )
    if late:
        _commit(run, writer, Window(count.scope.start, count.scope.end), late)
    return len(late)


def _commit(run: Run, writer: Writer, window: Window, late: list[SourceRow]) -> None:
    actor, now = run.archive.actor, datetime.now(UTC)

    def work(tx: Transaction) -> None:
        writer.begin(tx)
        record_exceptions(tx, _exceptions(late), now=now)
        writer.confirm(tx, actor=actor, now=now)
        record_event(
            tx,
            action="late_rows_found",
            actor=actor,
            now=now,
            details={"run_id": run.run_id, "window": str(window), "files": len(late)},
        )

    run.lock.write(work)


def _exceptions(late: Iterable[SourceRow]) -> Iterator[NewException]:
    for row in late:
        yield NewException.of_pending(row, LATE, "it appeared below the watermark")
