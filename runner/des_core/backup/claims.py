"""Who is at work in a directory of backups: locks of the file system, which end with their process.

A backup that is being made holds the lock of its own unfinished directory. Whoever begins one, or
removes some, holds the lock of the whole directory while it looks and decides.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from des_core.basics.errors import LockHeld, StorageError


class Claim:
    """The lock of a directory, held until it is given back or the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def try_claim(path: Path) -> Claim | None:
    """The lock of the directory `path`; None where somebody holds it."""
    # Descriptors are not inherited by the tools that we start, so the lock is ours alone.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if _lock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        return Claim(descriptor)
    os.close(descriptor)
    return None


def is_claimed(path: Path) -> bool:
    """Whether a process is at work in `path`. False where it is gone."""
    try:
        claim = try_claim(path)
    except FileNotFoundError:
        return False
    if claim is None:
        return True
    claim.release()
    return False


@contextmanager
def whole_directory(directory: Path) -> Iterator[None]:
    """Nobody else begins or removes a backup in `directory` meanwhile; waits for who does.

    Those who hold it only look and decide, or remove what was confirmed.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    _lock(descriptor, directory, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def refuse_second(path: Path) -> LockHeld:
    """The error for whoever comes second."""
    return LockHeld(
        "another backup of this database is being made here",
        hint="wait for it to end; see it: des-admin backup list",
        backup=path.name,
        pid=_holder_of(path),
    )


def _lock(descriptor: int, path: Path, how: int) -> bool:
    """False where somebody holds it; the descriptor is closed where locks do not work at all."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as exc:
        os.close(descriptor)
        raise StorageError(
            f"this file system gives no locks: {exc.strerror}",
            hint="keep backups where flock works: a local disk, or NFS of version 4",
            path=str(path),
        ) from exc
    return True


def _holder_of(path: Path) -> int | None:
    """The process that holds the lock of a directory, as far as the kernel tells."""
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place and words[4].isdecimal():
            return int(words[4]) or None
    return None
