"""Removes a source file after comparing every byte of it with what the archive holds.

1. The directory of the location is opened; where it really is must be inside a root.
2. The file is opened in it by its last name, following nothing. Only a regular file is touched.
3. Every byte is compared with the archive's copy, to the end of both; the archive's own checksums
   are complete only then.
4. The open file must be as it was before, and the name must still be a name of that very file.
5. Unlink, and later, for all names of a shard together: fsync of the directories.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from des_core.basics.errors import ConfigError
from des_core.basics.storage_errors import SYSTEMIC, storage_error
from des_core.sources.roots import OPEN_FLAGS, SourceFailure, SourceRoots

OPEN_DIRECTORIES = 256
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR)


class Kept(StrEnum):
    """Why a source was not removed."""

    DIFFERENT = "different"
    CHANGING = "changing"
    NOT_REGULAR = "not_regular"
    OUTSIDE_ROOTS = "outside_roots"
    BAD_LOCATION = "bad_location"
    UNREADABLE = "unreadable"
    NOT_REMOVABLE = "not_removable"
    STILL_NEEDED = "still_needed"
    EXCEPTION = "exception"


class KeptSourceError(Exception):
    """This source stays where it is."""

    def __init__(self, reason: Kept) -> None:
        super().__init__(str(reason))
        self.reason = reason


def require_roots(roots: Sequence[str]) -> None:
    """ConfigError where none are configured."""
    if not roots:
        raise ConfigError(
            "sources may be deleted only inside packer.source_roots, and none are configured",
            hint="name the directories that hold the source files",
            key="packer.source_roots",
        )


class SourceRemover:
    """Removes, or with `dry_run` only compares. One thread; `settle` ends each batch."""

    def __init__(
        self,
        roots: Sequence[str],
        *,
        dry_run: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """ConfigError without roots: they are what keeps a wrong location from being deleted."""
        require_roots(roots)
        self._roots = SourceRoots(roots)
        self._dry_run = dry_run
        self._check = check
        self._directories: dict[str, int] = {}
        self._touched: set[str] = set()

    def remove(self, location: str | None, content: Iterable[bytes]) -> bool:
        """Whether it was there and was removed; False if it is gone already.

        KeptSourceError if it stays, StorageError if no file can be opened at all. `content`
        is the archive's copy in pieces; what it raises passes through, and nothing is removed.
        """
        parent, name = _split(location)
        try:
            directory = self._open_directory(parent)
            fd = os.open(name, OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=directory)
        except OSError as exc:
            if exc.errno in _GONE:
                return False
            raise _kept(exc, parent) from exc
        try:
            self._compare(fd, content)
            self._require_same(fd, name, directory)
        except OSError as exc:
            raise _kept(exc, parent) from exc
        finally:
            os.close(fd)
        if not self._dry_run:
            self._unlink(name, directory)
            self._touched.add(parent)
        return True

    def settle(self) -> None:
        """Make the removals durable, and forget the directories. StorageError if that fails."""
        try:
            for parent in self._touched:
                os.fsync(self._directories[parent])
        except OSError as exc:
            raise storage_error("cannot make removals durable", exc) from exc
        finally:
            self.close()

    def close(self) -> None:
        """Close what is open; harmless when repeated."""
        for fd in self._directories.values():
            os.close(fd)
        self._directories.clear()
        self._touched.clear()

    def _open_directory(self, parent: str) -> int:
        fd = self._directories.get(parent)
        if fd is None:
            if len(self._directories) >= OPEN_DIRECTORIES:
                self.settle()
            fd = os.open(parent, _DIRECTORY_FLAGS)
            try:
                self._roots.check_inside(fd)
            except SourceFailure as exc:
                os.close(fd)
                raise KeptSourceError(Kept.OUTSIDE_ROOTS) from exc
            except BaseException:
                os.close(fd)
                raise
            self._directories[parent] = fd
        return fd

    def _compare(self, fd: int, content: Iterable[bytes]) -> None:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise KeptSourceError(Kept.NOT_REGULAR)
        is_equal = True
        for piece in content:
            self._check()
            is_equal = is_equal and _read(fd, len(piece)) == piece
        if not is_equal or _read(fd, 1):
            raise KeptSourceError(Kept.DIFFERENT)
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise KeptSourceError(Kept.CHANGING)

    @staticmethod
    def _require_same(fd: int, name: str, directory: int) -> None:
        """The name must not have been given to another file meanwhile."""
        mine = os.fstat(fd)
        try:
            named = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError as exc:
            raise KeptSourceError(Kept.CHANGING) from exc
        if (mine.st_dev, mine.st_ino) != (named.st_dev, named.st_ino):
            raise KeptSourceError(Kept.CHANGING)

    @staticmethod
    def _unlink(name: str, directory: int) -> None:
        try:
            os.unlink(name, dir_fd=directory)
        except OSError as exc:
            raise KeptSourceError(Kept.NOT_REMOVABLE) from exc


def _split(location: str | None) -> tuple[str, str]:
    if not location or location[0] != "/" or "\0" in location:
        raise KeptSourceError(Kept.BAD_LOCATION)
    parent, _, name = location.rpartition("/")
    if name in ("", ".", ".."):
        raise KeptSourceError(Kept.NOT_REGULAR)
    return parent or "/", name


def _read(fd: int, length: int) -> bytes:
    """`length` bytes, fewer only at the end."""
    data = os.read(fd, length)
    while 0 < len(data) < length and (more := os.read(fd, length - len(data))):
        data += more
    return data


def _kept(exc: OSError, path: str) -> Exception:
    if exc.errno in SYSTEMIC:
        return storage_error("cannot open source files", exc, path)
    if exc.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP):
        return KeptSourceError(Kept.NOT_REGULAR)
    return KeptSourceError(Kept.UNREADABLE)
