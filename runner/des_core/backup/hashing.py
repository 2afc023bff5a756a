"""sha256 of many files, several at a time, each read once from its beginning to its end."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from des_core.backup.compression import Decompressor, compression_of, read_chunks
from des_core.backup.manifest import FileEntry, sync_directory
from des_core.backup.progress import Listener, Progress
from des_core.basics.errors import DamagedData

TELL_EVERY_BYTES = 32 << 20
Item = TypeVar("Item")
Result = TypeVar("Result")


class _Counter:
    """Bytes read by all threads together."""

    def __init__(self, step: str, total_bytes: int, listener: Listener) -> None:
        self._step = step
        self._total_bytes = total_bytes
        self._listener = listener
        self._guard = threading.Lock()
        self._done_bytes = 0
        self._told_bytes = 0
        self._is_over = False

    def stop(self) -> None:
        """Nobody waits for the rest: whoever still reads ends at the next chunk."""
        self._is_over = True

    def add(self, size_bytes: int) -> None:
        if self._is_over:
            raise CancelledError
        with self._guard:
            self._done_bytes += size_bytes
            is_end = self._done_bytes == self._total_bytes
            if self._done_bytes - self._told_bytes >= TELL_EVERY_BYTES or is_end:
                self._told_bytes = self._done_bytes
                self._listener(Progress(self._step, self._done_bytes, self._total_bytes))


def hash_files(
    root: Path, paths: Iterable[Path], jobs: int, listener: Listener
) -> tuple[FileEntry, ...]:
    """Sync each file, then size and sha256 as it reads back, in the order given."""
    listed = list(paths)
    counter = _Counter("hash", sum(path.stat().st_size for path in listed), listener)

    def hash_one(path: Path) -> FileEntry:
        _sync_file(path)
        digest, size_bytes = _read(path, counter)
        relative = path.relative_to(root).as_posix()
        return FileEntry(relative, size_bytes, digest, compression_of(relative))

    return tuple(_in_threads(hash_one, listed, jobs, counter))


def compare_files(
    root: Path, entries: Iterable[FileEntry], jobs: int, listener: Listener
) -> Iterator[tuple[FileEntry, str]]:
    """The entries whose file differs, and how: changed, broken compression, or unreadable."""
    listed = list(entries)
    counter = _Counter("read", sum(entry.size_bytes for entry in listed), listener)

    def compare_one(entry: FileEntry) -> tuple[FileEntry, str | None]:
        return entry, _problem_of(root / entry.path, entry, counter)

    for entry, problem in _in_threads(compare_one, listed, jobs, counter):
        if problem is not None:
            yield entry, problem


def _problem_of(path: Path, entry: FileEntry, counter: _Counter) -> str | None:
    broken = None
    decompressor = Decompressor(entry.compression, path.name)
    digest = hashlib.sha256()
    try:
        for chunk in read_chunks(path):
            digest.update(chunk)
            counter.add(len(chunk))
            broken = broken or _feed(decompressor, chunk)
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    if digest.hexdigest() != entry.sha256:
        return "is not what was written: its sha256 differs"
    return broken or _feed(decompressor, None)


def _feed(decompressor: Decompressor, chunk: bytes | None) -> str | None:
    """What is wrong with the compressed stream, if anything; None as a chunk is its end."""
    try:
        if chunk is None:
            decompressor.finish()
        else:
            for _data in decompressor.feed(chunk):
                pass
    except DamagedData as exc:
        return exc.message
    return None


def _read(path: Path, counter: _Counter) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in read_chunks(path):
        digest.update(chunk)
        size_bytes += len(chunk)
        counter.add(len(chunk))
    return digest.hexdigest(), size_bytes


def _in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int, counter: _Counter
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(max_workers=max(jobs, 1))
    try:
        yield from pool.map(work, items)
    finally:
        counter.stop()
        pool.shutdown(cancel_futures=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)
