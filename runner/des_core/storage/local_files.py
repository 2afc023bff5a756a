"""What a directory storage asks of the file system: locks, names that replace nothing, syncing.

Plain `OSError` unless said otherwise.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from des_core.basics.storage_errors import storage_error

FILE_MODE = 0o640
COMPARE_SIZE = 1 << 20
MAX_SAME_NAME = 10_000

_RENAME_NOREPLACE = 1
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def create_locked(directory: str, run_id: str) -> tuple[str, int]:
    """A new file and its descriptor. Another run's cleaning may snatch it before it is locked."""
    while True:
        path = f"{directory}/.tmp-{run_id}-{os.getpid()}-{secrets.token_hex(8)}"
        fd = os.open(path, _NEW_FILE, FILE_MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:
                return path, fd
        except BlockingIOError:
            pass
        except OSError as exc:
            if exc.errno in _NO_LOCKS:
                return path, fd
            os.close(fd)
            raise
        os.close(fd)


def give_name(path: str, target: str) -> None:
    """Make `target` a name of the file; `FileExistsError` leaves what has that name alone."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        _rename_without_replacing(path, target)


def move_without_replacing(path: str, target: str) -> str:
    """Give a file the name `target`, or `target.1`, `target.2` …, and take its old one away."""
    chosen = target
    for number in range(1, MAX_SAME_NAME):
        try:
            give_name(path, chosen)
        except FileExistsError:
            if not _is_same_file(path, chosen):
                chosen = f"{target}.{number}"
                continue
        with suppress(FileNotFoundError):  # where the name was given by renaming
            os.unlink(path)
        return chosen
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except FileNotFoundError:
        return False


def _rename_without_replacing(path: str, target: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd = -100
    done = libc.renameat2(at_cwd, os.fsencode(path), at_cwd, os.fsencode(target), _RENAME_NOREPLACE)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path, None, target)


def sync_path(path: str) -> None:
    """Make the names in a directory durable; `StorageError` if that fails."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as exc:
        raise storage_error("cannot make names durable", exc, path) from exc


def remove_dead(path: str) -> bool:
    """Remove a draft unless its writer still holds the lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def equal_files(one: str, other: str) -> bool:
    """Whether two files have the same bytes; `StorageError` if they cannot be read."""
    with _reading(one) as first, _reading(other) as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        while True:
            piece = first.read(COMPARE_SIZE)
            if piece != second.read(COMPARE_SIZE):
                return False
            if not piece:
                return True


@contextmanager
def _reading(path: str) -> Iterator[BinaryIO]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb", buffering=0) as file:
            yield file
    except OSError as exc:
        raise storage_error("cannot read a file", exc, path) from exc
