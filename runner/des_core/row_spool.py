"""A slice's rows, parted by (UTC day, bucket) in bounded memory.

Rows come in any order. Whatever is held beyond the limit goes to one unnamed temporary file as
a run: a sequence of groups in the order of their keys. Reading merges the runs, so neither
millions of rows nor the places of millions of groups are ever in memory at once.
"""

from __future__ import annotations

import heapq
import marshal
import os
import tempfile
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import groupby
from operator import itemgetter
from struct import Struct
from types import TracebackType
from typing import IO, NamedTuple, Self

from des_core.errors import DamagedData
from des_core.packer_planner import MIB, ShardTask, SourceRow
from des_core.routing import buckets_of
from des_core.storage_errors import storage_error
from des_core.timestamps import US_PER_DAY, day_of_us

MEMORY_LIMIT = 32 * MIB
READ_AHEAD = 128 << 10
WRITE_SIZE = 1 << 20
# What CPython takes for a row besides its text: the tuple, two strings, a number, list slots.
ROW_OVERHEAD = 256
BUCKET_BITS = 16
LARGEST_SUM = (1 << 64) - 1
BUCKET_MASK = (1 << BUCKET_BITS) - 1

# Version 2 is the newest without back references, which cost time and save nothing here.
MARSHAL_VERSION = 2
# Key, size of the rows' content, size of their encoding.
_HEADER = Struct("<qQQ")
_LENGTH = Struct("<Q")


class _Group(NamedTuple):
    """Rows of one (day, bucket), which is the key; `content_bytes` as far as it is known."""

    key: int
    content_bytes: int
    rows: bytes


class RowSpool:
    """Add rows, then take the tasks; a context manager, because of the temporary file.

    `directory` is where that file goes when it is needed; it never has a name there.
    """

    def __init__(self, n_bits: int, directory: str, *, memory_limit: int = MEMORY_LIMIT) -> None:
        self.rows = 0
        self._n_bits = n_bits
        self._directory = directory
        self._limit = memory_limit
        self._groups: defaultdict[int, list[SourceRow]] = defaultdict(list)
        self._held = 0
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []
        self._days: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, rows: Sequence[SourceRow]) -> None:
        """Take rows of a slice, in any order. `StorageError` if the temporary file fails."""
        groups = self._groups
        buckets = buckets_of([row[0] for row in rows], self._n_bits)
        for row, bucket in zip(rows, buckets, strict=True):
            groups[row[1] // US_PER_DAY << BUCKET_BITS | bucket].append(row)
        self.rows += len(rows)
        self._held += sum([len(row[0]) + len(row[2] or "") for row in rows])
        self._held += ROW_OVERHEAD * len(rows)
        if self._held > self._limit:
            self._flush()

    def days(self) -> set[date]:
        """The UTC days of all rows."""
        days = self._days.union(key >> BUCKET_BITS for key in self._groups)
        return {day_of_us(day * US_PER_DAY) for day in days}

    def tasks(
        self,
        existing: Mapping[tuple[date, int], tuple[str, ...]] | None = None,
        known: Container[str] = (),
    ) -> Iterator[ShardTask]:
        """The tasks in the order of (day, bucket), each made when it is asked for.

        `existing` are the shards in storage, `known` the names that the ledger has.
        """
        there = existing or {}
        for key, group in groupby(self._merge_runs(), itemgetter(0)):
            day = day_of_us((key >> BUCKET_BITS) * US_PER_DAY)
            names = there.get((day, key & BUCKET_MASK), ())
            parts = list(group)
            yield ShardTask(
                day=day,
                bucket=key & BUCKET_MASK,
                rows=b"".join([part.rows for part in parts]),
                existing=names,
                unknown=frozenset(name for name in names if name not in known),
                content_bytes=sum(part.content_bytes for part in parts),
            )

    def close(self) -> None:
        """Give back memory and disk space."""
        self._groups.clear()
        self._runs.clear()
        if self._file is not None:
            # On a full disk closing flushes once more, and fails once more.
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _merge_runs(self) -> Iterator[_Group]:
        runs = [self._read_run(start, end) for start, end in self._runs]
        return heapq.merge(*runs, self._groups_held(), key=itemgetter(0))

    def _groups_held(self) -> Iterator[_Group]:
        for key in sorted(self._groups):
            yield _encode_group(key, self._groups[key])

    def _flush(self) -> None:
        """Write the groups held as one run at the end of the file."""
        try:
            if self._file is None:
                self._file = _temporary_file(self._directory)
            start = self._runs[-1][1] if self._runs else 0
            for group in self._groups_held():
                self._file.write(_HEADER.pack(group.key, group.content_bytes, len(group.rows)))
                self._file.write(group.rows)
            self._file.flush()
            self._runs.append((start, self._file.tell()))
        except OSError as exc:
            raise storage_error(
                "cannot write the temporary file of rows", exc, self._directory
            ) from exc
        self._days.update(key >> BUCKET_BITS for key in self._groups)
        self._groups.clear()
        self._held = 0

    def _read_run(self, start: int, end: int) -> Iterator[_Group]:
        """The groups of a run, read ahead a little at a time."""
        buffer, at, place = b"", 0, start
        while place < end or at < len(buffer):
            wanted = _HEADER.size
            if len(buffer) - at >= wanted:
                key, content_bytes, length = _HEADER.unpack_from(buffer, at)
                wanted += length
                if len(buffer) - at >= wanted:
                    yield _Group(key, content_bytes, buffer[at + _HEADER.size : at + wanted])
                    at += wanted
                    continue
            more = self._pread(place, max(READ_AHEAD, wanted - (len(buffer) - at)), end)
            place += len(more)
            buffer, at = buffer[at:] + more, 0

    def _pread(self, offset: int, length: int, end: int) -> bytes:
        if self._file is None:
            raise DamagedData("the temporary file of rows is closed")
        try:
            data = os.pread(self._file.fileno(), min(length, end - offset), offset)
        except OSError as exc:
            raise storage_error(
                "cannot read the temporary file of rows", exc, self._directory
            ) from exc
        if not data:
            raise DamagedData("the temporary file of rows is cut", offset=offset, end=end)
        return data


def _temporary_file(directory: str) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory, buffering=WRITE_SIZE)


def decode_rows(encoded: bytes) -> list[SourceRow]:
    """The rows of a `ShardTask`, in the order in which the spool met them."""
    rows: list[SourceRow] = []
    view, at = memoryview(encoded), 0
    while at < len(encoded):
        (length,) = _LENGTH.unpack_from(encoded, at)
        at += _LENGTH.size
        # Not pickle: loading it cannot run anything, and plain columns need no more.
        columns = marshal.loads(view[at : at + length])  # noqa: S302
        rows.extend(map(SourceRow._make, zip(*columns, strict=True)))
        at += length
    return rows


def _encode_group(key: int, rows: Sequence[SourceRow]) -> _Group:
    columns = tuple(zip(*rows, strict=True))
    content_bytes = sum([size for size in columns[3] if size is not None and size > 0])
    blob = marshal.dumps(columns, MARSHAL_VERSION)
    return _Group(key, min(content_bytes, LARGEST_SUM), _LENGTH.pack(len(blob)) + blob)
