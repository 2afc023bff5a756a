"""What the databases say about an archive, as metrics. A read costs what is new, not what is old.

From `files` it reads the oldest rows of the window, no more than `PENDING_LIMIT`, by the index on
created_at. Totals come from the ledger, of which only new rows are read.
"""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta

from des_core.basics.timestamps import floor_day
from des_core.database.connections import Database, open_database
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import NO_HASH, Head, read_head
from des_core.ledger.provenance import read_provenance
from des_core.ledger.watermark import Watermark, compute_target, read_watermark
from des_core.metrics.backup_events import BackupEvents
from des_core.metrics.definitions import cause_of
from des_core.metrics.journal import CycleJournal, read_journals
from des_core.metrics.ledger_totals import Totals, TotalsReader
from des_core.metrics.values import MetricValues
from des_core.metrics.worker_progress import read_workers
from des_core.progress.health import find_bad_ends, read_memory
from des_core.progress.surroundings import day_to_look_for, has_rows_since, judge_ledger
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings

PENDING_LIMIT = 10_000
EXCEPTION_LIMIT = 100_000
DAY = timedelta(days=1)


class ArchiveReader:
    """Reads again and again, and remembers what cannot change. Connects when it must."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._totals = TotalsReader()
        self._backups = BackupEvents()
        self._open: dict[str, Database] = {}
        self._reader: SourceReader | None = None
        self._packed_day: date | None = None

    def disconnect(self) -> None:
        """Close both databases; the next read opens them again, and looks at the table again."""
        self._reader = None
        while self._open:
            self._open.popitem()[1].close()

    @property
    def _config(self) -> Database:
        return self._database(self._settings.config_url)

    @property
    def _source(self) -> Database:
        return self._database(self._settings.source_url)

    def _database(self, url: str) -> Database:
        if url not in self._open:
            self._open[url] = open_database(url)
        return self._open[url]

    def read_config(self) -> tuple[MetricValues, Watermark]:
        """Watermark, ledger, exceptions, backups and workers, from one transaction."""
        values = MetricValues()
        with self._config.read() as tx:
            now = self._read_clock(tx, values)
            watermark = read_watermark(tx)
            values.set("des_watermark_lag_days", watermark.lag_days)
            values.set_moment("des_watermark_timestamp_seconds", watermark.archived_until)
            _set_totals(values, self._totals.read(tx, now=now))
            _set_exceptions(values, tx)
            values.update(read_workers(tx, self._settings.database.shards_total))
            workers = int(values.get("des_workers_expected") or 1)
            _set_cycles(values, read_journals(tx), workers)
            values.update(self._backups.read(tx, self._settings.backup))
            _set_memory(values, tx, watermark)
        values.set("des_ledger_emptied", judge_ledger(self._config) is not None)
        self._packed_day = day_to_look_for(self._config)
        return values, watermark

    def ask_source(self) -> None:
        """Have the source answer something; DesError where it does not."""
        with self._source.read() as tx:
            tx.run("source_now").scalar_one()

    def read_source(self, watermark: Watermark) -> MetricValues:
        """The target by the source's own clock, and what waits below it."""
        values = MetricValues()
        if self._reader is None:
            self._reader = SourceReader(self._source, self._settings.database)
        before = time.time()
        clock = self._reader.clock()
        offset_s = clock.now.timestamp() - (before + time.time()) / 2
        values.set("des_database_clock_offset_seconds", offset_s, "source")
        # Without the transaction that may hold the target back: it must not hide what waits for it.
        target = compute_target(clock.now, watermark.lag_days)
        held_back = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
        values.set_moment("des_watermark_target_timestamp_seconds", target)
        values.set("des_watermark_lag_seconds", _seconds(watermark, target))
        values.set("des_watermark_window_size_seconds", _seconds(watermark, held_back))
        self._read_pending(values, watermark, target)
        day = self._packed_day
        is_old = day is not None and not has_rows_since(self._reader, day, watermark.archived_until)
        values.set("des_table_older_than_archive", is_old)
        return values

    def _read_clock(self, tx: Transaction, values: MetricValues) -> datetime:
        before = time.time()
        now = from_stored(tx.run("source_now").scalar_one())
        offset_s = now.timestamp() - (before + time.time()) / 2
        values.set("des_database_clock_offset_seconds", offset_s, "config")
        return now

    def _read_pending(self, values: MetricValues, watermark: Watermark, target: datetime) -> None:
        files, oldest = 0, None
        reader = self._reader
        if reader is not None and watermark.archived_until < target:
            bounds = reader.schema.window(watermark.archived_until, target)
            bounds["row_limit"] = PENDING_LIMIT
            with self._source.read() as tx:
                row = tx.run(reader.catalog.get("metrics_pending"), bounds).one()
            files = int(row.files)
            oldest = None if row.oldest is None else reader.schema.from_db(row.oldest)
        values.set("des_migration_pending_files", files)
        values.set("des_migration_pending_files_limit", PENDING_LIMIT)
        due = None if oldest is None else due_since(oldest, watermark.lag_days)
        values.set_moment("des_migration_oldest_pending_timestamp_seconds", due)


