"""SQLite's locks: rows with a heartbeat, since there is no session that could end.

`writer` is the lease of who must be alone, `worker-N` that of a static worker. A lease is taken
over when it has expired, or when its process is gone from this machine. Every look and every take
is one transaction that holds the database's write lock.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import canonical_text
from des_core.database.catalog import config_statement
from des_core.database.manners import SQLITE_BUSY_TIMEOUT_S

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Row

LEASE = timedelta(seconds=60)
BUSY_HEARTBEAT_S = 0.5
WRITER = "writer"


class Lease:
    """A row of des_archive_lock. `worker` None means to be alone."""

    def __init__(self, connection: Connection, holder: str, worker: int | None) -> None:
        self._connection = connection
        self._name = WRITER if worker is None else f"worker-{worker}"
        self._holder = holder
        self._token = uuid.uuid4().hex
        self.is_taken = False

    def prepare(self) -> None:
        """Make the table where it is missing."""
        self._connection.execution_options(des_begin="IMMEDIATE")
        self._run("lock_prepare")
        self._connection.commit()

    def acquire(self) -> bool:
        """Try once."""
        now = datetime.now(UTC)
        rows = self._in_the_way(now)
        if rows:
            self.is_taken = self._name != WRITER and any(row.name == self._name for row in rows)
            self._connection.rollback()
            return False
        values = {"name": self._name, "holder": self._holder, "token": self._token}
        self._run("lock_try", **values, **_times(now))
        self._connection.commit()
        return True

    def admit(self) -> None:
        """The worker is registered."""

    def is_held(self) -> bool:
        """Whether it still is; renews it."""
        values = {"name": self._name, "token": self._token}
        held = self._run("lock_check", **values, **_times(datetime.now(UTC))).rowcount
        self._connection.commit()
        return bool(held)

    def renew(self) -> None:
        """One heartbeat. While somebody reads for long it cannot commit; the next one tries again.

        A commit that waits keeps new readers out, also our own, so that it must not wait for long.
        """
        from sqlalchemy.exc import OperationalError

        with self._hurried():
            try:
                self.is_held()
            except OperationalError:
                self._connection.rollback()

    def release(self) -> None:
        now = canonical_text(datetime.now(UTC))
        self._run("lock_release", now=now, name=self._name, token=self._token)
        self._connection.commit()

    def holder(self) -> str | None:
        """Who is in our way; None where nobody is."""
        rows = self._in_the_way(datetime.now(UTC))
        return f"{rows[0].holder}, since {rows[0].acquired_at}Z" if rows else None

    def _in_the_way(self, now: datetime) -> Sequence[Row[Any]]:
        """Live leases beside which ours cannot be: any for the writer, else its and our own."""
        from sqlalchemy import inspect

        if not inspect(self._connection).has_table("des_archive_lock"):
            return []
        moment = canonical_text(now)
        return [
            row
            for row in self._run("lock_holder")
            if (self._name == WRITER or row.name in (WRITER, self._name))
            and row.expires_at >= moment
            and not _process_is_gone(row.holder)
        ]

    @contextmanager
    def _hurried(self) -> Iterator[None]:
        """SQLite waits no longer than a heartbeat may while the block lasts."""
        driver = self._connection.connection
        driver.cursor().execute(f"PRAGMA busy_timeout={int(BUSY_HEARTBEAT_S * 1000)}")
        try:
            yield
        finally:
            driver.cursor().execute(f"PRAGMA busy_timeout={int(SQLITE_BUSY_TIMEOUT_S * 1000)}")

    def _run(self, statement: str, /, **values: object) -> Any:
        return self._connection.execute(config_statement(Dialect.SQLITE, statement).clause, values)


def _times(now: datetime) -> dict[str, str]:
    return {"now": canonical_text(now), "expires_at": canonical_text(now + LEASE)}


def _process_is_gone(holder: str) -> bool:
    """Whether `holder` names a process of this machine that does not exist any more."""
    place, _, pid = holder.rpartition(", pid ")
    if not place.endswith(f" on {socket.gethostname()}") or not pid.isdecimal():
        return False
    return not Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else False
