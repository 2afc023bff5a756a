"""Reads the files that rows point to: whatever may stand at a location, nothing blocks or escapes.

1. The name is looked up without opening it, inside the source roots; see `source_roots`.
2. Only a regular file of the size in its row is read.
3. After reading, the open file is looked at again: had it changed meanwhile, it is read anew, and
   in the end refused.
4. Some file systems give sizes that are not those of the content (the kernel's own, some FUSE
   mounts). Such a file is read to its end twice; if both are equal, that is its content.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from des_core.basics.own_places import OwnPlaces
from des_core.basics.storage_errors import SYSTEMIC, storage_error
from des_core.records import Reason, SourceRow
from des_core.rows.values import NO_SIZE
from des_core.shard_io.bigfiles import BigFile, copy_hashed
from des_core.sources.roots import SourceFailure, SourceRoots, is_untouched, unseen_ending

READS_OF_A_CHANGING_FILE = 3
PATH_MAX = 4096  # with the NUL at its end

_REASONS = {
    errno.ENOENT: Reason.MISSING,
    errno.ENOTDIR: Reason.MISSING,
    errno.ENAMETOOLONG: Reason.BAD_LOCATION,
    errno.ENXIO: Reason.NOT_REGULAR,
    errno.ENODEV: Reason.NOT_REGULAR,
    errno.EISDIR: Reason.NOT_REGULAR,
    errno.EOPNOTSUPP: Reason.NOT_REGULAR,
}


class BigSource(Protocol):
    """A file too big to be held in memory. Copy it once, then it is closed.

    `size` is what its place says, 0 where that is not true.
    """

    @property
    def size(self) -> int: ...

    def copy_to(self, destination: BinaryIO) -> BigFile:
        """Stream the content; `SourceFailure` if it changed meanwhile."""

    def close(self) -> None:
        """Give it up."""


class SourceOpener(Protocol):
    """Where the bytes of a row come from."""

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        """The content of the file, or its opened self if it is big.

        `SourceFailure` if this file cannot be packed, `StorageError` if none could.
        """

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        """As `read` of the first rows, until `max_bytes` have come; a failure is a value here."""

    def release(self) -> None:
        """Give back what is held open between reads."""


Content = bytes | BigSource | SourceFailure


class LocalSources:
    """Files of this machine. May be used by several threads."""

    def __init__(
        self,
        big_file_threshold: int,
        source_roots: Sequence[str] = (),
        *,
        own: Sequence[str] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing in the places of `own` is read.

        `check` is called between the pieces of a big file, and raises to interrupt it.
        """
        self._threshold = big_file_threshold
        self._check = check
        self._roots = SourceRoots(source_roots, OwnPlaces(own))

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        path = _check_location(location)
        for _ in range(READS_OF_A_CHANGING_FILE):
            content = self._read_once(path, size_bytes)
            if content is not None:
                return content
        raise SourceFailure(Reason.CHANGED, "the file was changed while it was read")

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        """Files that are as they should be are read in this one loop: a call less for each counts.

        Whatever is odd about a file is found out by `read`, from the beginning.
        """
        contents: list[Content] = []
        opener, threshold = self._roots.open, self._threshold
        for _, _, path, wanted in rows:
            content = None
            try:
                fd, before = opener(path if path and _is_plain(path) else _check_location(path))
                try:
                    size = before.st_size
                    if size <= threshold and wanted in (None, size):
                        content = os.read(fd, size + 1)
                        if len(content) != size or not is_untouched(before, os.fstat(fd)):
                            content = None
                finally:
                    os.close(fd)
            except (OSError, ValueError, SourceFailure):
                content = None
            if content is None:
                contents.append(self._read_or_fail(path, wanted))
                continue
            contents.append(content)
            max_bytes -= size
            if max_bytes <= 0:
                break
        return contents

    def look_at(self, location: str | None) -> None:
        """Open it and read nothing; `SourceFailure` if it cannot be packed as it is."""
        path = _check_location(location)
        try:
            os.close(self._roots.open(path)[0])
        except (OSError, ValueError) as exc:
            raise _explain(exc, path) from exc

    def _read_or_fail(self, path: str | None, size_bytes: int | None) -> Content:
        try:
            return self.read(path, size_bytes)
        except SourceFailure as failure:
            return failure.as_value()

    def release(self) -> None:
        self._roots.release()

    def _read_once(self, path: str, size_bytes: int | None) -> bytes | BigSource | None:
        """The content; None if it changed on the way."""
        fd = -1
        try:
            fd, before = self._roots.open(path)
            size = before.st_size
            if not _ends_at(fd, size):
                content = self._read_unsized(fd, before, size_bytes)
                fd = fd if content is None or isinstance(content, bytes) else -1
                return content
            _check_size(size, size_bytes)
            if size > self._threshold:
                big = LocalBigSource(fd, before, self._check)
                fd = -1
                return big
            # One byte more than there should be: a longer answer says that the file has grown.
            content = os.read(fd, size + 1)
            if len(content) < size:
                content = _read_rest(fd, content, size + 1)
            after = os.fstat(fd)
        except (OSError, ValueError) as exc:
            raise _explain(exc, path) from exc
        finally:
            if fd >= 0:
                os.close(fd)
        if len(content) != size or not is_untouched(before, after):
            return None
        return content

    def _read_unsized(
        self, fd: int, status: os.stat_result, size_bytes: int | None
    ) -> bytes | BigSource | None:
        """The content of a file whose size is another, read twice; None if that differed."""
        content = _read_rest(fd, b"", self._threshold + 1)
        if len(content) > self._threshold:
            os.lseek(fd, 0, os.SEEK_SET)
            return LocalBigSource(fd, status, self._check, size_bytes, is_sized=False)
        os.lseek(fd, 0, os.SEEK_SET)
        again = _read_rest(fd, b"", self._threshold + 1)
        if content != again or not is_untouched(status, os.fstat(fd)):
            return None
        # The application may have written down either.
        if size_bytes != status.st_size:
            _check_size(len(content), size_bytes)
        return content


