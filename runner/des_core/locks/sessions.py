"""Locks that end with the session that took them: PostgreSQL's advisory locks, MySQL's GET_LOCK.

PostgreSQL: workers share the archive's lock and have one each; who must be alone takes the
archive's lock exclusively. It is polled and never waited for, since a waiter would hold a snapshot
and block CREATE INDEX CONCURRENTLY.

MySQL and MariaDB know exclusive locks only. A worker holds the archive's lock just until it is
registered, and then its own; who must be alone keeps the archive's lock, so that nobody can
register, and looks whether a registered worker holds its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import config_statement

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

LOCK_KEY = 0x646573  # "des"; the second key of the pair is the schema's hash
SHOWN_HOLDERS = 3


class PostgresLock:
    """An advisory lock of one session. `worker` None means to be alone."""

    def __init__(self, connection: Connection, holder: str, worker: int | None) -> None:
        self._connection = connection
        self._shown = holder[:63]
        self._worker = worker
        self.is_taken = False

    def prepare(self) -> None:
        """Tell others who we are."""
        self._run("lock_prepare", holder=self._shown)
        self._connection.commit()

    def acquire(self) -> bool:
        """Try once."""
        if self._worker is None:
            return self._taken("lock_try", LOCK_KEY)
        if not self._taken("lock_try_shared", LOCK_KEY):
            return False
        if self._taken("lock_try", self._own_key):
            return True
        self.is_taken = True
        self._taken("lock_release_shared", LOCK_KEY)
        return False

    def admit(self) -> None:
        """The worker is registered."""

    def is_held(self) -> bool:
        return self._taken("lock_check", LOCK_KEY)

    def release(self) -> None:
        if self._worker is None:
            self._taken("lock_release", LOCK_KEY)
        else:
            self._taken("lock_release", self._own_key)
            self._taken("lock_release_shared", LOCK_KEY)

    def holder(self) -> str | None:
        """Who is in our way; None where nobody is."""
        return self._holders(self._own_key) or self._holders(LOCK_KEY)

    @property
    def _own_key(self) -> int:
        return LOCK_KEY + 1 + (-1 if self._worker is None else self._worker)

    def _holders(self, key: int) -> str | None:
        names = [str(row.holder) for row in self._run("lock_holder", key=key)]
        if not names:
            return None
        more = len(names) - SHOWN_HOLDERS
        return "; ".join(names[:SHOWN_HOLDERS]) + (f"; and {more} more" if more > 0 else "")

    def _taken(self, name: str, key: int) -> bool:
        value = self._run(name, key=key).scalar_one()
        self._connection.commit()
        return bool(value)

    def _run(self, statement: str, /, **values: object) -> Any:
        return self._connection.execute(
            config_statement(Dialect.POSTGRES, statement).clause, values
        )


class MysqlLock:
    """Named locks of one session. `worker` None means to be alone."""

    def __init__(self, connection: Connection, worker: int | None) -> None:
        self._connection = connection
        self._worker = worker
        self._own = "" if worker is None else f":{worker}"
        self.is_taken = False

    def prepare(self) -> None:
        """Keep the session open however long nothing is said."""
        self._run("lock_prepare")
        self._connection.commit()

    def acquire(self) -> bool:
        """Try once."""
        if not self._taken("lock_try", ""):
            return False
        if self._worker is None:
            admitted = self._working() is None
        else:
            admitted = self._taken("lock_try", self._own)
            self.is_taken = not admitted
        if not admitted:
            self._taken("lock_release", "")
        return admitted

    def admit(self) -> None:
        """The worker is registered: whoever wants to be alone will see it."""
        if self._worker is not None:
            self._taken("lock_release", "")

    def is_held(self) -> bool:
        return self._taken("lock_check", self._own)

    def release(self) -> None:
        self._taken("lock_release", self._own)
        if self._worker is not None:
            self._taken("lock_release", "")

    def holder(self) -> str | None:
        """Who is in our way; None where nobody is."""
        for suffix in (self._own, "", self._working()):
            if suffix is None:
                continue
            found = self._run("lock_holder", suffix=suffix).scalar()
            if found is not None:
                return f"{found}{f', worker {suffix[1:]}' if suffix else ''}"
        return None

    def _working(self) -> str | None:
        """The name's end of a worker that is at work."""
        from sqlalchemy import inspect

        found = None
        if inspect(self._connection).has_table("des_archive_worker"):
            found = self._run("lock_of_workers").scalar()
        self._connection.commit()  # an open transaction would keep others from altering the table
        return None if found is None else str(found)

    def _taken(self, name: str, suffix: str) -> bool:
        value = self._run(name, suffix=suffix).scalar_one()
        self._connection.commit()
        return bool(value)

    def _run(self, statement: str, /, **values: object) -> Any:
        clause = config_statement(Dialect.MYSQL, statement).clause
        return self._connection.execute(clause, values)
