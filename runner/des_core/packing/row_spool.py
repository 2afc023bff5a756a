"""A slice's rows as tasks: one for each (UTC day, bucket), or several where one would be too big.

Numeric uids may share their last bits (many generators of ids end in a counter that is mostly
zero), so one bucket may hold nearly all rows of a day. Such a bucket is cut into chunks by
another hash of the uid: equal uids stay together, and all workers have something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Self
from zlib import crc32

from des_core.basics.routing import buckets_of
from des_core.basics.timestamps import US_PER_DAY, day_of_us
from des_core.packing.row_groups import MEMORY_LIMIT, RowGroup, RowGroups, decode_rows
from des_core.packing.tasks import ShardTask
from des_core.records import SourceRow

__all__ = ["RowSpool", "decode_rows"]

# As many entries as an index is pleasant to read with.
CHUNK_ROWS = 65_536
BUCKET_BITS = 16
BUCKET_MASK = (1 << BUCKET_BITS) - 1

ShardNames = tuple[str, ...]


class RowSpool:
    """Add rows, then take the tasks; a context manager, because of its temporary file.

    `directory` is where that file goes when it is needed; it never has a name there.
    """

    def __init__(
        self,
        n_bits: int,
        directory: str,
        *,
        memory_limit: int = MEMORY_LIMIT,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self.rows = 0
        self.content_bytes = 0
        self._n_bits = n_bits
        self._directory = directory
        self._limit = memory_limit
        self._chunk_rows = chunk_rows
        self._groups = RowGroups(directory, memory_limit)
        self._days: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, rows: Sequence[SourceRow]) -> None:
        """Take rows of a slice, in any order. `StorageError` if the temporary file fails."""
        days = [row[1] // US_PER_DAY for row in rows]
        buckets = buckets_of([row[0] for row in rows], self._n_bits)
        keys = [day << BUCKET_BITS | bucket for day, bucket in zip(days, buckets, strict=True)]
        self._groups.add(keys, rows)
        self._days.update(days)
        self.rows += len(rows)
        self.content_bytes += sum([row[3] for row in rows if row[3] is not None and row[3] > 0])

    def days(self) -> set[date]:
        """The UTC days of all rows."""
        return {day_of_us(day * US_PER_DAY) for day in self._days}

    def tasks(
        self,
        existing: Mapping[tuple[date, int], ShardNames] | None = None,
        known: Container[str] = (),
        dictionary_of: Callable[[date], str | None] = lambda _: None,
        lost: Mapping[tuple[date, int], int] | None = None,
    ) -> Iterator[ShardTask]:
        """The tasks in the order of (day, bucket, chunk), each made when it is asked for.

        `existing` are the shards in storage, `known` the names that the ledger has, and
        `dictionary_of` names what the small files of a day are compressed with, `lost` the
        highest part that the ledger has and the storage has not.
        """
        there, gone = existing or {}, lost or {}
        for key, groups in groupby(self._groups.merged(), itemgetter(0)):
            day, bucket = day_of_us((key >> BUCKET_BITS) * US_PER_DAY), key & BUCKET_MASK
            names = there.get((day, bucket), ())
            unknown = frozenset(name for name in names if name not in known)
            whole = ShardTask(
                day,
                bucket,
                b"",
                existing=names,
                unknown=unknown,
                dictionary=dictionary_of(day),
                lost=gone.get((day, bucket), -1),
            )
            yield from self._tasks_of(whole, list(groups))

    def close(self) -> None:
        """Give back memory and disk space."""
        self._groups.close()

    def _tasks_of(self, whole: ShardTask, groups: list[RowGroup]) -> Iterator[ShardTask]:
        chunks = -(-sum(group.rows for group in groups) // self._chunk_rows)
        if chunks == 1:
            yield _with_rows(whole, self._groups, groups)
            return
        with RowGroups(self._directory, self._limit) as finer:
            for group in groups:
                rows = decode_rows(self._groups.load(group))
                finer.add([_chunk_of(row[0], chunks) for row in rows], rows)
            adopts = True
            for chunk, parts in groupby(finer.merged(), itemgetter(0)):
                task = _with_rows(whole, finer, list(parts))
                yield replace(task, chunk=chunk, chunks=chunks, adopts=adopts)
                adopts = False


def _chunk_of(uid: str, chunks: int) -> int:
    # The low half of the same sum may be what brought the rows into this bucket.
    return (crc32(uid.encode("utf-8", "surrogatepass")) >> BUCKET_BITS) % chunks


def _with_rows(whole: ShardTask, groups: RowGroups, parts: list[RowGroup]) -> ShardTask:
    return replace(
        whole,
        rows=b"".join([groups.load(part) for part in parts]),
        count=sum(part.rows for part in parts),
        content_bytes=sum(part.content_bytes for part in parts),
    )