def _seconds(watermark: Watermark, end: datetime) -> float:
    return max((end - watermark.archived_until).total_seconds(), 0.0)


def due_since(created_at: datetime, lag_days: int) -> datetime:
    """When a file came into the window: the midnight at or after it, and `lag_days` more."""
    midnight = floor_day(created_at)
    return (midnight if midnight == created_at else midnight + DAY) + lag_days * DAY


def _set_totals(values: MetricValues, totals: Totals) -> None:
    values.set("des_migration_slices_total", totals.slices)
    values.set("des_migration_shards_total", totals.shards)
    values.set("des_migration_files_total", totals.files)
    values.set("des_migration_files_failed_total", totals.files_failed)
    values.set("des_migration_bytes_total", totals.bytes_in)
    values.set("des_migration_shard_bytes_total", totals.bytes_out)
    values.set_moment("des_migration_last_progress_timestamp_seconds", totals.last_progress)


def _set_exceptions(values: MetricValues, tx: Transaction) -> None:
    values.zero("des_archive_exceptions_open")
    for row in tx.run("metrics_exceptions", {"row_limit": EXCEPTION_LIMIT}):
        values.add("des_archive_exceptions_open", int(row.files), cause_of(row.reason))


def _set_memory(values: MetricValues, tx: Transaction, watermark: Watermark) -> None:
    """What the screens put on top: damage, a watermark that SQL moved, jobs that ended badly."""
    found = read_provenance(tx, watermark)
    values.set("des_watermark_explained", found.is_explained)
    _set_head(values, read_head(tx))
    memory = read_memory(tx)
    values.set("des_archive_damaged_shards", memory.damaged.files)
    values.zero("des_job_failed")
    for job, _ in find_bad_ends(memory):
        values.set("des_job_failed", True, job)


def _set_head(values: MetricValues, head: Head | None) -> None:
    """A value holds 53 bits exactly: 13 hex digits are 52. -1 for what is no hash."""
    values.set("des_trail_newest_event", 0 if head is None else head.event_id)
    digits = NO_HASH if head is None else head.hash
    is_hash = re.fullmatch("[0-9a-f]{64}", digits) is not None
    values.set("des_trail_head_high", int(digits[:13], 16) if is_hash else -1)
    values.set("des_trail_head_low", int(digits[13:26], 16) if is_hash else -1)


def _set_cycles(values: MetricValues, journals: list[CycleJournal], workers: int) -> None:
    """Totals of all workers that ever were; how it stands, of those that there are."""
    values.zero("des_migration_cycles_total")
    for journal in journals:
        for status, count in journal.totals.items():
            values.add("des_migration_cycles_total", count, status)
    journals = [journal for journal in journals if journal.worker < workers]
    failed = max((journal.failed_in_a_row for journal in journals), default=0)
    duration_s = max((journal.duration_s for journal in journals), default=0.0)
    successes = [journal.last_success for journal in journals]
    last = None if None in successes else min(filter(None, successes), default=None)
    values.set("des_migration_failed_cycles", failed)
    values.set("des_migration_duration_seconds", duration_s)
    values.set_moment("des_migration_last_success_timestamp_seconds", last)
