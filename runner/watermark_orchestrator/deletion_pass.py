"""One pass over the shards whose sources are due: what may go, compared and removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from des_core.basics.errors import DamagedShard, Refused, StorageError
from des_core.basics.timestamps import US_PER_DAY, from_us
from des_core.ledger.exceptions import uid_digest
from des_core.ledger.slices import KnownShard, known_shard
from des_core.ledger.watermark import Watermark
from des_core.packing.row_spool import RowSpool, decode_rows
from des_core.packing.tasks import ShardTask
from des_core.process.logs import get_logger
from des_core.records import SourceRow
from des_core.shard_io import ShardReader, open_shard, verify_shard
from des_core.sources.needed import NeededFiles
from des_core.sources.removal import Kept, KeptSourceError, SourceRemover
from des_core.storage.companions import companions_of
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink
from watermark_orchestrator.stopping import StopRequest
from watermark_orchestrator.unproved_rows import unproved_locations

log = get_logger("deletion")

PAGE_SIZE = 1000
# So many sources gone one after another look like a disk that is not mounted.
GONE_LIMIT = 1000
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What waits: shards older than the grace period, what they hold, and what limits the job."""

    shards: int
    files: int
    content_bytes: int
    finished_before: datetime
    before_day: date

    @property
    def bounds(self) -> dict[str, Any]:
        """What the statements on due shards bind."""
        return {"finished_before": self.finished_before, "before_day": self.before_day}


@dataclass(slots=True)
class DeletionReport:
    """What came of it. `gone` had no source any more; `kept` are the others that stay, by why."""

    shards: int = 0
    files: int = 0
    size_bytes: int = 0
    gone: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)
    is_complete: bool = True

    def add(self, other: DeletionReport) -> None:
        self.shards += other.shards
        self.files += other.files
        self.size_bytes += other.size_bytes
        self.gone += other.gone
        self.kept += other.kept
        self.damaged += other.damaged


@dataclass(frozen=True, slots=True)
class DeletionLimits:
    """When to stop, and whether sources that are gone already are a reason to."""

    max_duration_s: float | None = None
    accept_gone: bool = False

    def is_over(self, elapsed_s: float) -> bool:
        return self.max_duration_s is not None and elapsed_s > self.max_duration_s


def find_due(archive: Archive, watermark: Watermark) -> DeletionPlan:
    """Shards old enough, of days that lie wholly below the watermark."""
    grace = timedelta(days=archive.policy.grace_days)
    finished_before = datetime.now(UTC) - grace
    before_day = (watermark.archived_until + _TICK).astimezone(UTC).date()
    bounds = {"finished_before": finished_before, "before_day": before_day}
    with archive.config.read() as tx:
        row = tx.run("shard_deletable_count", bounds).one()
    return DeletionPlan(
        shards=int(row.shards),
        files=int(row.files),
        content_bytes=int(row.content_bytes),
        finished_before=finished_before,
        before_day=before_day,
    )


