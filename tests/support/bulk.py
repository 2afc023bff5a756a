"""Creating and filling `files` the fast way of each database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from support.database import Kind, TestDatabase

if TYPE_CHECKING:
    from support.filesdata import FileRow

_COLUMNS: dict[Kind, str] = {
    "postgres": (
        "uid text PRIMARY KEY, created_at timestamptz NOT NULL, file_location text NOT NULL,"
        " size_bytes bigint, archived boolean NOT NULL DEFAULT false"
    ),
    "mysql": (
        "uid VARCHAR(255) PRIMARY KEY, created_at DATETIME(6) NOT NULL,"
        " file_location VARCHAR(1024) NOT NULL, size_bytes BIGINT,"
        " archived BOOLEAN NOT NULL DEFAULT false"
    ),
    "sqlite": (
        "uid TEXT PRIMARY KEY, created_at TEXT NOT NULL, file_location TEXT NOT NULL,"
        " size_bytes INTEGER, archived BOOLEAN NOT NULL DEFAULT 0"
    ),
}
_TARGET = "files (uid, created_at, file_location, size_bytes, archived)"


def create_files_table(database: TestDatabase) -> None:
    """The table and the index of the guide, as an application has them before the cutover."""
    database.execute(f"CREATE TABLE files ({_COLUMNS[database.kind]})")
    database.execute("CREATE INDEX idx_files_created_archived ON files (created_at, archived)")


def insert_rows(database: TestDatabase, rows: Iterable[FileRow]) -> None:
    """Insert and commit; 100,000 rows take about a second."""
    with closing(database.connector()) as connection:
        if database.kind == "postgres":
            _copy(connection, rows)
        else:
            mark = "?" if database.kind == "sqlite" else "%s"
            statement = f"INSERT INTO {_TARGET} VALUES ({', '.join([mark] * 5)})"
            connection.cursor().executemany(statement, list(_values(rows, database.kind)))
        connection.commit()


def _copy(connection: Any, rows: Iterable[FileRow]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {_TARGET} FROM STDIN") as copy:
        for row in rows:
            copy.write_row((row.uid, row.created_at, row.location, row.size_bytes, row.archived))


def _values(rows: Iterable[FileRow], kind: Kind) -> Iterator[tuple[Any, ...]]:
    form = "%Y-%m-%d %H:%M:%S.%f"
    for row in rows:
        moment: Any = row.created_at.strftime(form)
        if kind == "mysql":
            moment = row.created_at.replace(tzinfo=None)
        yield row.uid, moment, row.location, row.size_bytes, row.archived
