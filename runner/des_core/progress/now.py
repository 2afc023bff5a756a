"""How far the archive is: from watermark and ledger; `files` is sampled, or counted on request.

Without `exact`, no statement on `files` reads more than a sample of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from des_core.basics.timestamps import EARLIEST, LATEST, floor_day
from des_core.database.connections import Database
from des_core.database.stored_time import day_from_stored, optional_from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import ReasonCount, count_open, iterate_open
from des_core.ledger.provenance import Origin, Provenance, read_provenance
from des_core.ledger.slices import KnownSlice, newest_slices
from des_core.ledger.watermark import Watermark, compute_target, read_watermark
from des_core.packer_planner import PackerConfig
from des_core.progress.cycles import Cycle, group_cycles
from des_core.progress.health import Remark, judge, read_memory
from des_core.progress.pace import Pace, measure_pace, read_arrivals
from des_core.progress.surroundings import look_around
from des_core.rows.amounts import Amount, Precision, count_waiting, exactly
from des_core.rows.reader import SourceReader

CYCLE_SLICES = 1000
LAST = 5
_TICK = timedelta(microseconds=1)


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
    """The whole picture at one moment."""

    now: datetime
    watermark: Watermark
    target: datetime
    behind: timedelta
    pending: Amount
    archived: Amount
    packed: LedgerTotals
    exceptions: Sequence[ReasonCount]
    provenance: Provenance
    health: Sequence[Remark]
    last_slices: Sequence[KnownSlice]
    last_cycles: Sequence[Cycle]
    pace: Pace

    @property
    def not_packed(self) -> int:
        """Files at or below the watermark that are open exceptions: the formula counts them out."""
        return sum(item.files for item in self.exceptions if not item.archived)

    @property
    def total(self) -> int | None:
        """Files that are archived, or should be by now; None where it is not known.

        Of what SQL jumped over nobody has said yet whether it should be.
        """
        if self.provenance.origin is Origin.FORWARD:
            return None
        if self.archived.files is None or self.pending.files is None:
            return None
        return self.archived.files + self.pending.files + self.not_packed

    @property
    def is_well(self) -> bool:
        """Whether nothing needs attention."""
        return not self.health

    @property
    def is_at_target(self) -> bool:
        """Whether the window is closed; exceptions may be open all the same."""
        return self.behind == timedelta(0) and not self.pending.files


def read_progress(
    config: Database,
    source: SourceReader,
    *,
    exact: bool = False,
    packer: PackerConfig | None = None,
) -> Progress:
    """The picture now. `exact` counts `files` by its index, which takes long on a large table.

    With `packer` the health tells, too, whether output, table and lock are as they should be.
    """
    with config.read() as tx:
        watermark = read_watermark(tx)
        provenance = read_provenance(tx, watermark)
        memory = read_memory(tx)
        exceptions = count_open(tx)
        newest = newest_slices(tx, limit=CYCLE_SLICES)
        totals = _totals(tx)
    clock = source.clock()
    target = compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)
    pending = count_waiting(source, watermark.archived_until, target, exact=exact)
    archived = _archived(source, watermark, pending, target, exact=exact)
    arrivals = read_arrivals(source, clock.now, exact=exact)
    around = [] if packer is None else look_around(config, source, watermark, packer)
    cycles = group_cycles(newest, is_whole_ledger=len(newest) < CYCLE_SLICES)
    return Progress(
        now=clock.now,
        watermark=watermark,
        target=target,
        behind=max(target - watermark.archived_until, timedelta(0)),
        pending=pending,
        archived=by_formula(config, source, archived, exceptions, watermark.archived_until),
        packed=totals,
        exceptions=exceptions,
        provenance=provenance,
        health=judge(provenance, target, clock.now, memory, around),
        last_slices=newest[:LAST],
        last_cycles=cycles[:LAST],
        pace=measure_pace(newest, pending, arrivals),
    )


def read_days(
    config: Database, source: SourceReader, *, days: int, exact: bool = False
) -> list[DayProgress]:
    """The last `days` days up to the watermark, newest first.

    From the ledger: what this program packed. `exact` counts the rows of `files` instead,
    which includes what was archived before the watermark came.
    """
    with config.read() as tx:
        watermark = read_watermark(tx)
    since = watermark.archived_until - min(
        timedelta(days=days), watermark.archived_until - EARLIEST
    )
    if exact:
        return _counted_days(source, since, watermark.archived_until)[:days]
    values = {
        "first_day": since.date(),
        "last_day": watermark.archived_until.date(),
        "page_size": days,
    }
    with config.read() as tx:
        rows = tx.run("ledger_days", values).all()
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
    oldest = source.first_created_at(since, until)
    if oldest is None:
        return []
    found, since = [], max(since, oldest - _TICK)
    day = floor_day(until)
    while day + timedelta(days=1) > since:
        start, end = max(day - _TICK, since), min(day + timedelta(days=1) - _TICK, until)
        stats = source.stats(start, end)
        if stats.files:
            found.append(DayProgress(day.date(), stats.files, stats.size_bytes, None, None))
        day -= timedelta(days=1)
    return found


def _archived(
    source: SourceReader, watermark: Watermark, pending: Amount, target: datetime, *, exact: bool
) -> Amount:
    """Rows at or below the watermark: the catalogue's estimate less what is above."""
    if exact:
        return exactly(source.stats(EARLIEST, watermark.archived_until))
    all_rows = source.estimated_rows()
    if all_rows is None:
        return Amount(None, None, Precision.ESTIMATED)
    beyond = count_waiting(source, max(target, watermark.archived_until), LATEST)
    above = (pending.files or 0) + (beyond.files or 0)
    return Amount(max(all_rows - above, 0), None, Precision.ESTIMATED)


def by_formula(
    config: Database,
    source: SourceReader,
    below: Amount,
    exceptions: Sequence[ReasonCount],
    watermark: datetime,
) -> Amount:
    """What is archived: rows at or below the watermark, xor open exceptions.

    Counted exactly, an exception is one whose row is still there, and its size is known; one above
    a watermark that SQL moved back reads as archived, whatever is true of it.
    """
    if below.files is None or not exceptions:
        return below
    if below.precision is Precision.EXACT:
        files, sizes = _exceptions_with_rows(config, source, watermark)
    else:
        files, sizes = sum(i.files if i.archived else -i.files for i in exceptions), None
    size_bytes = None if below.size_bytes is None or sizes is None else below.size_bytes + sizes
    return replace(below, files=max(below.files + files, 0), size_bytes=size_bytes)


def _exceptions_with_rows(
    config: Database, source: SourceReader, watermark: datetime
) -> tuple[int, int | None]:
    """What open exceptions add to the rows at or below the watermark, and to their bytes."""
    files, sizes = 0, 0
    has_sizes = True
    for page in iterate_open(config):
        rows = source.lookup([(item.uid, item.created_at) for item in page])
        for item, row in zip(page, rows, strict=True):
            if row is not None:
                sign = 1 if item.created_at > watermark else -1
                files += sign
                has_sizes = has_sizes and row.size_bytes is not None
                sizes += sign * (row.size_bytes or 0)
    return files, sizes if has_sizes else None


def _totals(tx: Transaction) -> LedgerTotals:
    row = tx.run("ledger_totals").one()
    return LedgerTotals(
        slices=int(row.slices),
        files=int(row.files),
        content_bytes=int(row.content_bytes),
        shard_bytes=int(row.shard_bytes),
        last_finished=optional_from_stored(row.last_finished),
    )
