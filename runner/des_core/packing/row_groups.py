"""Rows by an integer key, in bounded memory.

Whatever is held beyond the limit goes to one unnamed temporary file as a run: a sequence of
groups in the order of their keys. Reading merges the runs, so neither millions of rows nor the
places of millions of groups are ever in memory at once.
"""

from __future__ import annotations

import heapq
import marshal
import os
import tempfile
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from struct import Struct
from typing import IO, Any, NamedTuple, Self

from des_core.basics.errors import DamagedData
from des_core.basics.storage_errors import storage_error
from des_core.packer_planner import MIB
from des_core.records import SourceRow

MEMORY_LIMIT = 32 * MIB
READ_AHEAD = 64 << 10
WRITE_SIZE = 1 << 20
# A group with a longer encoding stays in the file until it is loaded.
INLINE_SIZE = 64 << 10
# What CPython takes for a row besides its text: the tuple, two strings, a number, list slots.
ROW_OVERHEAD = 256
# Rows that a worker has as objects at one time.
BITE_ROWS = 4096
LARGEST_SUM = (1 << 64) - 1

# Version 2 is the newest without back references, which cost time and save nothing here.
MARSHAL_VERSION = 2
# Key, number of rows, size of their content, size of their encoding.
_HEADER = Struct("<qQQQ")
_LENGTH = Struct("<Q")


class RowGroup(NamedTuple):
    """Rows with one key: how many, the bytes of their content as far as they are known.

    They are in `encoded`, or, if that is None, in the file at `offset`.
    """

    key: int
    rows: int
    content_bytes: int
    size: int
    encoded: bytes | None
    offset: int = 0


class RowGroups:
    """Add rows with their keys, then read them back by key; a context manager.

    `directory` is where the temporary file goes if one is needed; it never has a name there.
    """

    def __init__(self, directory: str, memory_limit: int = MEMORY_LIMIT) -> None:
        self._directory = directory
        self._limit = memory_limit
        self._groups: defaultdict[int, list[SourceRow]] = defaultdict(list)
        self._held = 0
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, keys: Iterable[int], rows: Sequence[SourceRow]) -> None:
        """Take rows in any order. `StorageError` if the temporary file fails."""
        groups = self._groups
        for key, row in zip(keys, rows, strict=True):
            groups[key].append(row)
        self._held += sum([len(row[0]) + len(row[2] or "") for row in rows])
        self._held += ROW_OVERHEAD * len(rows)
        if self._held > self._limit:
            self._flush()

    def merged(self) -> Iterator[RowGroup]:
        """All groups in the order of their keys; one key may come several times in a row."""
        runs = [self._read_run(start, end) for start, end in self._runs]
        return heapq.merge(*runs, self._groups_held(), key=itemgetter(0))

    def load(self, group: RowGroup) -> bytes:
        """The encoded rows of a group, for `decode_rows`."""
        if group.encoded is not None:
            return group.encoded
        return self._read(group.offset, group.size)

    def close(self) -> None:
        """Give back memory and disk space."""
        self._groups.clear()
        self._runs.clear()
        if self._file is not None:
            # On a full disk closing flushes once more, and fails once more.
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _groups_held(self) -> Iterator[RowGroup]:
        for key in sorted(self._groups):
            yield _encode_group(key, self._groups[key])

    def _flush(self) -> None:
        """Write the groups held as one run at the end of the file."""
        try:
            if self._file is None:
                self._file = _temporary_file(self._directory)
            start = self._runs[-1][1] if self._runs else 0
            for group in self._groups_held():
                self._file.write(_HEADER.pack(*group[:4]))
                self._file.write(group.encoded or b"")
            self._file.flush()
            self._runs.append((start, self._file.tell()))
        except OSError as exc:
            raise storage_error(
                "cannot write the temporary file of rows", exc, self._directory
            ) from exc
        self._groups.clear()
        self._held = 0

    def _read_run(self, start: int, end: int) -> Iterator[RowGroup]:
        """The groups of a run, small ones read ahead a little at a time."""
        buffer, base, at = b"", start, 0
        while base + at < end:
            if len(buffer) - at < _HEADER.size:
                base, at, buffer = base + at, 0, self._read(base + at, READ_AHEAD, end)
            key, count, content_bytes, size = _HEADER.unpack_from(buffer, at)
            at += _HEADER.size
            if size > INLINE_SIZE:
                yield RowGroup(key, count, content_bytes, size, None, base + at)
            else:
                if len(buffer) - at < size:
                    wanted = max(READ_AHEAD, size)
                    base, at, buffer = base + at, 0, self._read(base + at, wanted, end)
                yield RowGroup(key, count, content_bytes, size, buffer[at : at + size])
            at += size

    def _read(self, offset: int, length: int, end: int | None = None) -> bytes:
        """Bytes of the file; fewer than `length` only at `end`."""
        wanted = length if end is None else min(length, end - offset)
        pieces, got = [], 0
        while got < wanted:
            pieces.append(self._pread(offset + got, wanted - got))
            got += len(pieces[-1])
        return b"".join(pieces)

    def _pread(self, offset: int, length: int) -> bytes:
        if self._file is None:
            raise DamagedData("the temporary file of rows is closed")
        try:
            data = os.pread(self._file.fileno(), length, offset)
        except OSError as exc:
            raise storage_error(
                "cannot read the temporary file of rows", exc, self._directory
            ) from exc
        if not data:
            raise DamagedData("the temporary file of rows is cut", offset=offset)
        return data


