"""Connections: one engine per database, opened with explicit manners, closed for sure.

Everything that speaks to a server goes through `Database`; driver errors leave here as ours.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, Row
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.pool import NullPool, StaticPool

from des_core.basics.database_urls import dialect_of, parse_url, url_label
from des_core.basics.errors import ConfigError, DatabaseUnreachable
from des_core.basics.identifiers import Dialect
from des_core.database.borrowed import driver_of
from des_core.database.catalog import Statement
from des_core.database.errors import translate
from des_core.database.manners import (
    POSTGRES_ARGUMENTS,
    SQLITE_BUSY_TIMEOUT_S,
    install_manners,
    read_committed,
    set_busy_timeout,
)
from des_core.database.retrying import retry_conflicts
from des_core.database.transaction import Transaction, keyset_pages

CONNECT_TIMEOUT_S = 10
APPLICATION_NAME = "des-admin"
# On an error of SQLAlchemy: the label of the database that it came from.
_ORIGIN = "des_database"
# The pool logs a traceback for each connection that it finds dead; an error of ours says it.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
# Of columns and indexes of `files` that are nothing to us (PostGIS, IGNORED).
for _words in ("Did not recognize type", "Unknown schema content"):
    warnings.filterwarnings("ignore", _words, SAWarning)


_NAMES = {
    "psycopg": ("postgresql+psycopg", Dialect.POSTGRES),
    "pymysql": ("mysql+pymysql", Dialect.MYSQL),
    "sqlite3": ("sqlite", Dialect.SQLITE),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Database:
    """An engine, its dialect, and a name for messages without any secret in it."""

    engine: Engine
    dialect: Dialect
    label: str
    shared_connection: bool = False

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads; rolled back at the end."""
        with self.translated(), self.engine.connect() as connection:
            yield self.transaction(connection)
            connection.rollback()

    @contextmanager
    def write(self, *, busy_timeout_s: float | None = None) -> Iterator[Transaction]:
        """One transaction, committed at the end or rolled back by any exception.

        On SQLite it takes the write lock at its beginning, so that it never fails half-way
        for want of it; `busy_timeout_s` is how long it waits there.
        """
        with self.translated(), self.engine.connect() as connection:
            if self.dialect is Dialect.SQLITE:
                connection.execution_options(des_begin="IMMEDIATE")
                if busy_timeout_s is not None and not self.shared_connection:
                    set_busy_timeout(connection.connection, busy_timeout_s)
            with connection.begin():
                yield self.transaction(connection)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """`work` in one transaction, all of it again where another one was in the way.

        For what no lease guards; the rest goes through `Lock.write`.
        """

        def attempt() -> T:
            with self.write() as tx:
                return work(tx)

        return retry_conflicts(attempt)

    @contextmanager
    def autocommit(self) -> Iterator[Transaction]:
        """A connection outside any transaction, for statements that refuse to run inside one."""
        with self.translated(), self.engine.connect() as connection:
            yield self.transaction(connection.execution_options(isolation_level="AUTOCOMMIT"))

    def pages(
        self, statement: str | Statement, values: Mapping[str, Any], **keys: str
    ) -> Iterator[Sequence[Row[Any]]]:
        """The rows in keyset pages, each read in a short transaction of its own."""

        def read(bound: dict[str, Any]) -> Sequence[Row[Any]]:
            with self.read() as tx:
                return tx.run(statement, bound).all()

        return keyset_pages(read, values, keys)

    def transaction(self, connection: Connection) -> Transaction:
        """One that was opened in a way of its own."""
        return Transaction(connection, self.dialect)

    def reach(self) -> None:
        """Connect once, to know early. `DatabaseUnreachable`."""
        with self.translated(), self.engine.connect():
            pass

    def close(self) -> None:
        """Give back every connection; a connection that was handed in stays open."""
        if not self.shared_connection:
            self.engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise translate(exc, getattr(exc, _ORIGIN, self.label)) from exc


