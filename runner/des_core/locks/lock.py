"""Who may write: a lock in the config database, held by a connection of its own.

Either one holder is alone (a single runner, an edit, a migration), or static workers are at work,
each index once. PostgreSQL, MySQL and MariaDB end a lock with its session (`session_locks`);
SQLite has a lease with a heartbeat (`lease`). The lock is courtesy between well-meaning processes;
what makes a late writer harmless is the fence.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from des_core.basics.errors import FenceLost, LockHeld
from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.locks.lease import Lease
from des_core.locks.sessions import MysqlLock, PostgresLock

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

HEARTBEAT_S = 10.0
POLL_S = 0.2
# How long a worker waits for others that are registering at the same moment.
REGISTERING_S = 5.0
HELD_HINT = "wait for it to end, or see what it does: des-admin doctor"

Registered = TypeVar("Registered")


class Keeper(Protocol):
    """How a dialect keeps a lock; used by one thread at a time."""

    @property
    def is_taken(self) -> bool:
        """Whether the last try failed because this very worker is at work elsewhere."""

    def prepare(self) -> None:
        """Once, before anything else."""

    def acquire(self) -> bool:
        """Try once."""

    def admit(self) -> None:
        """The worker is registered in des_archive_worker, where others can see it."""

    def is_held(self) -> bool:
        """Whether it still is."""

    def release(self) -> None:
        """Give it back."""

    def holder(self) -> str | None:
        """Who is in the way, in words; None where nobody is."""


@dataclass
class Lock:
    """A lock that is held. `check` says whether it still is."""

    config: Database
    keeper: Keeper
    guard: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """FenceLost where the lock is gone: the session died, or the lease was taken over."""
        with self.guard:
            if not self.keeper.is_held():
                raise FenceLost(
                    "the lock was lost while the job ran; nothing more was written",
                    hint="the database may have restarted; run the same command again",
                    database=self.config.label,
                )


def holder_name(purpose: str) -> str:
    """How a holder is named to others: purpose, machine and process."""
    return f"des-admin {purpose} on {socket.gethostname()}, pid {os.getpid()}"


@contextmanager
def hold_lock(config: Database, purpose: str, *, wait_s: float = 0.0) -> Iterator[Lock]:
    """Be the only writer of this config database for the length of the block.

    `purpose` is a short word for the holder's name, like `run`. LockHeld (exit 11) names the
    holder when the lock cannot be had within `wait_s` seconds. Needs no table of ours.
    """
    with _held(config, purpose, None, wait_s, lambda: None) as (lock, _):
        yield lock


@contextmanager
def hold_worker_lock(
    config: Database,
    purpose: str,
    worker: int,
    register: Callable[[], Registered],
    *,
    wait_s: float = REGISTERING_S,
) -> Iterator[tuple[Lock, Registered]]:
    """Be the only worker with this index, beside other workers, and beside nobody else.

    `register` writes the worker into des_archive_worker; what it returns is handed on, and if it
    raises, the lock is given back. LockHeld as in `hold_lock`, and at once where another process
    is this worker: `wait_s` is for others that are registering.
    """
    with _held(config, purpose, worker, wait_s, register) as held:
        yield held


def lock_holder(config: Database) -> str | None:
    """Who holds the lock, in words; None where nobody does."""
    with config.read() as tx:
        return _keeper(config, tx.connection, "", None).holder()


@contextmanager
def _held(
    config: Database,
    purpose: str,
    worker: int | None,
    wait_s: float,
    register: Callable[[], Registered],
) -> Iterator[tuple[Lock, Registered]]:
    with config.translated(), config.engine.connect() as connection:
        keeper = _keeper(config, connection, holder_name(purpose), worker)
        keeper.prepare()
        _acquire(config, connection, keeper, wait_s)
        lock = Lock(config, keeper)
        try:
            with _heartbeat(lock):
                registered = register()
                with lock.guard:
                    keeper.admit()
                yield lock, registered
        finally:
            if not connection.invalidated:
                connection.rollback()
                keeper.release()


def _keeper(config: Database, connection: Connection, holder: str, worker: int | None) -> Keeper:
    if config.dialect is Dialect.POSTGRES:
        return PostgresLock(connection, holder, worker)
    if config.dialect is Dialect.MYSQL:
        return MysqlLock(connection, worker)
    return Lease(connection, holder, worker)


def _acquire(config: Database, connection: Connection, keeper: Keeper, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not keeper.acquire():
        if keeper.is_taken or time.monotonic() >= deadline:
            holder = keeper.holder()
            connection.rollback()
            raise LockHeld(
                "somebody else is at work on this archive",
                hint=HELD_HINT,
                holder=holder or "unknown (the database does not show other sessions)",
                database=config.label,
            )
        time.sleep(POLL_S)


@contextmanager
def _heartbeat(lock: Lock) -> Iterator[None]:
    """On SQLite, renew the lease until the block ends; a lost lease is noticed by `Lock.check`."""
    keeper = lock.keeper
    if not isinstance(keeper, Lease) or lock.config.shared_connection:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_S):
            with lock.guard:
                keeper.renew()

    thread = threading.Thread(target=beat, name="des-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
