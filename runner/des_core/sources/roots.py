"""Keeps the reading of sources inside the configured roots, also while names are being changed.

1. The directory of a location is opened, through links but not through those of /proc, and the
   kernel is asked where it is. That must be inside a root, and not in a place of ours.
2. It is opened again from the root down, following nothing. Both must be the same directory: a
   path is worth nothing in another mount namespace, or after a rename. Only this one is used.
3. The file is found in it by its last name, on a handle that reads nothing. A symlink there is
   followed by the same rules. What is no regular file is refused, and so is a file of ours;
   only then that very file is opened for reading.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Sequence

from des_core.basics.errors import ConfigError, DesError, StorageError
from des_core.basics.object_config import is_object_url
from des_core.basics.own_places import EVERYWHERE, OwnPlaces
from des_core.records import Reason
from des_core.sources.beneath import DIRECTORY, HANDLE, open_anywhere, open_beneath

# O_NONBLOCK and O_NOCTTY matter for what is no file; a regular file is read the same.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OPEN_DIRECTORIES = 256

_ELSEWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISLNK, "a symlink"),
)


def has_named_roots(roots: Sequence[str]) -> bool:
    """False where this process may read all files of the machine, and no root bounds that.

    `/` is a name, too: it says that files may lie anywhere. In another spelling it says nothing:
    `.` is `/` for a job of cron.
    """
    if os.geteuid() != 0:
        return True
    local = [root for root in roots if root != EVERYWHERE and not is_object_url(root)]
    return bool(roots) and not any(os.path.realpath(root) == EVERYWHERE for root in local)


def require_named_roots(roots: Sequence[str]) -> None:
    """ConfigError before a row that names /etc/shadow is packed because root may read it."""
    if not has_named_roots(roots):
        raise ConfigError(
            "as root, packer.source_roots must say where source files lie: rows may name any file "
            "of this machine, and root may read them all",
            hint='write packer.source_roots: ["/directory/of/the/files"]; ["/"] says that they may '
            "lie anywhere; or run as a user that may read the sources only",
            key="packer.source_roots",
        )


class SourceFailure(DesError):
    """This one file cannot be packed; the reason goes into its exception."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def unseen_ending(location: str) -> str:
    """What nobody sees in a list: that a location that is missing ends with a blank or a CR."""
    last = location[-1]
    if last.isalnum() or (last.isprintable() and last != " "):
        return ""
    return f"; the location ends with {unicodedata.name(last, ascii(last)).lower()}"


class OwnFile(SourceFailure):
    """A file of the archive itself, whatever a row calls it."""

    def __init__(self, what: str) -> None:
        super().__init__(Reason.OUTSIDE_ROOTS, f"{what} of the archive itself")


