"""Exceptions are tried again: what can be packed now becomes a new part of its day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from des_core.basics.batches import batched
from des_core.basics.timestamps import from_us, to_us
from des_core.ledger.exceptions import (
    FIRST_RETRY_AFTER,
    SKIPPED,
    OpenException,
    is_named,
    iterate_open,
)
from des_core.records import FileFailure, Reason, SourceRow
from des_core.rows.share import Share
from watermark_orchestrator.commit import commit_retry
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.slice_packing import pack_rows
from watermark_orchestrator.slices import Window
from watermark_orchestrator.writers import Writer

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run

# How many exceptions are tried, and committed, at a time: bounds memory and lost work.
BATCH_SIZE = 20_000
# A second row with a uid that is already packed cannot be told from the first by its uid alone:
# somebody has to give it another one.
NEEDS_A_PERSON = frozenset({"duplicate_uid"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which open exceptions are meant. None means any; `only_due` respects the back-off."""

    reasons: frozenset[str] | None = None
    uids: frozenset[str] | None = None
    only_due: bool = False

    def includes(self, item: OpenException, now: datetime) -> bool:
        """Whether to try this exception again. One above the watermark is packed already."""
        if item.archived or item.reason in NEEDS_A_PERSON:
            return False
        if self.only_due and item.reason == SKIPPED:
            return False  # an operator left it out on purpose: only a named retry packs it
        if self.only_due and item.next_attempt is not None and item.next_attempt > now:
            return False
        if self.reasons is not None and item.reason not in self.reasons:
            return False
        return self.uids is None or is_named(item.uid, self.uids)


@dataclass(slots=True)
class RetryReport:
    """What came of the second tries."""

    tried: int = 0
    packed: int = 0
    failed: int = 0
    gone: int = 0
    bytes_in: int = 0

    def add(self, other: RetryReport) -> None:
        """Count what another try did."""
        self.tried += other.tried
        self.packed += other.packed
        self.failed += other.failed
        self.gone += other.gone
        self.bytes_in += other.bytes_in


def retry_exceptions(run: Run, writer: Writer, selection: Selection) -> RetryReport:
    """Try the selected exceptions again, a batch and a transaction at a time.

    A sharded worker tries those of its own buckets.
    """
    report = RetryReport()
    now = datetime.now(UTC)
    due = _selected(run, writer.share, selection, now)
    for batch in batched(due, BATCH_SIZE):
        run.stop.check()
        _retry_batch(run, writer, batch, report)
    return report


def _selected(
    run: Run, share: Share | None, selection: Selection, now: datetime
) -> Iterator[OpenException]:
    for page in iterate_open(run.archive.config):
        for item in page:
            if selection.includes(item, now) and (share is None or share.owns_uid(item.uid)):
                yield item


def _retry_batch(run: Run, writer: Writer, batch: list[OpenException], report: RetryReport) -> None:
    started_at = datetime.now(UTC)
    keys = [(item.uid, item.created_at) for item in batch]
    found = list(run.archive.source.lookup(keys))
    rows = [row for row in found if row is not None]
    lost = [item for item, row in zip(batch, found, strict=True) if row is None]
    gone = [item for item in lost if _is_gone(run, item, started_at)]
    missed = [_missed(item) for item in lost if item not in gone]
    moments = [created_at for _, created_at in keys]
    window = Window(min(moments) - timedelta(microseconds=1), max(moments))
    run.progress(ProgressEvent("retry_started", window, files_total=len(rows)))
    packed = pack_rows(run, "exceptions", window, rows, started_at=started_at, share=writer.share)
    failed = {(failure.uid, failure.created_us) for failure in packed.failures}
    resolved = [_key(row) for row in rows if (row.uid, row.created_us) not in failed]
    attempts = {(item.uid, item.created_at): item.attempts for item in batch}
    commit_retry(
        run,
        writer,
        packed,
        resolved=resolved,
        gone=[(item.uid, item.created_at) for item in gone],
        missed=missed,
        attempts=attempts,
    )
    run.metrics.slice_committed(
        packed.record,
        shards=len(packed.shards),
        watermark=writer.watermark,
        target=writer.watermark,
    )
    report.tried += len(batch)
    report.packed += len(resolved)
    report.failed += len(packed.failures) + len(missed)
    report.gone += len(gone)
    report.bytes_in += packed.record.bytes_in


def _is_gone(run: Run, item: OpenException, now: datetime) -> bool:
    """Whether the row of this exception is proved to be gone.

    A row that was not found may be hidden for a moment: by an open transaction, a replica that
    lags, a restore under way. So it must have been missed before, some time ago, and the table
    must say by other means that it is not there.
    """
    if item.reason != Reason.ROW_GONE or now - item.last_seen < FIRST_RETRY_AFTER:
        return False
    return run.archive.source.is_gone(item.uid, item.created_at)


def _missed(item: OpenException) -> FileFailure:
    error = "no row of files has this uid and this created_at; it is looked for again"
    return FileFailure(item.uid, to_us(item.created_at), item.location, Reason.ROW_GONE, error)


def _key(row: SourceRow) -> tuple[str, datetime]:
    return row.uid, from_us(row.created_us)
