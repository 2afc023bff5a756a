"""Removes a source file after comparing every byte of it with what the archive holds.

1. The directory of the location is opened; where it really is must be inside a root, and in no
   place of ours; see `source_roots`.
2. The file is found in it by its last name, following nothing. Only a regular file is touched, no
   file of ours, and none that a row still needs, under whatever name.
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
from des_core.basics.object_config import is_object_url
from des_core.basics.own_places import EVERYWHERE, OwnPlaces, require_apart
from des_core.basics.storage_errors import SYSTEMIC, storage_error
from des_core.sources.beneath import HANDLE
from des_core.sources.roots import OPEN_FLAGS, Directory, OwnFile, SourceFailure, SourceRoots

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
    OURS = "ours"
    UNDECIDED = "undecided"


class KeptSourceError(Exception):
    """This source stays where it is."""

    def __init__(self, reason: Kept) -> None:
        super().__init__(str(reason))
        self.reason = reason


def require_roots(roots: Sequence[str], own: Sequence[str] = ()) -> None:
    """ConfigError where none are configured, or one holds more than sources."""
    problem = None
    local = [root for root in roots if not is_object_url(root)]
    if not local:
        problem = "and none are configured"
    elif any(os.path.realpath(root) == EVERYWHERE for root in local):
        problem = "and / holds everything"
    if problem:
        raise ConfigError(
            f"sources may be deleted only inside packer.source_roots, {problem}",
            hint="name the directories that hold the source files, and nothing else",
            key="packer.source_roots",
        )
    require_apart(local, own)


class SourceRemover:
    """Removes, or with `dry_run` only compares. One thread; `settle` ends each batch."""

    def __init__(
        self,
        roots: Sequence[str],
        *,
        own: Sequence[str] = (),
        dry_run: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """ConfigError unless there are roots, apart from the places of `own`."""
        require_roots(roots, own)
        self._own = OwnPlaces(own, deep=True)
        self._roots = SourceRoots(roots, self._own)
        self._dry_run = dry_run
        self._check = check
        self._directories: dict[str, Directory] = {}
        self._touched: set[str] = set()

    def remove(
        self,
        location: str | None,
        content: Iterable[bytes],
        is_needed: Callable[[str, os.stat_result], bool] = lambda _location, _status: False,
    ) -> bool:
        """Whether it was there and was removed; False if it is gone already.

        KeptSourceError if it stays, StorageError if no file can be opened at all. `content`
        is the archive's copy in pieces; what it raises passes through, and nothing is removed.
        """
        parent, name = _split(location)
        try:
            directory = self._open_directory(parent)
            handle = os.open(name, HANDLE | os.O_NOFOLLOW, dir_fd=directory.fd)
        except OSError as exc:
            if exc.errno in _GONE:
                return False
            raise _kept(exc, parent) from exc
        try:
            status = os.fstat(handle)
            self._require_removable(status)
            if is_needed(location or "", status):
                raise KeptSourceError(Kept.STILL_NEEDED)
            self._compare(handle, status, content)
            _require_same(status, name, directory)
        except OSError as exc:
            raise _kept(exc, parent) from exc
        finally:
            os.close(handle)
        if not self._dry_run:
            self._unlink(name, directory)
            self._touched.add(parent)
        return True

    def settle(self) -> None:
        """Make the removals durable, and forget the directories. StorageError if that fails."""
        try:
            for parent in self._touched:
                _sync(self._directories[parent])
        except OSError as exc:
            raise storage_error("cannot make removals durable", exc) from exc
        finally:
            self.close()

    def close(self) -> None:
        """Close what is open; harmless when repeated."""
        self._directories.clear()
        self._touched.clear()
        self._own.refresh()

    def _open_directory(self, parent: str) -> Directory:
        directory = self._directories.get(parent)
        if directory is None:
            if len(self._directories) >= OPEN_DIRECTORIES:
                self.settle()
            try:
                directory = self._roots.open_directory(parent)
            except SourceFailure as exc:
                is_ours = isinstance(exc, OwnFile)
                raise KeptSourceError(Kept.OURS if is_ours else Kept.OUTSIDE_ROOTS) from exc
            self._directories[parent] = directory
        return directory

    def _require_removable(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise KeptSourceError(Kept.NOT_REGULAR)
        if self._own.has_file(status):
            raise KeptSourceError(Kept.OURS)

    def _compare(self, handle: int, before: os.stat_result, content: Iterable[bytes]) -> None:
        fd = os.open(f"/proc/self/fd/{handle}", OPEN_FLAGS)
        try:
            is_equal = True
            for piece in content:
                self._check()
                is_equal = is_equal and _read(fd, len(piece)) == piece
            if not is_equal or _read(fd, 1):
                raise KeptSourceError(Kept.DIFFERENT)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise KeptSourceError(Kept.CHANGING)

    @staticmethod
    def _unlink(name: str, directory: Directory) -> None:
        try:
            os.unlink(name, dir_fd=directory.fd)
        except OSError as exc:
            raise KeptSourceError(Kept.NOT_REMOVABLE) from exc


def _require_same(mine: os.stat_result, name: str, directory: Directory) -> None:
    """The name must not have been given to another file meanwhile."""
    try:
        named = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError as exc:
        raise KeptSourceError(Kept.CHANGING) from exc
    if not os.path.samestat(mine, named):
        raise KeptSourceError(Kept.CHANGING)


def _sync(directory: Directory) -> None:
    fd = os.open(".", _DIRECTORY_FLAGS, dir_fd=directory.fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
