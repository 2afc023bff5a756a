"""How far the archive is: from watermark and ledger; `files` is sampled, or counted on request.

Without `exact`, no statement on `files` reads more than SAMPLE_SIZE rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from des_core.database import Database, run
from des_core.database_source import SourceReader, WindowStats
from des_core.exceptions import ReasonCount, count_open
from des_core.ledger import KnownSlice, newest_slices
from des_core.sql_catalog import config_statement
from des_core.stored_time import day_from_stored, day_to_stored, optional_from_stored
from des_core.timestamps import EARLIEST, LATEST, floor_day
from des_core.watermark import Watermark, compute_target, read_watermark

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SAMPLE_SIZE = 100_000
RATE_SLICES = 20
_TICK = timedelta(microseconds=1)


class Precision(StrEnum):
    """How a number was had. `estimated` goes on from a sample or the catalogue's statistics."""

    EXACT = "exact"
    ESTIMATED = "estimated"


@dataclass(frozen=True)
class Amount:
    """Some files. None where it is not known without counting."""

    files: int | None
    size_bytes: int | None
    precision: Precision
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True)
class LedgerTotals:
    """What the ledger holds in all: files packed for the first time, content and shard bytes."""

    slices: int
    files: int
    content_bytes: int
    shard_bytes: int
    last_finished: datetime | None


@dataclass(frozen=True)
class DayProgress:
    """One UTC day of created_at. Shard numbers are None where `files` was counted instead."""

    day: date
    files: int
    content_bytes: int | None
    shard_bytes: int | None
    shards: int | None


@dataclass(frozen=True)
class Progress:
    """The whole picture at one moment. Rates are those of the last slices that packed anything."""

    now: datetime
    watermark: Watermark
    target: datetime
    behind: timedelta
    pending: Amount
    archived: Amount
    packed: LedgerTotals
    exceptions: Sequence[ReasonCount]
    last_slices: Sequence[KnownSlice]
    files_per_s: float | None
    bytes_per_s: float | None
    eta: timedelta | None


def read_progress(
    config: Database, source: SourceReader, *, exact: bool = False, slices: int = 5
) -> Progress:
    """The picture now. `exact` counts `files` by its index, which takes long on a large table."""
    with config.read() as connection:
        watermark = read_watermark(connection, config.dialect)
        exceptions = count_open(connection, config.dialect)
        newest = newest_slices(connection, config.dialect, limit=max(slices, RATE_SLICES))
        totals = _totals(connection, config)
    clock = source.clock()
    target = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
    pending = count_waiting(source, watermark.archived_until, target, exact=exact)
    files_per_s, bytes_per_s = _rates(newest)
    return Progress(
        now=clock.now,
        watermark=watermark,
        target=target,
        behind=max(target - watermark.archived_until, timedelta(0)),
        pending=pending,
        archived=_archived(source, watermark, exact=exact),
        packed=totals,
        exceptions=exceptions,
        last_slices=newest[:slices],
        files_per_s=files_per_s,
        bytes_per_s=bytes_per_s,
        eta=_eta(pending.files, files_per_s),
    )


def read_days(
    config: Database, source: SourceReader, *, days: int, exact: bool = False
) -> list[DayProgress]:
    """The last `days` days up to the watermark, newest first.

    From the ledger: what this program packed. `exact` counts the rows of `files` instead,
    which includes what was archived before the watermark came.
    """
    with config.read() as connection:
        watermark = read_watermark(connection, config.dialect)
    since = watermark.archived_until - timedelta(days=days)
    if exact:
        return _counted_days(source, since, watermark.archived_until)[:days]
    values = {"first_day": day_to_stored(since.date(), config.dialect), "page_size": days}
    with config.read() as connection:
        rows = run(connection, config_statement(config.dialect, "ledger_days"), values).all()
    return [
        DayProgress(
            day=day_from_stored(row.day),
            files=int(row.files),
            content_bytes=int(row.content_bytes),
            shard_bytes=int(row.shard_bytes),
            shards=int(row.shards),
        )
        for row in rows
    ]


def _counted_days(source: SourceReader, since: datetime, until: datetime) -> list[DayProgress]:
    """Days that have rows, each counted by a statement of its own over `(since, until]`."""
    found = []
    day = floor_day(until)
    while day + timedelta(days=1) > since:
        start, end = max(day - _TICK, since), min(day + timedelta(days=1) - _TICK, until)
        stats = source.stats(start, end)
        if stats.files:
            found.append(DayProgress(day.date(), stats.files, stats.size_bytes, None, None))
        day -= timedelta(days=1)
    return found


def count_waiting(
    source: SourceReader, start: datetime, end: datetime, *, exact: bool = False
) -> Amount:
    """The files of `(start, end]`: exact up to SAMPLE_SIZE, estimated from a sample above."""
    if exact or start >= end:
        return _exact(source.stats(start, end))
    sample = source.sample(start, end, SAMPLE_SIZE)
    if sample.files < SAMPLE_SIZE:
        return _exact(sample)
    newest = source.last_created_at(start, end)
    if sample.oldest is None or sample.newest is None or newest is None:
        return _exact(sample)
    # As many rows per second in the rest of the window as in its first part.
    factor = (newest - sample.oldest) / max(sample.newest - sample.oldest, _TICK)
    size_bytes = None if sample.size_bytes is None else round(sample.size_bytes * factor)
    return Amount(
        round(sample.files * factor), size_bytes, Precision.ESTIMATED, sample.oldest, newest
    )


def _archived(source: SourceReader, watermark: Watermark, *, exact: bool) -> Amount:
    """Rows at or below the watermark: the catalogue's estimate less what is above."""
    if exact:
        return _exact(source.stats(EARLIEST, watermark.archived_until))
    all_rows = source.estimated_rows()
    if all_rows is None:
        return Amount(None, None, Precision.ESTIMATED)
    above = count_waiting(source, watermark.archived_until, LATEST).files or 0
    return Amount(max(all_rows - above, 0), None, Precision.ESTIMATED)


def _exact(stats: WindowStats) -> Amount:
    return Amount(stats.files, stats.size_bytes, Precision.EXACT, stats.oldest, stats.newest)


def _rates(newest: Sequence[KnownSlice]) -> tuple[float | None, float | None]:
    busy = [item.record for item in newest[:RATE_SLICES] if item.record.files_out]
    seconds = sum((r.finished_at - r.started_at).total_seconds() for r in busy)
    if seconds <= 0:
        return None, None
    return sum(r.files_out for r in busy) / seconds, sum(r.bytes_in for r in busy) / seconds


def _eta(files: int | None, files_per_s: float | None) -> timedelta | None:
    if files is None or files_per_s is None:
        return None
    return timedelta(seconds=files / files_per_s)


def _totals(connection: Connection, config: Database) -> LedgerTotals:
    row = run(connection, config_statement(config.dialect, "ledger_totals")).one()
    return LedgerTotals(
        slices=int(row.slices),
        files=int(row.files),
        content_bytes=int(row.content_bytes),
        shard_bytes=int(row.shard_bytes),
        last_finished=optional_from_stored(row.last_finished),
    )
