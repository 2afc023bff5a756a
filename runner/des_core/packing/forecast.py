"""What shards will be like with this table's days, and which `n_bits` suits it.

Nobody can change `n_bits` after the first cycle, and a bucket that gets one file a day makes a
shard with one file a day: an archive of many tiny files again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from des_core.basics.routing import MIN_BITS, bucket_count
from des_core.basics.timestamps import EARLIEST, floor_day
from des_core.rows.reader import SourceReader, WindowStats

DAYS_SAMPLED = 7
# More rows of a day than this are not counted: then shards are large in any case.
ROWS_SAMPLED = 50_000
FEW_FILES = 10
DAYS_A_YEAR = 365.25

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ShardForecast:
    """Means over the newest days that have files. Bytes are before compression."""

    n_bits: int
    advised_bits: int
    days: int
    files_a_day: float
    files_a_shard: float
    bytes_a_shard: float | None
    shards_a_day: float
    shards_a_year: int

    @property
    def has_few_files(self) -> bool:
        """Whether a shard holds so little that packing gains nothing."""
        return self.files_a_shard < FEW_FILES

    @property
    def advice(self) -> str | None:
        """What to do before the first cycle; None where fewer buckets would not help."""
        if not self.has_few_files or self.advised_bits == self.n_bits:
            return None
        return f"before the first cycle, set packer.n_bits: {self.advised_bits}"

    def describe(self) -> str:
        """For a plan, a check and a refusal."""
        content = "" if self.bytes_a_shard is None else f" of {_size(self.bytes_a_shard)}"
        return (
            f"about {self.files_a_shard:,.1f} files{content} a shard,"
            f" {self.shards_a_day:,.0f} shards a day, {self.shards_a_year:,} a year,"
            f" with n_bits {self.n_bits}"
        )


def forecast_shards(reader: SourceReader, n_bits: int, until: datetime) -> ShardForecast | None:
    """By the newest days up to `until` that have files; None for an empty table.

    Bounded: a few look-ups by the index on created_at, and at most so many rows of each day.
    """
    windows: list[tuple[datetime, datetime]] = []
    end = until
    while len(windows) < DAYS_SAMPLED:
        newest = reader.last_created_at(EARLIEST, end)
        if newest is None:
            break
        start = floor_day(newest) - _TICK
        windows.append((start, min(end, start + timedelta(days=1))))
        end = start
    if not windows:
        return None
    span = max((windows[0][1] - windows[-1][0]) / timedelta(days=1), 1.0)
    return _forecast(n_bits, reader.samples(windows, ROWS_SAMPLED), span)


def _forecast(n_bits: int, samples: list[WindowStats], span_days: float) -> ShardForecast:
    days = len(samples)
    files = sum(sample.files for sample in samples) / days
    shards = sum(shards_of(sample.files, n_bits) for sample in samples) / days
    sizes = [sample.size_bytes for sample in samples if sample.size_bytes is not None]
    size = sum(sizes) / days if len(sizes) == days else None
    return ShardForecast(
        n_bits=n_bits,
        advised_bits=advise_bits(files, n_bits),
        days=days,
        files_a_day=files,
        files_a_shard=files / shards,
        bytes_a_shard=None if size is None else size / shards,
        shards_a_day=shards,
        shards_a_year=round(shards * DAYS_A_YEAR * days / span_days),
    )


def shards_of(files: int, n_bits: int) -> float:
    """How many buckets get a file, if uids spread evenly."""
    buckets = bucket_count(n_bits)
    return float(buckets * (1 - (1 - 1 / buckets) ** files))


def advise_bits(files_a_day: float, n_bits: int) -> int:
    """As many bits as leave no shard with few files, but no more than there are now."""
    bits = n_bits
    while bits > MIN_BITS and files_a_day / bucket_count(bits) < FEW_FILES:
        bits -= 1
    return bits


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:,.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} GiB"
