"""What ways to compress would come to: tried on some pending files, and nothing is written.

Some days are chosen by a seed and of each some files, opened as packing opens them. Each way
compresses the same files and decodes them again, as packing does, and its processor time is taken.
The dictionaries are those that packing would train for these days.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import process_time

from des_core.basics.timestamps import floor_day
from des_core.packer_planner import MIB, PackerConfig
from des_core.packing.forecast import shards_of
from des_core.packing.sampling import FoundFile, chosen_for_training, read_files, sample_rows
from des_core.packing.training import COPIES, HELD_BACK, train
from des_core.rows.reader import SourceReader
from des_core.shard_io import Codec, Compression, PayloadDecoder, PayloadEncoder
from des_core.shard_io.dictionaries import FIRST_ID, Dictionary, DictionaryShelf, with_id

LEVELS = (1, 3, 6, 9, 12, 19)
DAYS = 6
# Of all days together: a few large files weigh too much in a small sample.
TRIED_BYTES = 36 * MIB
# Slow levels are tried on fewer files, so that the whole takes seconds, and so is a fast one: they
# are to it on all files as they are on these.
SLOW_FROM, SLOW_BYTES, FAST = 9, 2 * MIB, Compression(level=6)
# Beside its uid, what the index of a shard has of each file.
INDEX_ENTRY_BYTES = 40
YEAR_DAYS = 365
# Processor time of a file apart from compressing and decoding, and of a shard; see bench_plan.
FILE_S = 33e-6
SHARD_S = 0.65e-3
TB = 10**12
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits, and what comes in a day, as far as the caller knows."""

    start: datetime
    end: datetime
    files: int
    content_bytes: int | None
    files_per_day: float


@dataclass(frozen=True, slots=True)
class Way:
    """A way to compress, and what it would come to. Bytes are those of shards and dictionaries.

    `cpu_us` is processor time of compressing and decoding one file; `is_best` where no other way is
    both smaller and faster.
    """

    codec: str
    level: int | None
    dictionary: bool
    ratio: float
    cpu_us: float
    pending_bytes: int = 0
    pending_s: float = 0.0
    year_bytes: int = 0
    year_s: float = 0.0
    price_pending: float | None = None
    price_year: float | None = None
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class CompressionPlan:
    """The ways in order, and what they were tried on."""

    pending: Pending
    days: int
    files: int
    content_bytes: int
    unreadable: int
    ways: tuple[Way, ...]


@dataclass(slots=True)
class _Day:
    """Files of one day; `dictionary` is None where it would not pay. To know it took `training_s`
    of processor time."""

    files: list[FoundFile]
    dictionary: Dictionary | None
    training_s: float