class DeletionPass:
    """One pass over the shards that are due, day by day.

    `require_lock` raises where the lock is somebody else's by now; it is asked before each file.
    """

    def __init__(
        self,
        archive: Archive,
        watermark: Watermark,
        stop: StopRequest,
        progress: ProgressSink,
        *,
        dry_run: bool = False,
        require_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self.archive, self.watermark = archive, watermark
        self.require_lock = require_lock
        self.stop, self.progress = stop, progress
        self.plan = find_due(archive, watermark)
        packer = archive.packer_config
        self.remover = SourceRemover(
            packer.source_roots, own=packer.own_places, dry_run=dry_run, check=stop.check
        )
        self.needed = NeededFiles()
        self.gone_in_a_row = 0

    def work(
        self, limits: DeletionLimits, record: Callable[[KnownShard, DeletionReport], None]
    ) -> DeletionReport:
        report = DeletionReport()
        if self.plan.shards:
            with closing(self.remover):
                self._work(report, limits, record)
        return report

    def _work(
        self,
        report: DeletionReport,
        limits: DeletionLimits,
        record: Callable[[KnownShard, DeletionReport], None],
    ) -> None:
        began = time.monotonic()
        due = {shard.record.day for shard in self._due_shards()}
        for locations in unproved_locations(self.archive, self.watermark, due, self.stop):
            self.needed.add(locations)
        if self.needed.undecided is not None:
            log.warning("sources_undecided", location=self.needed.undecided)
        for shard, task in self._shards_with_rows():
            self.stop.check()
            if limits.is_over(time.monotonic() - began):
                report.is_complete = False
                return
            done = self._delete_shard(shard, task, limits)
            if not done.damaged:
                record(shard, done)
            report.add(done)
            self.progress(
                ProgressEvent("sources_deleted", files=report.files, bytes=report.size_bytes)
            )

    def _shards_with_rows(self) -> Iterator[tuple[KnownShard, ShardTask | None]]:
        for day, shards in groupby(self._due_shards(), key=lambda shard: shard.record.day):
            by_bucket: dict[int, list[KnownShard]] = {}
            for shard in shards:
                by_bucket.setdefault(shard.record.bucket, []).append(shard)
            yield from self._of_day(day, by_bucket)

    def _of_day(
        self, day: date, by_bucket: dict[int, list[KnownShard]]
    ) -> Iterator[tuple[KnownShard, ShardTask | None]]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - _TICK
        end = min(start + timedelta(days=1), self.watermark.archived_until)
        config = self.archive.packer_config
        with RowSpool(config.n_bits, self.archive.storage.scratch_dir) as spool:
            for page in self.archive.source.rows(start, end):
                self.stop.check()
                spool.add(page)
            for task in spool.tasks():
                for shard in by_bucket.pop(task.bucket, ()):
                    yield shard, task
        for shards in by_bucket.values():
            for shard in shards:
                yield shard, None

    def _due_shards(self) -> Iterator[KnownShard]:
        values = self.plan.bounds | {"after_name": "", "page_size": PAGE_SIZE}
        for rows in self.archive.config.pages("shard_deletable", values, after_name="name"):
            yield from map(known_shard, rows)

    def _delete_shard(
        self, shard: KnownShard, task: ShardTask | None, limits: DeletionLimits
    ) -> DeletionReport:
        done = DeletionReport(shards=1)
        rows = [] if task is None else decode_rows(task.rows)
        try:
            with self._open_checked(shard) as reader:
                self._delete_rows(reader, rows, done, limits)
        except (DamagedShard, StorageError):
            if self._is_readable(shard):
                raise
            return DeletionReport(shards=1, damaged=[shard.record.name])
        self.remover.settle()
        return done

    def _is_readable(self, shard: KnownShard) -> bool:
        """Whether the shard itself is sound, so that the fault lies elsewhere."""
        try:
            with self._open_checked(shard):
                return True
        except (DamagedShard, StorageError):
            return False

    def _open_checked(self, shard: KnownShard) -> ShardReader:
        """A reader of the shard, after all of it was read and compared with the ledger."""
        storage = self.archive.storage
        try:
            reader = open_shard(storage.open(shard.record.name), companions_of(storage))
        except FileNotFoundError as exc:
            raise DamagedShard("a shard is missing", shard=shard.record.name) from exc
        try:
            _require_as_recorded(reader, shard)
        except BaseException:
            reader.close()
            raise
        return reader

    def _delete_rows(
        self,
        reader: ShardReader,
        rows: list[SourceRow],
        done: DeletionReport,
        limits: DeletionLimits,
    ) -> None:
        found = reader.find_many({row.uid for row in rows})
        exceptions = self._open_exceptions(rows) if found else set()
        for row in rows:
            entry = found.get(row.uid)
            if entry is None:
                continue
            self.stop.check()
            self.require_lock()
            if uid_digest(row.uid) in exceptions:
                done.kept[Kept.EXCEPTION] += 1
            elif self.needed.undecided is not None:
                done.kept[Kept.UNDECIDED] += 1
            else:
                self._delete_one(row, entry.size, reader.stream(entry), done)
                self._refuse_unmounted(limits)

    def _delete_one(
        self, row: SourceRow, size: int, content: Iterator[bytes], done: DeletionReport
    ) -> None:
        try:
            was_there = self.remover.remove(row.location, content, self.needed.needs)
        except KeptSourceError as exc:
            done.kept[exc.reason] += 1
            return
        if was_there:
            self.gone_in_a_row = 0
            done.files += 1
            done.size_bytes += size
        else:
            self.gone_in_a_row += 1
            done.gone += 1

    def _refuse_unmounted(self, limits: DeletionLimits) -> None:
        if self.gone_in_a_row >= GONE_LIMIT and not limits.accept_gone:
            raise Refused(
                f"{self.gone_in_a_row} sources one after another are gone already",
                hint="is their disk mounted? If they were deleted by other means: --accept-gone",
            )

    def _open_exceptions(self, rows: list[SourceRow]) -> set[str]:
        day_us = rows[0].created_us // US_PER_DAY * US_PER_DAY
        config = self.archive.config
        values = {
            "start_at": from_us(day_us - 1),
            "end_at": from_us(day_us + US_PER_DAY - 1),
        }
        with config.read() as tx:
            return {row.uid_sha256 for row in tx.run("exception_digests_of_range", values)}


def _require_as_recorded(reader: ShardReader, shard: KnownShard) -> None:
    if verify_shard(reader).sha256 != shard.record.sha256:
        raise DamagedShard("not what the ledger says", shard=shard.record.name)
