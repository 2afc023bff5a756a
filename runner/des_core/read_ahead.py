"""Reads the files of rows in order: one by one while that is fast, many at once when it is slow.

A local file costs microseconds, and threads would only cost more. Where each open takes
milliseconds, up to `concurrency` reads are in flight, bounded by the bytes that they may bring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter

from des_core.packer_planner import MIB, SourceRow
from des_core.source_files import BigSource, SourceOpener
from des_core.source_roots import SourceFailure

# Above this, on average, a read is worth a thread.
SLOW_S = 0.001
# Enough reads to tell slow from once unlucky.
JUDGED_READS = 8
BYTES_IN_FLIGHT = 64 * MIB
UNKNOWN_SIZE = 1 * MIB

Content = bytes | BigSource | SourceFailure
_InFlight = tuple[SourceRow, "Future[Content]", int]


class ReadAhead:
    """Reads rows' files; once sources have turned out to be slow, it stays with threads."""

    def __init__(
        self, sources: SourceOpener, concurrency: int, check: Callable[[], None] = lambda: None
    ) -> None:
        """`check` is called before each file, and raises to interrupt the packing."""
        self._sources = sources
        self._concurrency = concurrency
        self._check = check
        self._threads: ThreadPoolExecutor | None = None
        self._largest = UNKNOWN_SIZE

    @property
    def is_slow(self) -> bool:
        """Whether reads have turned out to be worth a thread each."""
        return self._threads is not None

    def read(self, rows: Iterable[SourceRow]) -> Generator[tuple[SourceRow, Content], None, None]:
        """Each row with its content, or with why there is none. Close the iterator when done."""
        rest = iter(rows)
        if self._threads is None:
            yield from self._read_singly(rest)
        yield from self._read_many(rest)
        self._sources.release()

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    def _read_singly(self, rows: Iterator[SourceRow]) -> Iterator[tuple[SourceRow, Content]]:
        """Until the rows end, or until reading turns out to be slow."""
        check, read = self._check, self._sources.read
        count, spent_s = 0, 0.0
        for row in rows:
            check()
            content: Content
            started = perf_counter()
            try:
                content = read(row[2], row[3])
            except SourceFailure as failure:
                content = failure
            spent_s += perf_counter() - started
            yield row, content
            count += 1
            if count == JUDGED_READS:
                if spent_s > SLOW_S * count and self._concurrency > 1:
                    self._threads = ThreadPoolExecutor(self._concurrency, "read-source")
                    return
                count, spent_s = 0, 0.0

    def _read_many(self, rows: Iterator[SourceRow]) -> Iterator[tuple[SourceRow, Content]]:
        """The rest of the rows, through threads, in their order."""
        window: deque[_InFlight] = deque()
        bytes_in_flight = 0
        try:
            for row in rows:
                self._check()
                expected = self._largest if row.size_bytes is None else row.size_bytes
                while window and (
                    len(window) >= self._concurrency or bytes_in_flight + expected > BYTES_IN_FLIGHT
                ):
                    yield self._take(window[0])
                    bytes_in_flight -= window.popleft()[2]
                window.append((row, self._submit(row), expected))
                bytes_in_flight += expected
            while window:
                yield self._take(window[0])
                window.popleft()
        finally:
            _abandon(window)

    def _submit(self, row: SourceRow) -> Future[Content]:
        if self._threads is None:
            raise RuntimeError("the reader is closed")
        return self._threads.submit(self._attempt, row)

    def _attempt(self, row: SourceRow) -> Content:
        try:
            return self._sources.read(row.location, row.size_bytes)
        except SourceFailure as failure:
            return failure

    def _take(self, read: _InFlight) -> tuple[SourceRow, Content]:
        content = read[1].result()
        if isinstance(content, bytes):
            self._largest = max(self._largest, len(content))
        return read[0], content


def _abandon(window: deque[_InFlight]) -> None:
    """Close big files that were opened and that nobody will copy."""
    for _, future, _ in window:
        if not future.cancel():
            with suppress(Exception):
                content = future.result()
                if not isinstance(content, (bytes, SourceFailure)):
                    content.close()
