"""Some files of a window: bounded in rows and bytes, spread over its time, the same each time.

They are chosen from all rows of the window, whoever packs which of them: so sharded workers train
the same dictionary, and a single one does.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

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
    """Files of a window that a dictionary may be for. What cannot be read is passed over here."""
    rows, total = sample_rows(source, window)
    with closing(read_files(rows, config, check)) as found:
        return chosen_for_training(found, total)


def chosen_for_training(files: Iterable[FoundFile], total: int) -> Sample:
    """The first of the files up to `SAMPLE_BYTES`, of so many in all."""
    looked_at = 0
    contents: list[bytes] = []
    left = SAMPLE_BYTES
    for file in files:
        looked_at += 1
        if file.content is not None and file.may_share:
            contents.append(file.content)
            left -= len(file.content)
        if left <= 0:
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
        rows = list({row for some in found for row in _without_cut_moment(some, size)})
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
        location = row.location or ""
        is_raw = location[location.rfind(".") + 1 :].lower() in skipped
        return FoundFile(row.uid, len(content), content, is_raw)
    if isinstance(content, SourceFailure):
        return FoundFile(row.uid, None, None, is_raw=True)
    return FoundFile(row.uid, row.size_bytes or 0, None, is_raw=True)


def _without_cut_moment(rows: list[SourceRow], size: int) -> list[SourceRow]:
    """Of rows of one moment, a server gives any: those of the last one may not be all."""
    if len(rows) < size or rows[0].created_us == rows[-1].created_us:
        return rows
    return [row for row in rows if row.created_us != rows[-1].created_us]


def _by_chance(row: SourceRow) -> tuple[int, str, int]:
    return crc32(row.uid.encode("utf-8", "surrogatepass")), row.uid, row.created_us
