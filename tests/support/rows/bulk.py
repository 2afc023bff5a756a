"""Creating and filling `files` the fast way of each database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from support.rows.shape import TableShape
from support.servers.database import Kind, TestDatabase

if TYPE_CHECKING:
    from support.rows.filesdata import FileRow

_GUIDE = TableShape()


def create_files_table(database: TestDatabase, shape: TableShape = _GUIDE) -> None:
    """The table and its index, as an application has them before the cutover."""
    database.execute_script(shape.create_statements(database))


def insert_rows(
    database: TestDatabase, rows: Iterable[FileRow], shape: TableShape = _GUIDE
) -> None:
    """Insert and commit; 100,000 rows take one to three seconds."""
    columns = shape.columns(database)
    target = f"{shape.qualified(database)} ({', '.join(columns)})"
    values = _values(rows, shape, database.kind)
    with closing(database.connector()) as connection:
        if database.kind == "postgres":
            _copy(connection, f"COPY {target} FROM STDIN", values)
        else:
            mark = "?" if database.kind == "sqlite" else "%s"
            marks = ", ".join([mark] * len(columns))
            if database.kind == "mysql":
                target = target.replace("%", "%%")
            connection.cursor().executemany(f"INSERT INTO {target} VALUES ({marks})", list(values))
        connection.commit()


def _copy(connection: Any, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in values:
            copy.write_row(row)


def _values(rows: Iterable[FileRow], shape: TableShape, kind: Kind) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        values: list[Any] = [row.uid, shape.stored_time(row.created_at, kind), row.location]
        if shape.size_bytes is not None:
            values.append(row.size_bytes)
        if shape.archived is not None:
            values.append(row.archived)
        yield tuple(values)