@dataclass(slots=True)
class _Tried:
    """What compressing came to."""

    files: int = 0
    content: int = 0
    stored: int = 0
    cpu_s: float = 0.0
    dictionaries: list[int] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Bytes stored for each byte of content."""
        return self.stored / self.content if self.content else 1.0


def plan_compression(
    source: SourceReader,
    config: PackerConfig,
    pending: Pending,
    *,
    seed: int,
    cores: int,
    file_s: float = FILE_S,
    price_per_tb: float | None = None,
    check: Callable[[], None] = lambda: None,
) -> CompressionPlan:
    """Try each way. `file_s` is the processor time of a file apart from what is tried here."""
    windows = choose_days(source, pending.start - _TICK, pending.end, seed)
    a_day = TRIED_BYTES // max(1, len(windows))
    days = [_read_day(source, config, window, a_day, check) for window in windows]
    files = [file for day in days for file in day.files]
    readable = [file for file in files if file.size is not None]
    content = sum(file.size or 0 for file in readable)
    mean = content / len(readable) if readable else 0.0
    if pending.content_bytes is None:
        pending = replace(pending, content_bytes=round(mean * pending.files))
    training_s = sum(day.training_s for day in days) / max(1, len(days))
    costs = _Costs(file_s, training_s, config.n_bits, cores)
    scale = _Scale(pending, mean, _mean_uid(readable), costs, price_per_tb)
    ways = []
    fast = {using: _try_on(days, FAST, using, TRIED_BYTES) for using in (False, True)}
    for compression, dictionary in _ways():
        check()
        tried = _try(days, compression, dictionary, fast[dictionary])
        ways.append(scale.way(compression, tried, dictionary))
    return CompressionPlan(
        pending,
        days=len(days),
        files=len(readable),
        content_bytes=content,
        unreadable=len(files) - len(readable),
        ways=_mark_best(ways),
    )


def choose_days(
    source: SourceReader, start: datetime, end: datetime, seed: int
) -> list[tuple[datetime, datetime]]:
    """Windows of some UTC days that hold rows, the oldest first."""
    first, last = source.first_created_at(start, end), source.last_created_at(start, end)
    if first is None or last is None:
        return []
    span = (floor_day(last) - floor_day(first)).days + 1
    chosen = range(span)
    if span > DAYS:
        chance = random.Random(seed)  # noqa: S311 - not for secrets
        chosen = sorted(chance.sample(range(span), DAYS))  # type: ignore[assignment]
    found: dict[datetime, tuple[datetime, datetime]] = {}
    for number in chosen:
        after = floor_day(first) + timedelta(days=number) - _TICK
        moment = source.first_created_at(max(after, start), end)
        if moment is not None:
            day = floor_day(moment)
            window = (max(day - _TICK, start), min(day + timedelta(days=1) - _TICK, end))
            found[day] = window
    return [found[day] for day in sorted(found)]


def _read_day(
    source: SourceReader,
    config: PackerConfig,
    window: tuple[datetime, datetime],
    limit: int,
    check: Callable[[], None],
) -> _Day:
    rows, total = sample_rows(source, window)
    files: list[FoundFile] = []
    left = limit
    for file in read_files(rows, config, check):
        files.append(file)
        left -= len(file.content or b"")
        if left <= 0:
            break
    began = process_time()
    sample = chosen_for_training(files, total)
    trained = train(sample.contents, Compression(level=config.level), sample.share)
    dictionary = None if trained.content is None else with_id(trained.content, FIRST_ID)
    looked_at = files[: sample.looked_at]
    tried = files if len(files) >= total else _not_trained_on(looked_at) + files[len(looked_at) :]
    return _Day(tried, dictionary, process_time() - began)


def _not_trained_on(files: Sequence[FoundFile]) -> list[FoundFile]:
    """As many of those that a dictionary is for as of all others, in their order."""
    shared = skipped = -1
    kept = []
    for file in files:
        if file.may_share:
            shared += 1
        else:
            skipped += 1
        if (shared if file.may_share else skipped) % HELD_BACK == 0:
            kept.append(file)
    return kept


def _ways() -> list[tuple[Compression, bool]]:
    ways = [(Compression(Codec.NONE), False)]
    return ways + [(Compression(level=level), using) for level in LEVELS for using in (False, True)]


def _try(days: Sequence[_Day], compression: Compression, dictionary: bool, fast: _Tried) -> _Tried:
    if compression == FAST:
        return fast
    if compression.codec is Codec.NONE or compression.level < SLOW_FROM:
        return _try_on(days, compression, dictionary, TRIED_BYTES)
    slow, like = (_try_on(days, way, dictionary, SLOW_BYTES) for way in (compression, FAST))
    if not (like.stored and like.cpu_s):
        return slow
    stored = round(fast.stored * slow.stored / like.stored)
    return replace(fast, stored=stored, cpu_s=fast.cpu_s * slow.cpu_s / like.cpu_s)


def _try_on(days: Sequence[_Day], compression: Compression, dictionary: bool, limit: int) -> _Tried:
    tried = _Tried()
    for day in days:
        used = day.dictionary if dictionary else None
        if used is not None:
            tried.dictionaries.append(COPIES * len(used.content))
        _try_day(day.files, compression, used, limit // len(days), tried)
    return tried


def _try_day(
    files: Sequence[FoundFile],
    compression: Compression,
    dictionary: Dictionary | None,
    limit: int,
    tried: _Tried,
) -> None:
    encoder = PayloadEncoder(compression, dictionary)
    decoder = PayloadDecoder(None if dictionary is None else DictionaryShelf([dictionary]))
    chosen: list[FoundFile] = []
    for file in files:
        if limit <= 0:
            break
        if file.size is None:
            continue
        chosen.append(file)
        limit -= len(file.content or b"")
        tried.files += 1
        tried.content += file.size
        tried.stored += 0 if file.content is not None else file.size
    contents = [file.content for file in chosen if file.content is not None]
    raw = [file.is_raw for file in chosen if file.content is not None]
    began = process_time()
    codecs, stored = encoder.encode_many(contents, raw)
    for codec, payload, content in zip(codecs, stored, contents, strict=True):
        decoder.decode(codec, payload, len(content))
    tried.cpu_s += process_time() - began
    tried.stored += sum(map(len, stored))


@dataclass(frozen=True, slots=True)
class _Costs:
    """What packing takes beside compressing and decoding: of files, of shards, of training."""

    file_s: float
    training_s: float
    n_bits: int
    cores: int

    def seconds(self, files: int, days: int, cpu_s: float, dictionary: bool) -> float:
        """Of so many files on so many days, by all cores."""
        shards = days * shards_of(round(files / days), self.n_bits) if days else 0.0
        training = days * self.training_s if dictionary else 0.0
        total = files * (self.file_s + cpu_s) + shards * SHARD_S + training
        return round(total / self.cores, 3)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From what was tried to all that waits, and to a year."""

    pending: Pending
    mean_bytes: float
    mean_uid: float
    costs: _Costs
    price_per_tb: float | None

    def way(self, compression: Compression, tried: _Tried, dictionary: bool) -> Way:
        cpu_s = tried.cpu_s / tried.files if tried.files else 0.0
        days = (floor_day(self.pending.end) - floor_day(self.pending.start)).days + 1
        days = min(days, self.pending.files)
        pending = self._bytes(self.pending.content_bytes or 0, self.pending.files, days, tried)
        a_year = round(self.pending.files_per_day * YEAR_DAYS)
        year = self._bytes(self.mean_bytes * a_year, a_year, YEAR_DAYS, tried)
        is_none = compression.codec is Codec.NONE
        return Way(
            codec="none" if is_none else "zstd",
            level=None if is_none else compression.level,
            dictionary=dictionary,
            ratio=round(1 / tried.share, 3) if tried.share else 1.0,
            cpu_us=round(cpu_s * 1e6, 2),
            pending_bytes=pending,
            pending_s=self.costs.seconds(self.pending.files, days, cpu_s, dictionary),
            year_bytes=year,
            year_s=self.costs.seconds(a_year, YEAR_DAYS, cpu_s, dictionary),
            price_pending=self._price(pending),
            price_year=self._price(year),
        )

    def _bytes(self, content: float, files: int, days: int, tried: _Tried) -> int:
        index = files * (INDEX_ENTRY_BYTES + self.mean_uid)
        sizes = tried.dictionaries
        dictionaries = days * sum(sizes) / len(sizes) if sizes else 0.0
        return round(content * tried.share + index + dictionaries)

    def _price(self, size_bytes: int) -> float | None:
        return None if self.price_per_tb is None else size_bytes / TB * self.price_per_tb


def _mean_uid(files: Sequence[FoundFile]) -> float:
    return sum(len(file.uid.encode("utf-8", "replace")) for file in files) / max(1, len(files))


def _mark_best(ways: Sequence[Way]) -> tuple[Way, ...]:
    """Those that no other beats in both size and time."""
    return tuple(
        replace(
            way,
            is_best=not any(
                other.pending_bytes <= way.pending_bytes
                and other.cpu_us <= way.cpu_us
                and (other.pending_bytes, other.cpu_us) != (way.pending_bytes, way.cpu_us)
                for other in ways
            ),
        )
        for way in ways
    )
