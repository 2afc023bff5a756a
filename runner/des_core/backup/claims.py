"""Who is at work in a directory of backups: locks of the file system, which end with their process.

A backup that is being made holds the lock of its claim: a file beside its unfinished directory,
made before it. Whoever begins one, or removes some, holds the lock of the whole directory while it
looks and decides.

The locks are on regular files that are open for writing: on NFS other hosts see only those. A lock
on a directory stays on its own host there, without a word.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from des_core.basics.errors import LockHeld, StorageError
from des_core.basics.regular_files import open_regular

WHOLE = ".lock"
CLAIM = ".claim"
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o660
MOST_BYTES = 4096


class Claim:
    """The lock of a backup that is being made, held until it is given back or the process ends."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor

    def release(self) -> None:
        """Nobody looks for a claim whose directory is gone, or has its name."""
        with suppress(FileNotFoundError):
            self._file.unlink()
        os.close(self._descriptor)


def claim_of(path: Path) -> Path:
    """The file that is locked while the unfinished backup at `path` is being made."""
    return path.with_name(f".{path.name}{CLAIM}")


def try_claim(path: Path) -> Claim | None:
    """The claim on an unfinished backup, before its directory is made; None where it is taken."""
    file = claim_of(path)
    descriptor = _open(file)
    # A claim that was given back meanwhile has lost its name, and nobody would see the lock.
    if not _lock(descriptor, file, fcntl.LOCK_EX | fcntl.LOCK_NB) or not _is_at(descriptor, file):
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{socket.gethostname()}, pid {os.getpid()}\n".encode())
    return Claim(file, descriptor)


def is_claimed(path: Path) -> bool:
    """Whether a process is at work in `path`, also where we may not look."""
    file = claim_of(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    # A shared lock, so that two who look are not in each other's way.
    is_free = _lock(descriptor, file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(descriptor)
    return not is_free


@contextmanager
def whole_directory(directory: Path) -> Iterator[None]:
    """Nobody else begins or removes a backup in `directory` meanwhile; waits for who does.

    Those who hold it only look and decide, or remove what was confirmed.
    """
    file = directory / WHOLE
    descriptor = _open(file)
    _lock(descriptor, file, fcntl.LOCK_EX)
    while not _is_at(descriptor, file):  # who held it before took the file away
        os.close(descriptor)
        descriptor = _open(file)
        _lock(descriptor, file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def forget_claims(directory: Path) -> None:
    """Remove claims of processes that ended, whose unfinished directory is gone."""
    for file in directory.glob(f".*{CLAIM}"):
        path = file.with_name(file.name[1:].removesuffix(CLAIM))
        if not path.exists() and not is_claimed(path):
            file.unlink(missing_ok=True)


def refuse_second(path: Path) -> LockHeld:
    """The error for whoever comes second."""
    return LockHeld(
        "another backup of this database is being made here",
        hint="wait for it to end; see it: des-admin backup list",
        backup=path.name,
        holder=_holder_of(path),
    )


def _open(file: Path) -> int:
    """For its lock alone. What root makes is of the directory's owner, who may come next."""
    try:
        descriptor = os.open(file, _OPEN, _MODE)
        # Not of a file that the owner gave this name to, and root alone could give away.
        if os.geteuid() == 0 and os.fstat(descriptor).st_nlink < 2:
            owner = file.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as exc:
        raise StorageError(
            f"the file that backups are locked by cannot be opened: {exc.strerror}",
            hint=f"who owns it? ls -la {file.parent}",
            path=str(file),
        ) from exc
    return descriptor


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.lstat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, file: Path, how: int) -> bool:
    """False where somebody holds it; the descriptor is closed where locks do not work at all."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as exc:
        os.close(descriptor)
        raise StorageError(
            f"this file system gives no locks: {exc.strerror}",
            hint="keep backups where flock works: a local disk, or NFS without nolock",
            path=str(file),
        ) from exc
    return True


def _holder_of(path: Path) -> str | None:
    """Host and process, as they wrote it down."""
    try:
        with open_regular(claim_of(path)) as file:
            return file.read(MOST_BYTES).decode(errors="replace").strip() or None
    except OSError:
        return None
