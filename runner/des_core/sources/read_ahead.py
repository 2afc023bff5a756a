"""Reads the files of rows in order: one after the other while that is fast, many at once when slow.

A local file costs microseconds, and threads would only cost more. Where each open takes
milliseconds, up to `concurrency` reads are in flight, bounded by the bytes that they may bring.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter

from des_core.basics.object_config import is_object_url
from des_core.packer_planner import MIB
from des_core.records import SourceRow
from des_core.sources.files import Content, SourceOpener
from des_core.sources.roots import SourceFailure

# A read that takes longer is worth a thread; one that takes less than the second is not.
SLOW_S = 0.001
FAST_S = 0.0003
# Most of so many reads must agree: a busy machine makes one read slow, not most of them.
JUDGED_READS = 16
# Files that are read and then packed together: few enough to be in the processor's cache still.
BATCH_READS = 64
BATCH_BYTES = 512 << 10
BYTES_IN_FLIGHT = 64 * MIB
UNKNOWN_SIZE = 1 * MIB

# Rows with the result of reading each.
Batch = tuple[Sequence[SourceRow], Sequence[Content]]
# The row, its read, and the bytes that it may bring.
_InFlight = tuple[SourceRow, "Future[tuple[Content, float]]", int]


class ReadAhead:
    """Reads rows' files; remembers from task to task whether sources are slow."""

    def __init__(
        self,
        sources: SourceOpener,
        concurrency: int,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = perf_counter,
        *,
        remote_concurrency: int = 1,
    ) -> None:
        """`check` is called before each read or batch, and raises to interrupt the packing.

        `clock` (seconds) is read before and after, in the thread that reads.
        `remote_concurrency` counts once a location is in an object store.
        """
        self._sources = sources
        self._concurrency = concurrency
        self._remote_concurrency = max(concurrency, remote_concurrency)
        self._limit = concurrency
        self._check = check
        self._clock = clock
        self._threads: ThreadPoolExecutor | None = None
        self._largest = UNKNOWN_SIZE
        # Nobody knows yet; later, a batch that took long makes one look closer.
        self._is_suspect = True
        self._judged = self._found_slow = 0
        self.is_slow = False

    def read(self, rows: Sequence[SourceRow]) -> Generator[Batch, None, None]:
        """All rows in batches, each with its content or why there is none. Close it when done.

        A big file may be copied until the next batch is asked for.
        """
        is_remote = any(is_object_url(row[2]) for row in rows)
        self._limit = self._remote_concurrency if is_remote else self._concurrency
        self.is_slow = self.is_slow or is_remote
        at = 0
        while at < len(rows) and not self.is_slow:
            self._check()
            if self._is_suspect:
                yield from self._judge(rows[at])
                at += 1
                continue
            started = self._clock()
            contents = self._sources.read_some(rows[at : at + BATCH_READS], BATCH_BYTES)
            self._is_suspect = self._clock() - started > SLOW_S * len(contents)
            yield from _lend(rows[at : at + len(contents)], contents)
            at += len(contents)
        if at < len(rows):
            yield from self._read_many(iter(rows[at:]))

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    def _judge(self, row: SourceRow) -> Iterator[Batch]:
        """Read one file by itself, until so many were that one can tell: are most of them slow?"""
        content, taken_s = self._attempt(row)
        self._judged += 1
        self._found_slow += taken_s > SLOW_S
        if self._judged == JUDGED_READS:
            self.is_slow = self._found_slow > JUDGED_READS // 2 and self._concurrency > 1
            self._is_suspect = False
            self._judged = self._found_slow = 0
        yield from _lend((row,), (content,))

    def _read_many(self, rows: Iterator[SourceRow]) -> Iterator[Batch]:
        """The rest of the rows, through threads, in their order."""
        window: deque[_InFlight] = deque()
        bytes_in_flight = count = fast = 0
        try:
            for row in rows:
                self._check()
                expected = self._largest if row[3] is None else row[3]
                while window and (
                    len(window) >= self._limit or bytes_in_flight + expected > BYTES_IN_FLIGHT
                ):
                    content, taken_s = self._take(window)
                    yield (window[0][0],), (content,)
                    bytes_in_flight -= window.popleft()[2]
                    count += 1
                    fast += taken_s < FAST_S
                window.append((row, self._submit(row), expected))
                bytes_in_flight += expected
            while window:
                yield (window[0][0],), (self._take(window)[0],)
                window.popleft()
        finally:
            _abandon(window)
        if fast > count // 2:
            self.is_slow = False

    def _submit(self, row: SourceRow) -> Future[tuple[Content, float]]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._remote_concurrency, "read-source")
        return self._threads.submit(self._attempt, row)

    def _attempt(self, row: SourceRow) -> tuple[Content, float]:
        content: Content
        started = self._clock()
        try:
            content = self._sources.read(row[2], row[3])
        except SourceFailure as failure:
            content = failure.as_value()
        return content, self._clock() - started

    def _take(self, window: deque[_InFlight]) -> tuple[Content, float]:
        content, taken_s = window[0][1].result()
        if isinstance(content, bytes):
            self._largest = max(self._largest, len(content))
        return content, taken_s


def _lend(rows: Sequence[SourceRow], contents: Sequence[Content]) -> Iterator[Batch]:
    """Hand out a batch, and close the big files in it that nobody copied."""
    try:
        yield rows, contents
    finally:
        for content in contents:
            if not isinstance(content, (bytes, SourceFailure)):
                content.close()


def _abandon(window: deque[_InFlight]) -> None:
    """Close big files that were opened and that nobody will copy."""
    for _, future, _ in window:
        if not future.cancel():
            with suppress(Exception):
                content, _ = future.result()
                if not isinstance(content, (bytes, SourceFailure)):
                    content.close()
