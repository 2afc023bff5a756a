"""Whether packing keeps up with what comes in: one rate against the other.

Files come in by day and by night, so the last week is looked at in steps of six hours, a small
sample of each: never more than ARRIVAL_SAMPLE rows times the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from des_core.ledger.slices import KnownSlice
from des_core.rows.amounts import Amount, add_up, count_each, count_waiting
from des_core.rows.reader import SourceReader

ARRIVAL_SPAN = timedelta(days=7)
ARRIVAL_STEP = timedelta(hours=6)
ARRIVAL_SAMPLE = 2000
RATE_SLICES = 20


@dataclass(frozen=True)
class Pace:
    """Files and bytes per second while packing, all workers together, and files coming in.

    `eta` is how long what waits now takes at that rate. `catch_up` counts in what comes in
    meanwhile: None where it is never reached, or not known.
    """

    files_per_s: float | None
    bytes_per_s: float | None
    arriving_files_per_s: float | None
    arrivals: Amount
    eta: timedelta | None
    catch_up: timedelta | None

    @property
    def keeps_up(self) -> bool | None:
        """Packs faster than files come in; None where either is not known."""
        if self.files_per_s is None or self.arriving_files_per_s is None:
            return None
        return self.files_per_s > self.arriving_files_per_s


def read_arrivals(source: SourceReader, now: datetime, *, exact: bool = False) -> Amount:
    """The files of the last week by created_at."""
    since = now - ARRIVAL_SPAN
    if exact:
        return count_waiting(source, since, now, exact=True)
    steps = [since + number * ARRIVAL_STEP for number in range(ARRIVAL_SPAN // ARRIVAL_STEP)]
    windows = list(pairwise([*steps, now]))
    return add_up(count_each(source, windows, sample_size=ARRIVAL_SAMPLE))


def measure_pace(newest: Sequence[KnownSlice], pending: Amount, arrivals: Amount) -> Pace:
    """From the last slices that packed anything, what waits, and what came in last week."""
    files_per_s, bytes_per_s = _rates(newest)
    arriving = None if arrivals.files is None else arrivals.files / ARRIVAL_SPAN.total_seconds()
    return Pace(
        files_per_s=files_per_s,
        bytes_per_s=bytes_per_s,
        arriving_files_per_s=arriving,
        arrivals=arrivals,
        eta=_time_for(pending.files, files_per_s),
        catch_up=_time_for(pending.files, _difference(files_per_s, arriving)),
    )


def _rates(newest: Sequence[KnownSlice]) -> tuple[float | None, float | None]:
    """Sharded workers pack side by side, so the seconds of each count as their share."""
    busy = [item.record for item in newest[:RATE_SLICES] if item.record.files_out]
    seconds = sum((r.finished_at - r.started_at).total_seconds() / r.workers for r in busy)
    if seconds <= 0:
        return None, None
    return sum(r.files_out for r in busy) / seconds, sum(r.bytes_in for r in busy) / seconds


def _difference(packing: float | None, arriving: float | None) -> float | None:
    if packing is None or arriving is None or packing <= arriving:
        return None
    return packing - arriving


def _time_for(files: int | None, files_per_s: float | None) -> timedelta | None:
    """None also where it is longer than a calendar can say."""
    if files is None or not files_per_s:
        return None
    try:
        return timedelta(seconds=files / files_per_s)
    except OverflowError:
        return None
