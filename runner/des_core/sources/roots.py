"""Keeps the reading of sources inside the configured roots, also while names are being changed.

1. The directory of a location is opened, and the kernel is asked where that open directory is.
   It must be inside a root.
2. The file is opened in that directory by its last name, without following a symlink. So
   nothing that is renamed or replaced in between leads outside.
3. A symlink as last name is allowed if what it leads to is a regular file inside a root; that
   is found out on a handle that reads nothing, and then the same file is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from des_core.basics.errors import DesError, StorageError
from des_core.records import Reason

# O_NONBLOCK and O_NOCTTY matter for what is no file; a regular file is read the same.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OPEN_DIRECTORIES = 64


class SourceFailure(DesError):
    """This one file cannot be packed; the reason goes into its exception."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SourceRoots:
    """Opens files inside the roots. May be used by several threads.

    Directories stay open until `release`, which whoever packs calls after each shard.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        resolved = [os.path.realpath(root) for root in roots]
        self._roots = frozenset(resolved)
        self._prefixes = tuple(root.rstrip("/") + "/" for root in resolved)
        self._directories: dict[str, _Directory] = {}

    def open(self, path: str) -> int:
        """A file descriptor; `SourceFailure` where the path leads outside, `OSError` as usual.

        `ValueError` if it cannot be a path, wherever its beginning leads.
        """
        if b"\0" in os.fsencode(path):
            raise ValueError("a path has no NUL")
        parent, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise SourceFailure(Reason.NOT_REGULAR, "a directory, not a regular file")
        directory = self._directories.get(parent)
        if directory is None:
            directory = self._open_directory(parent or "/")
            if len(self._directories) >= OPEN_DIRECTORIES:
                self._directories.clear()
            self._directories[parent] = directory
        try:
            return os.open(name, OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=directory.fd)
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
        return self._open_link(name, directory)

    def release(self) -> None:
        """Close the directories, so that the next shard sees where they are then."""
        self._directories.clear()

    def _open_directory(self, path: str) -> _Directory:
        directory = _Directory(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self.check_inside(directory.fd)
        return directory

    def _open_link(self, name: str, directory: _Directory) -> int:
        handle = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=directory.fd)
        try:
            self.check_inside(handle)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise SourceFailure(Reason.NOT_REGULAR, "a symlink to something that is no file")
            return os.open(f"/proc/self/fd/{handle}", OPEN_FLAGS)
        finally:
            os.close(handle)

    def check_inside(self, fd: int) -> None:
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
        except OSError as exc:
            raise StorageError(
                "cannot tell where an open directory is",
                hint="packer.source_roots needs /proc to be mounted",
                reason=exc.strerror,
            ) from exc
        if real not in self._roots and not real.startswith(self._prefixes):
            raise SourceFailure(Reason.OUTSIDE_ROOTS, f"outside packer.source_roots: {real}")


class _Directory:
    """An open directory; closed with its last reference, so no thread finds its number reused."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)
