"""Somebody who takes the lease away: just before a transaction, or just before its commit."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from support.servers.database import TestDatabase

_STEAL = (
    "UPDATE des_archive_lease SET token = 'stolen', expires_at = '2999-01-01' WHERE token <> ''"
)
_IMPATIENT = {
    "postgres": "SET LOCAL lock_timeout = '50ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 0",  # MariaDB: not at all
}
# What the lease guards, but for when a shard was last read.
GUARDED = re.compile(
    r"(INSERT INTO|UPDATE|DELETE FROM|ALTER TABLE|CREATE\W+TABLE|CREATE\W+INDEX|DROP\W+\w+)\W+"
    r"(IF\W+(NOT\W+)?EXISTS\W+)?(des_archive_(config|slice|shard|exception|worker|job)|files|idx_files)"
    r"(?!.*SET verified_at)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class Thief:
    """`spare` transactions begin untouched; before the next one the lease is stolen."""

    database: TestDatabase
    spare: int
    began: int = 0
    has_stolen: bool = False

    @contextmanager
    def at_work(self, look: Callable[[], None]) -> Iterator[None]:
        """`look` is called at the moment of the theft."""
        real = Database.write

        @contextmanager
        def write(database: Database, **options: Any) -> Iterator[Transaction]:
            if threading.current_thread().name != "des-lease":
                self.began += 1
                if self.began > self.spare and not self.has_stolen:
                    self.has_stolen = bool(self._steal())
                    if self.has_stolen:
                        look()
            with real(database, **options) as tx:
                yield tx

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "write", write)
            yield

    def give_back(self) -> None:
        if self.has_stolen:
            self.database.execute("UPDATE des_archive_lease SET token = ''")

    def _steal(self) -> int:
        has_table = "des_archive_lease" in self.database.table_names()
        return self.database.execute(_STEAL) if has_table else 0


@dataclass
class LateThief:
    """Tries before every commit of what the lease guards; `unproved` are those where it could."""

    database: TestDatabase
    tries: int = 0
    unproved: list[str] = field(default_factory=list)
    _written: dict[int, str] = field(default_factory=dict)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        listeners = {
            "before_cursor_execute": self._note,
            "commit": self._before_commit,
            "rollback": lambda connection: self._written.pop(id(connection), None),
        }
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)

    def _note(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if GUARDED.search(statement):
            self._written.setdefault(id(connection), statement)

    def _before_commit(self, connection: Any) -> None:
        statement = self._written.pop(id(connection), None)
        if statement is None:
            return
        self.tries += 1
        try:
            with self.database.session() as session:
                session.exec_driver_sql(_IMPATIENT[self.database.kind])
                if session.exec_driver_sql(_STEAL).rowcount:
                    self.unproved.append(statement)
        except OperationalError:
            pass  # the row is locked: it was proved
