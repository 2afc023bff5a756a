"""Per-record mode: pack what is not archived, then mark each packed row.

For before the cutover and after a rollback. It packs day by day with the same engine as the runner,
so it overwrites nothing and a second try finds what is there; and it marks only rows whose bytes
are in a shard. What fails stays unmarked and is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any

import sqlalchemy as sa

from des_core.basics.batches import batched
from des_core.basics.database_urls import is_same_place
from des_core.basics.errors import Refused, WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import floor_day
from des_core.database.connections import Database, open_database
from des_core.database.retrying import retry_conflicts
from des_core.database.transaction import Transaction
from des_core.ledger.archive_table import find_watermark_elsewhere
from des_core.locks.lock import Lock, hold_lock
from des_core.packing.packer import Packer
from des_core.packing.row_spool import RowSpool, decode_rows
from des_core.reading.archive_routing import require_same_routing
from des_core.records import FileFailure
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from des_core.sources.roots import require_named_roots
from des_core.storage.directory import Storage, open_storage
from des_core.storage.listing import ShardListing
from watermark_orchestrator.archive import for_rows_of
from watermark_orchestrator.durable_slice import Tally, make_durable
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink, ignore_progress
from watermark_orchestrator.slices import Window
from watermark_orchestrator.stopping import StopRequest

WATERMARK_TABLE = "des_archive_config"
EVER = datetime(1000, 1, 3, tzinfo=UTC)
FAILURES_KEPT = 1000


@dataclass(slots=True)
class PerRecordReport:
    """What was packed and marked, and what was not. `failures` holds the first thousand."""

    files_in: int = 0
    files_marked: int = 0
    files_failed: int = 0
    bytes_in: int = 0
    updates: int = 0
    duration_s: float = 0.0
    failures: list[FileFailure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PerRecordPlan:
    """The rows that a run would pack, and the UTC days that have any, oldest first."""

    files: int
    days: tuple[date, ...]


def plan_per_record(settings: Settings, *, older_than_days: int) -> PerRecordPlan:
    """What `pack_per_record` would pack. Reads each of these rows, and changes nothing.

    Refused while a watermark is in force, as that is.
    """
    require_named_roots(settings.packer.source_roots)
    with closing(open_database(settings.source_url)) as database:
        reader = SourceReader(database, settings.database)
        _require_flag(reader)
        _refuse_out_of_reach(reader)
        _refuse_with_watermark(database)
        if not is_same_place(settings.config_url, settings.source_url):
            with closing(open_database(settings.config_url)) as config:
                _refuse_with_watermark(config)
        windows = list(_pending_days(reader, reader.clock().now - timedelta(days=older_than_days)))
        files = sum(
            len(page)
            for window in windows
            for page in reader.rows(window.start, window.end, statement="pending_rows")
        )
    return PerRecordPlan(files, tuple(window.end.date() for window in windows))


def pack_per_record(
    settings: Settings,
    *,
    older_than_days: int,
    batch_size: int,
    stop: StopRequest | None = None,
    progress: ProgressSink = ignore_progress,
) -> PerRecordReport:
    """Pack and mark every row that is not archived and older than `older_than_days`.

    Refused while a watermark is in force, here or in the config database: the two ways must not
    work at the same time. LockHeld while anybody else is at work on the archive.
    """
    require_named_roots(settings.packer.source_roots)
    began = time.monotonic()
    report = PerRecordReport()
    with ExitStack() as stack:
        database = stack.enter_context(closing(open_database(settings.source_url)))
        reader = SourceReader(database, settings.database)
        _require_flag(reader)
        _refuse_out_of_reach(reader)
        config = database
        if not is_same_place(settings.config_url, settings.source_url):
            config = stack.enter_context(closing(open_database(settings.config_url, create=True)))
        with hold_lock(config, "per-record packing") as lock:
            for place in (database, config):
                _refuse_with_watermark(place)
            job = _Job(lock, reader, settings, batch_size, stop or StopRequest(), progress, report)
            job.run(reader.clock().now - timedelta(days=older_than_days))
    report.duration_s = time.monotonic() - began
    return report


@dataclass
class _Job:
    lock: Lock
    reader: SourceReader
    settings: Settings
    batch_size: int
    stop: StopRequest
    progress: ProgressSink
    report: PerRecordReport

    def run(self, cutoff: datetime) -> None:
        """Day by day, oldest first; a day that still has failures is left behind."""
        packer_config = for_rows_of(self.reader, self.settings.packer_config)
        storage = open_storage(packer_config)
        storage.probe_writable()
        require_same_routing(storage, packer_config.n_bits)
        storage.clean_leftovers()
        listing = storage.listing()
        with (
            Packer(packer_config) as packer,
            self.stop.on_stop(lambda: packer.cancel(self.stop.error())),
        ):
            for window in _pending_days(self.reader, cutoff):
                self.stop.check()
                self._pack_day(window, packer, storage, listing)

    def _pack_day(
        self, window: Window, packer: Packer, storage: Storage, listing: ShardListing
    ) -> None:
        n_bits = packer.config.n_bits
        with RowSpool(n_bits, storage.scratch_dir) as spool:
            for page in self.reader.rows(window.start, window.end, statement="pending_rows"):
                self.stop.check()
                spool.add(page)
            self.progress(ProgressEvent("slice_started", window, files_total=spool.rows))
            existing = listing.of_days(spool.days())
            tally = Tally(spool.rows)
            for outcome in packer.pack(spool.tasks(existing)):
                tally.add(outcome)
            self.stop.check()
            make_durable(storage, tally, "perrecord", window, n_bits=n_bits)
            listing.add(shard.name for shard in tally.shards)
            self._mark(window, spool, tally)
        self.progress(ProgressEvent("slice_committed", window, self.report.files_marked))

    def _mark(self, window: Window, spool: RowSpool, tally: Tally) -> None:
        """Mark the very rows that were packed; one that came since then waits for the next run.

        A uid that failed anywhere in the day is left unmarked, because the mark goes by uid.
        """
        failed = {failure.uid for failure in tally.failures}
        report = self.report
        report.files_in += spool.rows
        report.files_failed += len(tally.failures)
        report.failures += tally.failures[: max(0, FAILURES_KEPT - len(report.failures))]
        report.bytes_in += tally.bytes_in
        uids = (row.uid for task in spool.tasks() for row in decode_rows(task.rows))
        for batch in batched((uid for uid in uids if uid not in failed), self.batch_size):
            self._mark_batch(window, batch)
        if self._fires:
            self._require_marked(window, spool, failed)

    @cached_property
    def _fires(self) -> list[str]:
        """What the table has that may keep a mark from being written."""
        settings, database = self.reader.settings, self.reader.database
        values = {
            **settings.table.values(database.dialect),
            "column_name": settings.archived_column,
        }
        with database.read() as tx:
            statement = self.reader.catalog.get("migration_update_triggers")
            return [f"{row.kind} {row.name}" for row in tx.run(statement, values)]

    def _require_marked(self, window: Window, spool: RowSpool, failed: set[str]) -> None:
        """Refused where rows of this day were packed and still read as not archived.

        A trigger or a rule may leave a row as it was, and the server calls the statement done.
        Rows that came since are no concern of this run.
        """
        pages = self.reader.rows(window.start, window.end, statement="pending_rows")
        pending = (row.uid for page in pages for row in page if row.uid not in failed)
        left = set(islice(pending, FAILURES_KEPT))
        rows = (row.uid for task in spool.tasks() for row in decode_rows(task.rows))
        unmarked = next((uid for uid in rows if uid in left), None)
        if unmarked is not None:
            raise Refused(
                f"packed rows were not marked: {unmarked[:80]!r} still reads as not archived, and "
                f"{', '.join(self._fires)} may keep it so",
                hint="switch that off for as long as it takes, then run the same command again; "
                "what is packed is not packed twice",
                table=str(self.reader.settings.table),
            )

    def _mark_batch(self, window: Window, uids: list[str]) -> None:
        reader = self.reader
        clause = reader.catalog.get("mark_archived").clause
        values = reader.schema.window(window.start, window.end)
        values["uids"] = [reader.schema.uid_to_db(uid) for uid in uids]
        is_postgres = reader.database.dialect is Dialect.POSTGRES
        if not is_postgres:  # where it is an array
            clause = clause.bindparams(sa.bindparam("uids", expanding=True))

        def mark(tx: Transaction) -> int:
            if is_postgres:
                _plan_each_time(tx)
            return tx.connection.execute(clause, values).rowcount

        marked = retry_conflicts(lambda: self.lock.write_in(reader.database, mark))
        self.report.files_marked += marked
        self.report.updates += 1


def _plan_each_time(tx: Transaction) -> None:
    """Let PostgreSQL see the values when it plans.

    A prepared statement soon has a plan for any values, and for any window that is the index on
    created_at: each batch then reads all rows of the day and compares them with all its uids.
    """
    raw: Any = tx.connection.connection.driver_connection
    raw.prepare_threshold = None


def _pending_days(reader: SourceReader, cutoff: datetime) -> Iterator[Window]:
    """The days with rows that are not marked, oldest first, each once."""
    start = EVER
    while (first := _first_pending(reader, start, cutoff)) is not None:
        day = floor_day(first)
        end = min(day + timedelta(days=1) - timedelta(microseconds=1), cutoff)
        yield Window(day - timedelta(microseconds=1), end)
        start = end


def _first_pending(reader: SourceReader, start: datetime, end: datetime) -> datetime | None:
    with reader.database.read() as tx:
        values = reader.schema.window(start, end)
        value = tx.run(reader.catalog.get("pending_first"), values).scalar()
    return None if value is None else reader.schema.from_db(value)


def _require_flag(reader: SourceReader) -> None:
    if not reader.schema.has_archived:
        raise WrongSchema(
            "the table has no archived column, so rows cannot be marked",
            hint="per-record mode is for before the cutover, or after: des-admin migrate down",
            table=str(reader.settings.table),
        )
    reader.schema.require_flag()


def _refuse_out_of_reach(reader: SourceReader) -> None:
    """Refused where a watermark is beside `files`, and this user's search_path leads elsewhere."""
    table = reader.settings.table
    schema = find_watermark_elsewhere(reader.database, reader.catalog, table)
    if schema is not None:
        raise Refused(
            f"a watermark is in force in the schema {schema}, where files is, and this user's "
            "search_path does not reach it; packing per record beside it would make two truths",
            hint=f"ALTER ROLE USER SET search_path = {schema}; then use des-admin run",
            table=str(table),
        )


def _refuse_with_watermark(database: Database) -> None:
    with database.read() as tx:
        is_there = sa.inspect(tx.connection).has_table(WATERMARK_TABLE)
    if is_there:
        raise Refused(
            "a watermark is in force here; packing per record beside it would make two truths",
            hint="use des-admin run; or go back first: des-admin migrate down",
            table=WATERMARK_TABLE,
            database=database.label,
        )
