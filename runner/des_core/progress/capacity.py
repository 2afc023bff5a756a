"""How much an archive asks of machines, database and object store: formulas, nothing measured here.

docs/scaling.md explains each term. What a machine can do comes in as `Rates`, which have been
measured once and can be measured again; what there is to do as `Load`; what there is to do it
with as `Site`. The result says which of the limits is reached first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from des_core.basics.errors import UsageError

MIB = 1 << 20
GIB = 1 << 30
DAY_S = 86_400.0
MONTH_DAYS = 30.4
PUBLISH_REQUESTS = 2  # one creates, one reads back
LIST_PAGE = 1000
# What a row and its entries in indexes come to in PostgreSQL, about.
SHARD_ROW_BYTES = 420
SLICE_ROW_BYTES = 520
# Name, offsets and flags of one file in the index of its shard, beside its uid.
INDEX_ENTRY_BYTES = 39


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds of one core: per file, per MiB of content, per shard. `rows_per_s` is what one
    session reads from `files`; `slice_s` is what a slice costs however little is in it."""

    file_s: float = 45e-6
    mib_s: float = 0.007
    shard_s: float = 0.001
    slice_s: float = 0.02
    rows_per_s: float = 250_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """New files per day, `pending` files already there, and what they are like.

    `ratio` is how many times smaller the shards are than their content.
    """

    files_per_day: int
    mean_size_bytes: int
    pending: int = 0
    ratio: float = 3.0
    n_bits: int = 8
    max_shard_bytes: int = 1_000_000_000

    def __post_init__(self) -> None:
        _require(self.files_per_day >= 1, "files per day must be at least 1")
        _require(self.mean_size_bytes >= 0, "a mean size is not negative")
        _require(self.pending >= 0, "pending files are not negative")
        _require(self.ratio > 0, "the ratio must be above 0")

    @property
    def content_mib(self) -> float:
        """Of one day."""
        return self.files_per_day * self.mean_size_bytes / MIB

    @property
    def shards(self) -> int:
        """Of one day: one for each bucket that has a file, more where one would be too large."""
        buckets = 1 << self.n_bits
        used = buckets * -math.expm1(-self.files_per_day / buckets)
        parts = max(1, math.ceil(self.content_mib * MIB / used / self.max_shard_bytes))
        return round(used * parts)


@dataclass(frozen=True, slots=True)
class Site:
    """`workers` sharded workers (or one), each with `cores`; what an object store is used for.

    `is_filtered` says whether the database leaves out the rows of other workers. A request takes
    `latency_s`, and each process has `requests_in_flight` of them under way. `network_mib_s` is
    what a worker's connection to sources and output carries; None where it never fills.
    """

    workers: int = 1
    cores: int = 2
    is_filtered: bool = True
    sources_in_store: bool = False
    output_in_store: bool = False
    latency_s: float = 0.02
    requests_in_flight: int = 64
    network_mib_s: float | None = None

    def __post_init__(self) -> None:
        _require(self.workers >= 1 and self.cores >= 1, "at least one worker with one core")
        _require(self.latency_s >= 0, "a latency is not negative")
        _require(self.requests_in_flight >= 1, "at least one request in flight")
        _require(self.network_mib_s is None or self.network_mib_s > 0, "no network at all")


@dataclass(frozen=True, slots=True)
class Prices:
    """As the operator's contract has them, in one currency."""

    per_1000_writes: float = 0.0
    per_1000_reads: float = 0.0
    per_gib_month: float = 0.0


