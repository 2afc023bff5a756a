"""Deleting sources: a job of its own, long after packing, file by file against the shard.

Order of execution, which is the safety argument:

1. Only shards of committed slices that are older than the grace period, and of days that lie
   wholly below the watermark. The lock is held, so nothing of this changes meanwhile.
2. The shard is read whole and must be what the ledger says, to the last bit.
3. A row is considered if it is archived by the formula and found in that shard. A file that may be
   needed by any row of which no shard is known stays; see `unproved_rows` and `needed_files`.
4. The source is compared with the archive's copy, byte by byte, then unlinked; see
   `source_removal`.
5. The directories are synced; only then the shard is recorded as done, by compare-and-set on
   the watermark. A crash before that finds the removed sources gone, and goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime

from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.slices import KnownShard
from des_core.ledger.watermark import Watermark, confirm_watermark, read_watermark
from des_core.sources.removal import require_roots
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.deletion_pass import (
    DeletionLimits,
    DeletionPass,
    DeletionPlan,
    DeletionReport,
    find_due,
)
from watermark_orchestrator.progress_events import ProgressSink, ignore_progress
from watermark_orchestrator.run import Run, open_run
from watermark_orchestrator.stopping import StopRequest

# Shards that are recorded together, as one event of the audit trail.
SHARDS_PER_EVENT = 50


def plan_deletion(archive: Archive) -> DeletionPlan:
    """What `delete_sources` would look at now; ConfigError without roots, before it is asked."""
    require_roots(archive.packer_config.source_roots, archive.packer_config.own_places)
    with archive.config.read() as tx:
        watermark = read_watermark(tx)
    return find_due(archive, watermark)


def look_at_sources(
    archive: Archive, *, stop: StopRequest | None = None, progress: ProgressSink = ignore_progress
) -> DeletionReport:
    """Compare everything and delete nothing: what a deletion would come to."""
    stop = stop or StopRequest()
    with archive.config.read() as tx:
        watermark = read_watermark(tx)
    deletion = DeletionPass(archive, watermark, stop, progress, dry_run=True)
    return deletion.work(DeletionLimits(accept_gone=True), lambda _shard, _done: None)


def delete_now(
    archive: Archive,
    *,
    again: bool = False,
    limits: DeletionLimits | None = None,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
) -> DeletionReport:
    """Delete what is due. `again` also looks at shards that kept some of their sources."""
    stop = stop or StopRequest()
    with open_run(archive, stop, progress, "sources delete") as (run, watermark):
        if again:
            run.lock.write(lambda tx: tx.run("shard_sources_again"))
        return delete_sources(run, watermark, limits or DeletionLimits())


def delete_sources(run: Run, watermark: Watermark, limits: DeletionLimits) -> DeletionReport:
    """As a part of a run that holds the lock."""
    deletion = DeletionPass(
        run.archive, watermark, run.stop, run.progress, require_lock=run.lock.check
    )
    book = _Book(run, watermark)
    try:
        return deletion.work(limits, book.add)
    finally:
        book.close()


class _Book:
    """Records shards that are done, some at a time: in the ledger, and in the audit trail."""

    def __init__(self, run: Run, watermark: Watermark) -> None:
        self._run, self._watermark = run, watermark
        self._done: list[tuple[KnownShard, DeletionReport]] = []

    def add(self, shard: KnownShard, done: DeletionReport) -> None:
        self._done.append((shard, done))
        if len(self._done) >= SHARDS_PER_EVENT:
            self._write()

    def close(self) -> None:
        """Record the rest: what was removed is removed, whatever ended the pass."""
        if self._done:
            self._write()

    def _write(self) -> None:
        actor, now = self._run.archive.actor, datetime.now(UTC)
        done, self._done = self._done, []
        rows = [
            {"name": shard.record.name, "kept": report.kept.total(), "now": now}
            for shard, report in done
        ]

        def work(tx: Transaction) -> None:
            tx.run_many("shard_sources_deleted", rows)
            confirm_watermark(tx, expected=self._watermark, actor=actor, now=now)
            record_event(
                tx,
                action="sources_deleted",
                actor=actor,
                now=now,
                details=_details(self._run.run_id, done),
            )

        self._run.lock.write(work)


def _details(run_id: str, done: list[tuple[KnownShard, DeletionReport]]) -> dict[str, object]:
    total = DeletionReport()
    for _, report in done:
        total.add(report)
    return {
        "run_id": run_id,
        "shards": [shard.record.name for shard, _ in done],
        "files": total.files,
        "size_bytes": total.size_bytes,
        "gone": total.gone,
        "kept": dict(total.kept),
    }
