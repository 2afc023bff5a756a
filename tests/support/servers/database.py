"""One database of a test, whatever server it lives on."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, ClassVar, Literal

import sqlalchemy as sa

Kind = Literal["sqlite", "postgres", "mysql"]
Row = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQLITE_PATIENCE_S = 30.0


@dataclass(slots=True)
class TestDatabase:
    """A fresh, randomly named database.

    `kind` is the dialect as in the folders of sql/, `server` the name used in test ids (they
    differ for MariaDB: kind `mysql`, server `mariadb`). Nothing stays connected between calls,
    except what a test got from `connect`; that is closed when the test ends.
    """

    __test__: ClassVar[bool] = False

    kind: Kind
    server: str
    name: str
    url: str
    connector: Callable[[], Any]
    path: Path | None = None
    _handed_out: list[Any] = field(default_factory=list)
    _engine: sa.Engine | None = field(default=None, init=False, repr=False, compare=False)

    def connect(self) -> Any:
        """A new raw DB-API connection, in the driver's default transaction mode."""
        connection = self.connector()
        self._handed_out.append(connection)
        return connection

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        """Run and commit one statement with `:name` parameters; returns the rows affected."""
        with self.session() as session:
            return int(_run(session, sql, params).rowcount)

    def execute_script(self, statements: Sequence[str]) -> None:
        """Run statements one after the other, each committed by itself."""
        for statement in statements:
            self.execute(statement)

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of a query with `:name` parameters, as plain tuples."""
        with self.session() as session:
            return [tuple(row) for row in _run(session, sql, params)]

    def value(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """The single value of a query that returns one row with one column."""
        [[value]] = self.rows(sql, params)
        return value

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A short-lived SQLAlchemy connection in one transaction, committed at the end."""
        # An engine has learned about its server what a new one would ask anew.
        if self._engine is None or self._engine.url != sa.make_url(self.url):
            # Somebody else may be writing: a test waits for them as long as a program of ours does.
            patience = {"timeout": _SQLITE_PATIENCE_S} if self.kind == "sqlite" else {}
            self._engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=patience)
        with self._engine.begin() as connection:
            yield connection

    def quote(self, identifier: str) -> str:
        """An identifier in this dialect's quotes, for the SQL that tests write themselves."""
        mark = "`" if self.kind == "mysql" else '"'
        return mark + identifier.replace(mark, mark * 2) + mark

    def table_names(self) -> set[str]:
        with self.session() as session:
            return set(sa.inspect(session).get_table_names())

    def close_connections(self) -> None:
        """Close every connection that `connect` handed out; closing twice is harmless."""
        for connection in self._handed_out:
            try:
                connection.close()
            except Exception as error:
                if "closed" not in str(error).lower():
                    raise
        self._handed_out.clear()


def _run(
    session: sa.Connection, sql: str, params: Mapping[str, Any] | None
) -> sa.CursorResult[Any]:
    if params is None:
        # Without this option drivers take a lone % for the start of a parameter.
        return session.exec_driver_sql(sql, execution_options={"no_parameters": True})
    return session.execute(sa.text(sql), dict(params))


def sqlite_database(path: Path) -> TestDatabase:
    """A database in a file; the file appears with the first statement."""
    return TestDatabase(
        kind="sqlite",
        server="sqlite",
        name=path.name,
        url=f"sqlite:///{path}",
        connector=lambda: sqlite3.connect(path, timeout=_SQLITE_PATIENCE_S),
        path=path,
    )


def to_microseconds(value: object, zone: tzinfo = UTC) -> int | None:
    """A time as any of the drivers returns it, in microseconds since the epoch.

    A time without a zone is read in `zone`.
    """
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError(f"{value!r} is not a time")
    aware = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    delta = aware.astimezone(UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
