"""How many files a range of created_at holds, without reading more of `files` than a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from des_core.rows.reader import SourceReader, WindowStats

SAMPLE_SIZE = 10_000
# No application writes so many files a second for long.
FASTEST = 10_000
CROWD_SIZE = 100_000
MOST_CROWDS = 3
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


def count_waiting(
    source: SourceReader,
    start: datetime,
    end: datetime,
    *,
    exact: bool = False,
) -> Amount:
    """The files of `(start, end]`: exact up to SAMPLE_SIZE, estimated from a sample above."""
    if exact or start >= end:
        return exactly(source.stats(start, end))
    [amount] = count_each(source, [(start, end)], sample_size=SAMPLE_SIZE)
    return amount


def count_each(
    source: SourceReader, windows: Sequence[tuple[datetime, datetime]], *, sample_size: int
) -> list[Amount]:
    """As `count_waiting`, of several windows in one transaction."""
    samples = source.samples(windows, sample_size)
    return [
        _go_on_from(source, sample, *window, sample_size)
        for sample, window in zip(samples, windows, strict=True)
    ]


def _go_on_from(
    source: SourceReader, sample: WindowStats, start: datetime, end: datetime, size: int
) -> Amount:
    if sample.files < size:
        return exactly(sample)
    if _is_crowd(sample):
        return _count_crowds(source, start, end)
    return _extrapolated(source, sample, start, end)


def _extrapolated(
    source: SourceReader, sample: WindowStats, start: datetime, end: datetime
) -> Amount:
    newest = source.last_created_at(start, end)
    if sample.oldest is None or sample.newest is None or newest is None:
        return exactly(sample)
    # As many rows per second in the rest of the window as in its first part.
    factor = (newest - sample.oldest) / max(sample.newest - sample.oldest, _TICK)
    size_bytes = None if sample.size_bytes is None else round(sample.size_bytes * factor)
    return Amount(
        round(sample.files * factor), size_bytes, Precision.ESTIMATED, sample.oldest, newest
    )


def _is_crowd(sample: WindowStats) -> bool:
    """Whether an import gave these rows one created_at, or nearly: they say nothing of the rest."""
    if sample.oldest is None or sample.newest is None:
        return False
    return (sample.newest - sample.oldest).total_seconds() * FASTEST < sample.files


def _count_crowds(source: SourceReader, start: datetime, end: datetime) -> Amount:
    """Crowds are counted, and the rest is estimated. Beyond that there may be more."""
    found: list[Amount] = []
    for _ in range(MOST_CROWDS):
        [crowd] = source.samples([(start, end)], CROWD_SIZE)
        if crowd.newest is None or crowd.files < CROWD_SIZE:
            return add_up([*found, exactly(crowd)])
        if not _is_crowd(crowd):
            return add_up([*found, _extrapolated(source, crowd, start, end)])
        found.append(replace(exactly(crowd), precision=Precision.ESTIMATED))
        start = crowd.newest
    return add_up(found)


def add_up(parts: Sequence[Amount]) -> Amount:
    """The files of several ranges."""
    sizes = [part.size_bytes for part in parts]
    is_exact = all(part.precision is Precision.EXACT for part in parts)
    return Amount(
        files=sum(part.files or 0 for part in parts),
        size_bytes=None if None in sizes else sum(filter(None, sizes)),
        precision=Precision.EXACT if is_exact else Precision.ESTIMATED,
        oldest=min((p.oldest for p in parts if p.oldest), default=None),
        newest=max((p.newest for p in parts if p.newest), default=None),
    )


def exactly(stats: WindowStats) -> Amount:
    """What was counted."""
    return Amount(stats.files, stats.size_bytes, Precision.EXACT, stats.oldest, stats.newest)