class LocalBigSource:
    """An open file that is too big to be held in memory."""

    def __init__(
        self,
        fd: int,
        status: os.stat_result,
        check: Callable[[], None],
        size_bytes: int | None = None,
        *,
        is_sized: bool = True,
    ) -> None:
        """`size_bytes` is the row's, where the file's own is not that of the content."""
        self.size = status.st_size if is_sized else 0
        self._file = open(fd, "rb", buffering=0)  # noqa: SIM115 - closed by copy_to or close
        self._status = status
        self._check = check
        self._size_bytes = size_bytes

    def copy_to(self, destination: BinaryIO) -> BigFile:
        with self._file:
            copied = copy_hashed(self, destination)
            is_same = copied.size == self._status.st_size or self._reads_the_same(copied)
            after = os.fstat(self._file.fileno())
        if not is_same or not is_untouched(self._status, after):
            raise SourceFailure(Reason.CHANGED, "the file was changed while it was read")
        return copied

    def _reads_the_same(self, copied: BigFile) -> bool:
        """Read to the end once more: where the size says nothing, only the content can."""
        if self._size_bytes != self._status.st_size:
            _check_size(copied.size, self._size_bytes)
        self._file.seek(0)
        with Path(os.devnull).open("wb") as nowhere:
            return copy_hashed(self, nowhere) == copied

    def close(self) -> None:
        self._file.close()

    def readinto(self, buffer: memoryview) -> int:
        """The next piece, for `copy_hashed`."""
        self._check()
        try:
            return self._file.readinto(buffer) or 0
        except OSError as exc:
            raise _explain(exc, str(self._file.name)) from exc


def _check_location(location: str | None) -> str:
    if not location:
        raise SourceFailure(Reason.BAD_LOCATION, "the location is empty")
    if location[0] != "/":
        raise SourceFailure(Reason.BAD_LOCATION, "the location is not an absolute path")
    if len(location) >= PATH_MAX:  # also one of which the reader of rows kept the beginning only
        raise SourceFailure(Reason.BAD_LOCATION, "the location is longer than a path can be")
    if not location.isascii() and any("\ud800" <= char <= "\udfff" for char in location):
        raise SourceFailure(Reason.BAD_LOCATION, "the location is not valid Unicode text")
    return location


def _is_plain(location: str) -> bool:
    """Whether `_check_location` says nothing against it, or ValueError: no look at each letter."""
    if not location.isascii():
        location.encode()
    return location[0] == "/" and len(location) < PATH_MAX


def _check_size(size: int, size_bytes: int | None) -> None:
    if size_bytes in (None, size):
        return
    if size_bytes == NO_SIZE:
        raise SourceFailure(Reason.SIZE_MISMATCH, "the size in its row is no number of bytes")
    raise SourceFailure(
        Reason.SIZE_MISMATCH, f"the file has {size} bytes, its row says {size_bytes}"
    )


def _ends_at(fd: int, size: int) -> bool:
    """Whether there is a byte before `size`, and none from there on."""
    return len(os.pread(fd, 2, max(size - 1, 0))) == min(size, 1)


def _read_rest(fd: int, content: bytes, wanted: int) -> bytes:
    """A single read may bring less than asked for: at the end, after a signal, above 2 GiB."""
    pieces, got = [content], len(content)
    while got < wanted and (piece := os.read(fd, wanted - got)):
        pieces.append(piece)
        got += len(piece)
    return b"".join(pieces)


def _explain(exc: OSError | ValueError, path: str) -> Exception:
    """What an error of opening or reading means: for this file, or for all."""
    if not isinstance(exc, OSError):
        return SourceFailure(Reason.BAD_LOCATION, "the location cannot be a path")
    if exc.errno in SYSTEMIC:
        return storage_error("cannot open source files", exc, path)
    reason = _REASONS.get(exc.errno or 0, Reason.UNREADABLE)
    ending = unseen_ending(path) if reason is Reason.MISSING else ""
    return SourceFailure(reason, (exc.strerror or str(exc)) + ending)