def decode_rows(encoded: bytes) -> list[SourceRow]:
    """The rows of one or more groups, in the order in which they were added."""
    rows: list[SourceRow] = []
    for columns in _decode_groups(encoded):
        rows.extend(map(SourceRow._make, zip(*columns, strict=True)))
    return rows


def take_bites(encoded: bytes, count: int, bite_rows: int = BITE_ROWS) -> Iterator[list[SourceRow]]:
    """All `count` rows, some thousand at a time: no row of a bite is newer than one of the next.

    So many rows can be packed in the order of time without being objects all at once. Rows
    with one created_at stay together, however many they are.
    """
    if count <= bite_rows:
        yield decode_rows(encoded)
        return
    moments = array("q")
    for columns in _decode_groups(encoded):
        moments.extend(columns[1])
    ordered = sorted(moments)
    last_moments = ordered[bite_rows - 1 : -1 : bite_rows]
    del moments, ordered
    bites: list[list[bytes]] = [[] for _ in range(len(last_moments) + 1)]
    for columns in _decode_groups(encoded):
        parted: defaultdict[int, list[Any]] = defaultdict(list)
        for row in zip(*columns, strict=True):
            parted[bisect_left(last_moments, row[1])].append(row)
        for number, rows in parted.items():
            bites[number].append(_encode_group(number, rows).encoded or b"")
    for number, bite in enumerate(bites):
        if bite:
            yield decode_rows(b"".join(bite))
            bites[number] = []


def _decode_groups(encoded: bytes) -> Iterator[tuple[Any, ...]]:
    """The columns of one group after the other."""
    view, at = memoryview(encoded), 0
    while at < len(encoded):
        (length,) = _LENGTH.unpack_from(encoded, at)
        at += _LENGTH.size
        # Not pickle: loading it cannot run anything, and plain columns need no more.
        yield marshal.loads(view[at : at + length])  # noqa: S302
        at += length


def _encode_group(key: int, rows: Sequence[SourceRow]) -> RowGroup:
    columns = tuple(zip(*rows, strict=True))
    content_bytes = sum([size for size in columns[3] if size is not None and size > 0])
    blob = marshal.dumps(columns, MARSHAL_VERSION)
    encoded = _LENGTH.pack(len(blob)) + blob
    return RowGroup(key, len(rows), min(content_bytes, LARGEST_SUM), len(encoded), encoded)


def _temporary_file(directory: str) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=directory, buffering=WRITE_SIZE)
