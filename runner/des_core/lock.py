"""One writer: a lock in the config database, held by a connection of its own.

PostgreSQL: a session's advisory lock, polled and never waited for (a waiter would hold a snapshot
and block CREATE INDEX CONCURRENTLY). MySQL and MariaDB: GET_LOCK. Both end with the session.
SQLite: a lease row with a heartbeat, since there is no session to end; it is taken over when it has
expired, or when its process is gone from this machine. The lock is courtesy between well-meaning
processes; what makes a late writer harmless is the fence.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from des_core.database import SQLITE_BUSY_TIMEOUT_S, Database, run
from des_core.errors import FenceLost, LockHeld
from des_core.identifiers import Dialect
from des_core.sql_catalog import config_statement
from des_core.timestamps import canonical_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LOCK_KEY = 0x646573  # "des"; the second key of the pair is the schema's hash
LEASE_NAME = "writer"
LEASE = timedelta(seconds=60)
HEARTBEAT_S = 10.0
BUSY_HEARTBEAT_S = 0.5
POLL_S = 0.2
HELD_HINT = "wait for it to end, or see what it does: des-admin doctor"


@dataclass
class Lock:
    """A lock that is held. `check` says whether it still is."""

    config: Database
    connection: Connection
    values: Mapping[str, Any]
    guard: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """FenceLost where the lock is gone: the session died, or the lease was taken over."""
        with self.guard:
            if not _still_held(self.config, self.connection, self.values):
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
    token = uuid.uuid4().hex
    values = {"key": LOCK_KEY, "name": LEASE_NAME, "token": token, "holder": holder_name(purpose)}
    with config.translated(), config.engine.connect() as connection:
        _prepare(config, connection, values)
        _acquire(config, connection, values, wait_s)
        lock = Lock(config, connection, values)
        try:
            with _heartbeat(lock):
                yield lock
        finally:
            _release(config, connection, values)


def lock_holder(config: Database) -> str | None:
    """Who holds the lock, in words; None where nobody does."""
    with config.read() as connection:
        return _holder(config, connection)


def _prepare(config: Database, connection: Connection, values: Mapping[str, Any]) -> None:
    if config.dialect is Dialect.SQLITE:
        connection.execution_options(des_begin="IMMEDIATE")
    prepare = config_statement(config.dialect, "lock_prepare")
    shown = str(values["holder"])[:63]
    run(connection, prepare, {"holder": shown} if config.dialect is Dialect.POSTGRES else {})
    if config.dialect is Dialect.SQLITE:
        seed = config_statement(config.dialect, "lock_seed")
        run(connection, seed, {"name": LEASE_NAME, "now": canonical_text(datetime.now(UTC))})
    connection.commit()


def _acquire(
    config: Database, connection: Connection, values: Mapping[str, Any], wait_s: float
) -> None:
    deadline = time.monotonic() + wait_s
    while not _try(config, connection, values):
        if time.monotonic() >= deadline:
            holder = _holder(config, connection)
            connection.rollback()
            raise LockHeld(
                "somebody else is at work on this archive",
                hint=HELD_HINT,
                holder=holder or "unknown (the database does not show other sessions)",
                database=config.label,
            )
        time.sleep(POLL_S)


def _try(config: Database, connection: Connection, values: Mapping[str, Any]) -> bool:
    statement = config_statement(config.dialect, "lock_try")
    if config.dialect is not Dialect.SQLITE:
        keys = {"key": values["key"]} if config.dialect is Dialect.POSTGRES else {}
        held = run(connection, statement, keys).scalar_one()
        connection.commit()
        return bool(held)
    now = datetime.now(UTC)
    lease = {
        **_lease_times(now),
        **{key: values[key] for key in ("name", "token", "holder")},
        "dead_token": _token_of_dead_process(connection),
    }
    taken = run(connection, statement, lease).rowcount == 1
    connection.commit()
    return taken


def _still_held(config: Database, connection: Connection, values: Mapping[str, Any]) -> bool:
    statement = config_statement(config.dialect, "lock_check")
    if config.dialect is Dialect.SQLITE:
        lease = {**_lease_times(datetime.now(UTC)), "name": LEASE_NAME, "token": values["token"]}
        held = run(connection, statement, lease).rowcount
    else:
        keys = {"key": values["key"]} if config.dialect is Dialect.POSTGRES else {}
        held = run(connection, statement, keys).scalar_one()
    connection.commit()
    return bool(held)


def _release(config: Database, connection: Connection, values: Mapping[str, Any]) -> None:
    statement = config_statement(config.dialect, "lock_release")
    given: dict[str, Any] = {}
    if config.dialect is Dialect.POSTGRES:
        given = {"key": values["key"]}
    elif config.dialect is Dialect.SQLITE:
        now = canonical_text(datetime.now(UTC))
        given = {"now": now, "name": LEASE_NAME, "token": values["token"]}
    if not connection.invalidated:
        connection.rollback()
        run(connection, statement, given)
        connection.commit()


def _holder(config: Database, connection: Connection) -> str | None:
    if config.dialect is Dialect.SQLITE:
        row = _lease(connection)
        if row is None or row.expires_at < canonical_text(datetime.now(UTC)):
            return None
        return None if _process_is_gone(row.holder) else f"{row.holder}, since {row.acquired_at}Z"
    keys = {"key": LOCK_KEY} if config.dialect is Dialect.POSTGRES else {}
    holder = run(connection, config_statement(config.dialect, "lock_holder"), keys).scalar()
    return None if holder is None else str(holder)


def _lease(connection: Connection) -> Any:
    from sqlalchemy import inspect

    if not inspect(connection).has_table("des_archive_lock"):
        return None
    statement = config_statement(Dialect.SQLITE, "lock_holder")
    return run(connection, statement, {"name": LEASE_NAME}).first()


def _lease_times(now: datetime) -> dict[str, str]:
    return {"now": canonical_text(now), "expires_at": canonical_text(now + LEASE)}


def _token_of_dead_process(connection: Connection) -> str:
    """The token in the lease if its process ran on this machine and is gone; else no token."""
    row = _lease(connection)
    return row.token if row is not None and _process_is_gone(row.holder) else "-"


def _process_is_gone(holder: str) -> bool:
    """Whether `holder` names a process of this machine that does not exist any more."""
    place, _, pid = holder.rpartition(", pid ")
    if not place.endswith(f" on {socket.gethostname()}") or not pid.isdecimal():
        return False
    return not Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else False


@contextmanager
def _heartbeat(lock: Lock) -> Iterator[None]:
    """On SQLite, renew the lease until the block ends; a lost lease is noticed by `Lock.check`."""
    if lock.config.dialect is not Dialect.SQLITE or lock.config.shared_connection:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_S):
            with lock.guard, _hurried(lock.connection):
                _renew(lock)

    thread = threading.Thread(target=beat, name="des-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _renew(lock: Lock) -> None:
    """One heartbeat. While somebody reads for long it cannot commit; the next one tries again.

    A commit that waits keeps new readers out, also our own, so that it must not wait for long.
    """
    from sqlalchemy.exc import OperationalError

    try:
        _still_held(lock.config, lock.connection, lock.values)
    except OperationalError:
        lock.connection.rollback()


@contextmanager
def _hurried(connection: Connection) -> Iterator[None]:
    """SQLite waits no longer than a heartbeat may while the block lasts."""
    driver = connection.connection
    driver.cursor().execute(f"PRAGMA busy_timeout={int(BUSY_HEARTBEAT_S * 1000)}")
    try:
        yield
    finally:
        driver.cursor().execute(f"PRAGMA busy_timeout={int(SQLITE_BUSY_TIMEOUT_S * 1000)}")