class SourceRoots:
    """Opens files inside the roots. May be used by several threads.

    Directories stay open until `release`, which whoever packs calls after each batch of tasks. No
    roots at all are one root, `/`. Nothing in `own` is opened.
    """

    def __init__(self, roots: Sequence[str] = (), own: OwnPlaces | None = None) -> None:
        local = [root for root in roots or (EVERYWHERE,) if not is_object_url(root)]
        self._roots = tuple(os.path.realpath(root) for root in local)
        self._own = own or OwnPlaces()
        self._directories: dict[str, Directory] = {}
        self._apart: set[str] = set()

    def open(self, path: str) -> tuple[int, os.stat_result]:
        """A regular file that is open for reading, and its status before.

        `SourceFailure` where the path leads outside or to no file, `OSError` as usual,
        `ValueError` if it cannot be a path, wherever its beginning leads.
        """
        parent, name = split_path(path)
        directory = self._directories.get(parent) or self._keep(parent)
        handle = os.open(name, HANDLE | os.O_NOFOLLOW, dir_fd=directory.fd)
        try:
            status = os.fstat(handle)
            if stat.S_ISLNK(status.st_mode):
                return self._open_link(name, directory)
            return self._open_regular(handle, status)
        finally:
            os.close(handle)

    def release(self) -> None:
        """Close the directories, so that the next batch sees where they are then."""
        self._directories.clear()
        self._apart.clear()

    def open_directory(self, path: str) -> Directory:
        """The directory that a path leads to, opened from its root down."""
        seen = _follow(path)
        try:
            return self._open_again(seen)
        finally:
            os.close(seen)

    def _keep(self, parent: str) -> Directory:
        directory = self.open_directory(parent)
        if len(self._directories) >= OPEN_DIRECTORIES:
            self.release()
        self._directories[parent] = directory
        return directory

    def _open_again(self, seen: int) -> Directory:
        real = _place_of(seen)
        root = next((root for root in self._roots if _is_inside(real, root)), None)
        if root is None:
            raise SourceFailure(Reason.OUTSIDE_ROOTS, f"outside packer.source_roots: {real}")
        if self._own.has_path(real, self._apart):
            raise OwnFile("a place")
        top = Directory(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            directory = Directory(open_beneath(top.fd, real[len(root) :].strip("/")))
        except OSError as exc:
            if exc.errno not in _ELSEWHERE:
                raise
            directory = None
        if directory is None or not os.path.samestat(os.fstat(directory.fd), os.fstat(seen)):
            raise SourceFailure(Reason.OUTSIDE_ROOTS, f"not where its path says: {real}")
        return directory

    def _open_link(self, name: str, directory: Directory) -> tuple[int, os.stat_result]:
        seen = _follow(name, HANDLE, directory.fd)
        try:
            wanted = os.fstat(seen)
            _require_regular(wanted)
            parent, last = split_path(_place_of(seen))
            place = self.open_directory(parent)
            handle = os.open(last, HANDLE | os.O_NOFOLLOW, dir_fd=place.fd)
        finally:
            os.close(seen)
        try:
            status = os.fstat(handle)
            if not os.path.samestat(status, wanted):
                raise SourceFailure(Reason.OUTSIDE_ROOTS, "not where its link says")
            return self._open_regular(handle, status)
        finally:
            os.close(handle)

    def _open_regular(self, handle: int, status: os.stat_result) -> tuple[int, os.stat_result]:
        _require_regular(status)
        if self._own.has_file(status):
            raise OwnFile("a file")
        return os.open(f"/proc/self/fd/{handle}", OPEN_FLAGS), status


class Directory:
    """An open directory; closed with its last reference, so no thread finds its number reused."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


def is_untouched(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether both are of one file, which nobody changed in between."""
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
        and before.st_ino == after.st_ino
        and before.st_dev == after.st_dev
    )


def split_path(path: str) -> tuple[str, str]:
    """Directory and last name; `ValueError` if it cannot be a path."""
    if b"\0" in os.fsencode(path):
        raise ValueError("a path has no NUL")
    parent, _, name = path.rpartition("/")
    if name in ("", ".", ".."):
        raise SourceFailure(Reason.NOT_REGULAR, "a directory, not a regular file")
    return parent or "/", name


def _follow(path: str, flags: int = DIRECTORY, directory: int | None = None) -> int:
    try:
        return open_anywhere(path, flags, directory)
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        os.close(os.open(path, flags, dir_fd=directory))  # fails where it is a loop indeed
        raise SourceFailure(Reason.OUTSIDE_ROOTS, "it leads through a link of /proc") from exc


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = next((text for is_kind, text in _KINDS if is_kind(status.st_mode)), "no file")
        raise SourceFailure(Reason.NOT_REGULAR, f"{what}, not a regular file")


def _place_of(fd: int) -> str:
    """Where an open file is; what has no place, or one too long to be said, is not below a root."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError as exc:
        if not os.path.isdir("/proc/self/fd"):
            raise StorageError(
                "cannot tell where an open directory is",
                hint="/proc must be mounted",
                reason=exc.strerror,
            ) from exc
        raise SourceFailure(Reason.OUTSIDE_ROOTS, f"it has no path: {exc.strerror}") from exc


def _is_inside(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")
