"""How the archive came to where it is: each day of the calendar, read back from the ledger.

`files` is not asked: what waited on a day follows from where the watermark stood, and from how many
files of each day were packed since.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate

from des_core.basics.timestamps import floor_day, parse_stored
from des_core.database.connections import Database
from des_core.database.stored_time import day_from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import newest_events
from des_core.ledger.slices import SliceRecord, iterate_slices_back
from des_core.ledger.watermark import compute_target
from des_core.progress.now import Progress

DAY = timedelta(days=1)
MOVES = frozenset({"watermark set", "watermark rewind", "watermark advance"})
MOVES_READ = 1000
Position = tuple[datetime, datetime]


@dataclass(frozen=True)
class HistoryDay:
    """What was packed on a day (UTC), and how it stood at the day's end, or stands now.

    `busy` is the time that slices took. `behind` and `waiting_files` are None before the first
    known position of the watermark; the lag of today is taken for that of every day.
    """

    day: date
    files: int
    content_bytes: int
    busy: timedelta
    behind: timedelta | None
    waiting_files: int | None


def read_history(config: Database, progress: Progress, *, days: int) -> list[HistoryDay]:
    """The last `days` days up to today, oldest first."""
    first = floor_day(progress.now) - (days - 1) * DAY
    with config.read() as tx:
        slices = list(_slices_since(tx, first))
        moves = _moves_by_hand(tx)
    positions = sorted([*_positions(slices), *moves, _now_at(progress)])
    curve = _read_curve(config, progress, positions)
    by_day: dict[date, list[SliceRecord]] = {}
    for record in slices:
        by_day.setdefault(record.finished_at.date(), []).append(record)
    return [
        _history_day(first + number * DAY, by_day, positions, curve, progress)
        for number in range(days)
    ]


def _history_day(
    day: datetime,
    slices: dict[date, list[SliceRecord]],
    positions: Sequence[Position],
    curve: Curve,
    progress: Progress,
) -> HistoryDay:
    end = min(day + DAY, progress.now)
    packed = slices.get(day.date(), [])
    behind = waiting = None
    known = bisect_right(positions, end, key=lambda position: position[0])
    if known:
        stood_at = positions[known - 1][1]
        is_now = end == progress.now
        target = progress.target if is_now else compute_target(end, progress.watermark.lag_days)
        behind = max(target - stood_at, timedelta(0))
        waiting = progress.pending.files if is_now else curve.between(stood_at, target)
    return HistoryDay(
        day=day.date(),
        files=sum(record.files_out for record in packed),
        content_bytes=sum(record.bytes_in for record in packed),
        busy=sum((record.finished_at - record.started_at for record in packed), timedelta(0)),
        behind=behind,
        waiting_files=waiting,
    )


def _slices_since(tx: Transaction, first: datetime) -> Iterator[SliceRecord]:
    """Slices finished since `first`, newest first, and the window before them: it began there."""
    for item in iterate_slices_back(tx):
        yield item.record
        if item.record.finished_at < first and item.record.kind == "window":
            return


def _positions(slices: Iterable[SliceRecord]) -> Iterator[Position]:
    """When the watermark came where: to the end of a window that all workers have reached."""
    reached: dict[int, datetime] = {}
    workers = 0
    for record in sorted(slices, key=lambda record: record.finished_at):
        if record.kind != "window":
            continue
        if record.workers != workers:
            reached, workers = {}, record.workers
        reached[record.worker] = record.window_end
        if len(reached) == workers:
            yield record.finished_at, min(reached.values())


def _moves_by_hand(tx: Transaction) -> Iterator[Position]:
    events = newest_events(tx, limit=MOVES_READ)
    return iter(
        [(e.at, parse_stored(e.to_value)) for e in events if e.action in MOVES and e.to_value]
    )


def _now_at(progress: Progress) -> Position:
    return progress.now, progress.watermark.archived_until


@dataclass(frozen=True)
class Curve:
    """How many files there are up to a time, as straight lines between known points."""

    moments: Sequence[datetime]
    files: Sequence[float]

    def between(self, start: datetime, end: datetime) -> int:
        """Files of `(start, end]`."""
        return max(round(self._upto(end) - self._upto(start)), 0)

    def _upto(self, moment: datetime) -> float:
        place = bisect_right(self.moments, moment)
        if place == 0:
            return 0.0
        if place == len(self.moments):
            return self.files[-1]
        start, end = self.moments[place - 1], self.moments[place]
        part = (moment - start) / (end - start)
        return self.files[place - 1] + part * (self.files[place] - self.files[place - 1])


def _read_curve(config: Database, progress: Progress, positions: Sequence[Position]) -> Curve:
    """Packed files by day up to the watermark, and what waits evenly above it."""
    mark = progress.watermark.archived_until
    first = min(position for _, position in positions)
    with config.read() as tx:
        values = {
            "first_day": first.astimezone(UTC).date(),
            "last_day": mark.astimezone(UTC).date(),
            "page_size": max((progress.now - first).days, 0) + 2,
        }
        rows = tx.run("ledger_days", values).all()
    points = [(datetime.min.replace(tzinfo=UTC), 0)]
    for row in reversed(rows):
        begin = datetime.combine(day_from_stored(row.day), time.min, UTC)
        if begin >= mark:
            break
        points += [(begin, 0), (min(begin + DAY, mark), int(row.files))]
    if points[-1][0] < mark:
        points.append((mark, 0))
    if progress.target > mark:
        points.append((progress.target, progress.pending.files or 0))
    return Curve([m for m, _ in points], list(accumulate(float(files) for _, files in points)))
