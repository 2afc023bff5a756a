"""Some files of a window: bounded in rows and bytes, spread over its time, the same each time.

They are chosen from all rows of the window, whoever packs which of them: so sharded workers train
the same dictionary, and a single one does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from itertools import chain
from zlib import crc32

from des_core.basics.timestamps import from_us
from des_core.packer_planner import MIB, PackerConfig
from des_core.records import SourceRow
from des_core.rows.reader import SourceReader
from des_core.shard_io.codecs import DICTIONARY_LIMIT
from des_core.sources.files import Content
from des_core.sources.mixed import MixedSources
from des_core.sources.read_ahead import ReadAhead
from des_core.sources.roots import SourceFailure

SAMPLE_ROWS = 2048
# From so many moments of a window with more rows than that, so many rows each.
MOMENTS = 16
SAMPLE_BYTES = 4 * MIB
# Of files that prove too large for a dictionary, where no row says so beforehand.
READ_BYTES = 64 * MIB
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """`contents` of small files, for which `looked_at` files of `total` were looked at."""

    contents: list[bytes]
    looked_at: int
    total: int

    @property
    def share(self) -> float:
        """How large a part of all files of the window was looked at."""
        return self.looked_at / self.total if self.total and self.looked_at else 1.0


@dataclass(frozen=True, slots=True)
class FoundFile:
    """What came of reading a row's file. `size` is None where it cannot be read.

    `content` is None for a big file too, which no shard holds; `is_raw`: it is stored as it is.
    """

    uid: str
    size: int | None
    content: bytes | None
    is_raw: bool

    @property
    def may_share(self) -> bool:
        """Whether a dictionary may be for it."""
        return not self.is_raw and 0 < len(self.content or b"") <= DICTIONARY_LIMIT


def take_sample(
    source: SourceReader,
    config: PackerConfig,
    window: tuple[datetime, datetime],
    check: Callable[[], None] = lambda: None,
) -> Sample:
    """Files of a window that a dictionary may be for. What cannot be read is passed over here, and
    files of which their rows say that no dictionary is for them are not opened."""
    rows, total = sample_rows(source, window)
    wanted = [row for row in rows if _is_candidate(row, config.skip_extensions)]
    with closing(read_files(wanted, config, check)) as found:
        return chosen_for_training(_in_order(rows, wanted, found), total)


def _in_order(
    rows: Sequence[SourceRow], wanted: Sequence[SourceRow], found: Iterator[FoundFile]
) -> Iterator[FoundFile]:
    """What came of each row, in the order of all of them."""
    opened = set(map(id, wanted))
    for row in rows:
        if id(row) in opened:
            yield next(found)
        else:
            yield FoundFile(row.uid, row.size_bytes or 0, None, is_raw=True)


def _is_candidate(row: SourceRow, skipped: Container[str]) -> bool:
    size = row.size_bytes
    return (size is None or 0 < size <= DICTIONARY_LIMIT) and not _is_skipped(row, skipped)


def chosen_for_training(files: Iterable[FoundFile], total: int) -> Sample:
    """The first of the files up to `SAMPLE_BYTES`, of so many in all."""
    looked_at = 0
    contents: list[bytes] = []
    left, may_read = SAMPLE_BYTES, READ_BYTES
    for file in files:
        looked_at += 1
        may_read -= len(file.content or b"")
        if file.content is not None and file.may_share:
            contents.append(file.content)
            left -= len(file.content)
        if left <= 0 or may_read <= 0:
            break
    return Sample(contents, looked_at, total)


def sample_rows(
    source: SourceReader, window: tuple[datetime, datetime]
) -> tuple[list[SourceRow], int]:
    """Rows in an order that has nothing to do with time, and how many the window has."""
    start, end = window
    (rows,) = source.first_rows([window], SAMPLE_ROWS)
    total = len(rows)
    if total == SAMPLE_ROWS:
        total = source.count(start, end)
        first = source.first_created_at(start, end) or start
        last = source.last_created_at(start, end) or end
        step = (last - first) / MOMENTS
        moments = [start, *(first + step * number for number in range(1, MOMENTS))]
        size = SAMPLE_ROWS // MOMENTS
        found = source.first_rows([(moment, end) for moment in moments], size)
        rows = list(_whole_moments(source, found, size))
    return sorted(rows, key=_by_chance), max(total, len(rows))


def read_files(
    rows: Sequence[SourceRow], config: PackerConfig, check: Callable[[], None] = lambda: None
) -> Generator[FoundFile, None, None]:
    """The file of each row, opened as packing opens it."""
    reader = ReadAhead(
        MixedSources(config, check),
        config.read_concurrency,
        check,
        remote_concurrency=config.object_store.requests_in_flight,
    )
    try:
        with closing(reader.read(rows)) as batches:
            for some_rows, contents in batches:
                for row, content in zip(some_rows, contents, strict=True):
                    yield _found(row, content, config.skip_extensions)
    finally:
        reader.close()


def _found(row: SourceRow, content: Content, skipped: Container[str]) -> FoundFile:
    if isinstance(content, bytes):
        return FoundFile(row.uid, len(content), content, _is_skipped(row, skipped))
    if isinstance(content, SourceFailure):
        return FoundFile(row.uid, None, None, is_raw=True)
    return FoundFile(row.uid, content.size or row.size_bytes or 0, None, is_raw=True)


def _is_skipped(row: SourceRow, skipped: Container[str]) -> bool:
    """Whether its name says that it is compressed already, so that it is stored as it is."""
    location = row.location or ""
    return location[location.rfind(".") + 1 :].lower() in skipped


def _whole_moments(
    source: SourceReader, found: Iterable[list[SourceRow]], size: int
) -> set[SourceRow]:
    """Of rows of one moment a server gives any: where it cut one, all of that moment are left out.

    Where there is no other, some are chosen from all that it has.
    """
    kept: set[SourceRow] = set()
    crowded: set[int] = set()
    for rows in found:
        last_us = rows[-1].created_us if len(rows) == size else None
        kept.update(row for row in rows if row.created_us != last_us)
        if last_us is not None and rows[0].created_us == last_us:
            crowded.add(last_us)
    for moment in map(from_us, crowded):
        pages = source.rows(moment - _TICK, moment)
        kept.update(nsmallest(size, chain.from_iterable(pages), key=_by_chance))
    return kept


def _by_chance(row: SourceRow) -> tuple[int, str, int]:
    return crc32(row.uid.encode("utf-8", "surrogatepass")), row.uid, row.created_us