@dataclass(frozen=True, slots=True)
class DayCost:
    """What one day of files takes: seconds by what they are spent on. See `seconds`."""

    reading_s: float
    computing_s: float
    requesting_s: float
    transferring_s: float
    fixed_s: float

    @property
    def seconds(self) -> float:
        """Rows are read first; then computing, requests and transfers go on side by side."""
        at_once = max(self.computing_s, self.requesting_s, self.transferring_s)
        return self.fixed_s + self.reading_s + at_once

    @property
    def bound_by(self) -> str:
        """What more of would help most."""
        parts = {
            "reading rows": self.reading_s,
            "cores": self.computing_s,
            "requests": self.requesting_s,
            "the network": self.transferring_s,
            "the fixed cost of slices": self.fixed_s,
        }
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to the object store, of one day."""

    writes: int
    reads: int
    lists: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """The answer. `catch_up_s` is None where more files come than can be packed.

    `utilisation` is the share of the time in which there is something to do once it has caught up.
    """

    day: DayCost
    files_per_s: float
    utilisation: float
    catch_up_s: float | None
    shards_per_day: int
    shard_bytes_per_day: int
    rows_read_per_day: int
    rows_read_per_s: float
    ledger_rows_per_day: int
    ledger_bytes_per_year: int
    requests: Requests
    request_price_per_month: float
    storage_price_per_month_after_a_year: float


def day_cost(load: Load, site: Site, rates: Rates) -> DayCost:
    """What one day of files takes all workers together, working side by side."""
    processes = site.workers * site.cores
    computing = (
        load.files_per_day * rates.file_s
        + load.content_mib * rates.mib_s
        + load.shards * rates.shard_s
    )
    found = _requests(load, site)
    waiting = (found.writes + found.reads) * site.latency_s / site.requests_in_flight
    rows = load.files_per_day / (site.workers if site.is_filtered else 1)
    return DayCost(
        reading_s=rows / rates.rows_per_s,
        computing_s=computing / processes,
        requesting_s=waiting / processes,
        transferring_s=_transfer_s(load, site),
        fixed_s=rates.slice_s + found.lists / site.workers * site.latency_s,
    )


def plan_capacity(load: Load, site: Site, rates: Rates, prices: Prices) -> Capacity:
    """All figures that docs/scaling.md explains."""
    day = day_cost(load, site, rates)
    files_per_s = load.files_per_day / day.seconds
    spare = files_per_s - load.files_per_day / DAY_S
    found = _requests(load, site)
    rows_read = load.files_per_day * (1 if site.is_filtered else site.workers)
    shard_bytes = round(
        load.content_mib * MIB / load.ratio + load.files_per_day * INDEX_ENTRY_BYTES
    )
    ledger = load.shards * SHARD_ROW_BYTES + site.workers * SLICE_ROW_BYTES
    monthly_reads = (found.reads + found.lists) * MONTH_DAYS
    return Capacity(
        day=day,
        files_per_s=files_per_s,
        utilisation=day.seconds / DAY_S,
        catch_up_s=load.pending / spare if spare > 0 else None,
        shards_per_day=load.shards,
        shard_bytes_per_day=shard_bytes,
        rows_read_per_day=rows_read,
        rows_read_per_s=rows_read / day.seconds,
        ledger_rows_per_day=load.shards + site.workers,
        ledger_bytes_per_year=round(ledger * 365),
        requests=found,
        request_price_per_month=found.writes * MONTH_DAYS * prices.per_1000_writes / 1000
        + monthly_reads * prices.per_1000_reads / 1000,
        storage_price_per_month_after_a_year=(
            shard_bytes * 365 / GIB * prices.per_gib_month if site.output_in_store else 0.0
        ),
    )


def _requests(load: Load, site: Site) -> Requests:
    """One read for each source; for each shard, and for a manifest, what publishing takes.

    The shards of a day are listed before it is packed.
    """
    reads = load.files_per_day if site.sources_in_store else 0
    writes = lists = 0
    if site.output_in_store:
        published = load.shards + site.workers
        writes = published
        reads += published * (PUBLISH_REQUESTS - 1) + site.workers
        lists = site.workers * max(1, math.ceil(load.shards / LIST_PAGE))
    return Requests(writes, reads, lists)


def _transfer_s(load: Load, site: Site) -> float:
    """Sources and the shards that are read back come in; what goes out beside them is less."""
    if site.network_mib_s is None:
        return 0.0
    shards = load.content_mib / load.ratio
    return (load.content_mib + shards) / (site.network_mib_s * site.workers)


def _require(is_true: bool, message: str) -> None:
    if not is_true:
        raise UsageError(message, hint="see: des-admin plan capacity --help")
