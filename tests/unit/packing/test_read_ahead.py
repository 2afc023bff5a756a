"""Reading ahead: order kept, fast sources read singly, slow ones many at once, bytes bounded."""

import threading
import time
from collections.abc import Sequence
from typing import BinaryIO

import pytest

from des_core.basics.errors import StorageError
from des_core.records import Reason, SourceRow
from des_core.shard_io import BigFile
from des_core.sources.files import BigSource, Content
from des_core.sources.read_ahead import BYTES_IN_FLIGHT, JUDGED_READS, ReadAhead
from des_core.sources.roots import SourceFailure


class Sources:
    """Answers after a delay; counts how many reads are under way at once.

    Its clock counts the delays of the calling thread only: a busy machine changes nothing.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.under_way = 0
        self.most = 0
        self.bytes_now = 0
        self.most_bytes = 0
        self.opened: list[Big] = []
        self._lock = threading.Lock()
        self._delayed = threading.local()

    def clock(self) -> float:
        return getattr(self._delayed, "total_s", 0.0)

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        with self._lock:
            self.under_way += 1
            self.bytes_now += size_bytes or 0
            self.most = max(self.most, self.under_way)
            self.most_bytes = max(self.most_bytes, self.bytes_now)
        if self.delay_s:
            time.sleep(self.delay_s)
        self._delayed.total_s = self.clock() + self.delay_s
        with self._lock:
            self.under_way -= 1
            self.bytes_now -= size_bytes or 0
        return self._answer(location or "")

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        return [self._read_or_fail(row) for row in rows]

    def _read_or_fail(self, row: SourceRow) -> Content:
        try:
            return self.read(row.location, row.size_bytes)
        except SourceFailure as failure:
            return failure

    def release(self) -> None:
        return None

    def _answer(self, location: str) -> bytes | BigSource:
        if location == "bad":
            raise SourceFailure(Reason.MISSING, "gone")
        if location == "fatal":
            raise StorageError("no more handles")
        if location == "big":
            self.opened.append(Big())
            return self.opened[-1]
        return location.encode()


class Big:
    """A big file that knows whether it was closed."""

    size = 1 << 30

    def __init__(self) -> None:
        self.closed = False

    def copy_to(self, destination: BinaryIO) -> BigFile:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


def rows(count: int, size: int | None = 1) -> list[SourceRow]:
    return [SourceRow(str(n), n, f"content {n}", size) for n in range(count)]


def contents(reader: ReadAhead, wanted: list[SourceRow]) -> list[Content]:
    found = list(reader.read(wanted))
    assert [row for rows, _ in found for row in rows] == wanted
    return [content for _, contents in found for content in contents]


@pytest.fixture
def slow() -> Sources:
    return Sources(delay_s=0.01)


def test_fast_sources_are_read_one_by_one() -> None:
    sources = Sources()
    reader = ReadAhead(sources, 8, clock=sources.clock)
    assert contents(reader, rows(500)) == [f"content {n}".encode() for n in range(500)]
    assert sources.most == 1
    assert not reader.is_slow


def test_slow_sources_are_read_many_at_once_and_in_order(slow: Sources) -> None:
    reader = ReadAhead(slow, 8, clock=slow.clock)
    assert contents(reader, rows(100)) == [f"content {n}".encode() for n in range(100)]
    assert slow.most == 8
    assert reader.is_slow
    slow.delay_s = 0
    contents(reader, rows(300))
    assert not reader.is_slow
    reader.close()


def test_one_at_a_time_when_asked_for(slow: Sources) -> None:
    contents(ReadAhead(slow, 1, clock=slow.clock), rows(3 * JUDGED_READS))
    assert slow.most == 1


def test_bytes_in_flight_are_bounded(slow: Sources) -> None:
    reader = ReadAhead(slow, 64, clock=slow.clock)
    reader.is_slow = True
    contents(reader, rows(60, size=BYTES_IN_FLIGHT // 5))
    assert slow.most <= 5
    assert slow.most_bytes <= BYTES_IN_FLIGHT
    contents(reader, rows(3, size=BYTES_IN_FLIGHT * 2))
    reader.close()


def test_failures_are_values_and_fatal_errors_are_raised(slow: Sources) -> None:
    wanted = rows(30)
    wanted[3] = wanted[3]._replace(location="bad")
    wanted[25] = wanted[25]._replace(location="bad")
    reader = ReadAhead(slow, 4, clock=slow.clock)
    found = contents(reader, wanted)
    assert [n for n, content in enumerate(found) if isinstance(content, SourceFailure)] == [3, 25]
    wanted[28] = wanted[28]._replace(location="fatal")
    with pytest.raises(StorageError):
        contents(reader, wanted)
    reader.close()


def test_big_files_that_nobody_takes_are_closed(slow: Sources) -> None:
    reader = ReadAhead(slow, 4, clock=slow.clock)
    reader.is_slow = True
    found = reader.read([row._replace(location="big") for row in rows(20)])
    next(found)
    found.close()
    reader.close()
    assert len(slow.opened) >= 4
    assert all(big.closed for big in slow.opened[1:])