def open_database(url_text: str, *, create: bool = False) -> Database:
    """An engine for the URL. `create` lets SQLite make the file; otherwise it must be there."""
    url = parse_url(url_text)
    dialect = dialect_of(url)
    arguments: dict[str, Any] = {}
    if dialect is Dialect.SQLITE:
        _require_sqlite_file(url, create=create)
        arguments = {"timeout": SQLITE_BUSY_TIMEOUT_S, "check_same_thread": False}
    elif dialect is Dialect.POSTGRES:
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": APPLICATION_NAME}
        arguments |= POSTGRES_ARGUMENTS
    else:
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, "charset": "utf8mb4"}
        arguments["program_name"] = APPLICATION_NAME
        # Without it the driver waits for the server's first words, and for its login, without end.
        arguments["read_timeout"] = CONNECT_TIMEOUT_S
    options: dict[str, Any] = {"poolclass": NullPool} if dialect is Dialect.SQLITE else {}
    if dialect is Dialect.MYSQL:
        # Said to the engine, which says it again after a statement outside any transaction.
        options = {"isolation_level": "READ COMMITTED"}
    engine = sa.create_engine(
        url, connect_args=arguments, pool_pre_ping=dialect is not Dialect.SQLITE, **options
    )
    if dialect is Dialect.MYSQL:
        sa.event.listen(engine, "connect", _wait_for_statements, insert=True)
    return _mannered(engine, dialect, url_label(url))


def _wait_for_statements(raw: Any, _record: Any) -> None:
    """Once connected: a statement takes as long as it takes."""
    raw._read_timeout = None


def wrap_connection(raw: Any) -> Database:
    """A Database over one open DB-API connection of psycopg, PyMySQL or sqlite3.

    It stays open, whatever happens on it; transactions are begun and ended on it. Autocommit and
    the like are set as we need them: use it within `left_as_it_was`.
    """
    drivername, dialect = _NAMES[driver_of(raw)]
    if dialect is Dialect.POSTGRES:
        if raw.autocommit:
            raw.autocommit = False
        raw.prepare_threshold = None
    elif dialect is Dialect.MYSQL:
        raw.autocommit(False)
    engine = sa.create_engine(f"{drivername}://", creator=lambda: raw, poolclass=StaticPool)
    for ending in ("do_close", "do_terminate"):
        setattr(engine.dialect, ending, _leave_open)
    sa.event.listen(engine, "handle_error", _keep_after_interrupt)
    if dialect is Dialect.MYSQL:
        # Not said to the engine, which would commit what the connection is in the middle of.
        sa.event.listen(engine, "connect", read_committed)
    return _mannered(engine, dialect, f"{dialect} connection handed in", shared_connection=True)


def _leave_open(_raw: Any) -> None:
    """Whoever opened it closes it."""


def _keep_after_interrupt(context: sa.ExceptionContext) -> None:
    """Ctrl-C in a statement: what was begun is rolled back, where the driver is still able to."""
    raw: Any = context.connection and context.connection.connection.driver_connection
    is_interrupt = not isinstance(context.original_exception, Exception)
    if is_interrupt and getattr(raw, "open", True):
        context.is_disconnect = False


def _require_sqlite_file(url: URL, *, create: bool) -> None:
    if not url.database or url.database == ":memory:":
        raise ConfigError(
            "an SQLite database must be a file", hint="write sqlite:////absolute/path/file.db"
        )
    path = Path(url.database)
    if create and path.parent.is_dir():
        return
    if not path.is_file():
        raise DatabaseUnreachable(
            "there is no SQLite database file here", hint="check database.url", path=str(path)
        )


def _mannered(
    engine: Engine, dialect: Dialect, label: str, *, shared_connection: bool = False
) -> Database:
    install_manners(engine, dialect)

    def name_origin(context: sa.ExceptionContext) -> None:
        if context.sqlalchemy_exception is not None:
            setattr(context.sqlalchemy_exception, _ORIGIN, label)

    sa.event.listen(engine, "handle_error", name_origin)
    return Database(engine, dialect, label, shared_connection)
