"""How many files a range of created_at holds, without reading more of `files` than a sample."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from des_core.database_source import SourceReader, WindowStats

SAMPLE_SIZE = 10_000
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
    sample_size: int | None = None,
) -> Amount:
    """The files of `(start, end]`: exact up to SAMPLE_SIZE, estimated from a sample above."""
    if exact or start >= end:
        return exactly(source.stats(start, end))
    size = sample_size or SAMPLE_SIZE
    sample = source.sample(start, end, size)
    if sample.files < size:
        return exactly(sample)
    newest = source.last_created_at(start, end)
    if sample.oldest is None or sample.newest is None or newest is None:
        return exactly(sample)
    # As many rows per second in the rest of the window as in its first part.
    factor = (newest - sample.oldest) / max(sample.newest - sample.oldest, _TICK)
    size_bytes = None if sample.size_bytes is None else round(sample.size_bytes * factor)
    return Amount(
        round(sample.files * factor), size_bytes, Precision.ESTIMATED, sample.oldest, newest
    )


def exactly(stats: WindowStats) -> Amount:
    """What was counted."""
    return Amount(stats.files, stats.size_bytes, Precision.EXACT, stats.oldest, stats.newest)
