"""What is really there: indexes, columns and tables, asked of the catalogue each time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.migration.base.migration import Migration

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import ReflectedColumn

CONFIG_TABLE = "des_archive_config"
CHILD_HINT = "give each its own: CREATE INDEX CONCURRENTLY ON TABLE ({column})"


@dataclass(frozen=True, slots=True)
class IndexState:
    """One index of `files`. A column that is an expression is None."""

    name: str
    columns: tuple[str | None, ...]
    is_valid: bool
    method: str
    predicate: str | None
    definition: str | None


@dataclass(frozen=True, slots=True)
class ArchivedColumn:
    """The column archived of `files`, where it is there."""

    is_nullable: bool
    type: str
    default: str | None


def table_values(migration: Migration) -> dict[str, object]:
    """What a statement on the catalogue binds to mean `files`."""
    settings = migration.settings.database
    return {
        **settings.table.values(migration.source.dialect),
        "created_at_name": settings.created_at_column,
    }


def find_bare_children(migration: Migration) -> list[str]:
    """Tables that inherit from `files` (PostgreSQL), without an index on created_at.

    A statement on `files` reads them too, from end to end.
    """
    if migration.source.dialect is not Dialect.POSTGRES:
        return []
    with migration.source.read() as tx:
        rows = tx.run(migration.source_catalog.get("migration_obstacles"), table_values(migration))
        return [str(row.name) for row in rows if row.kind.startswith("no index")]


def read_indexes(migration: Migration) -> list[IndexState]:
    """All indexes of `files`, by name."""
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_indexes")
        rows: list[Any] = list(tx.run(statement, table_values(migration)))
    return [_index(list(group)) for _name, group in groupby(rows, key=lambda row: str(row.name))]


def find_created_at_index(migration: Migration) -> IndexState | None:
    """A working index that serves windows of created_at and outlives the column archived."""
    settings = migration.settings.database
    archived = settings.archived_column or "archived"
    usable = [
        index
        for index in read_indexes(migration)
        if index.is_valid
        and index.method == "btree"
        and index.predicate is None
        and index.columns[0] == settings.created_at_column
        and archived not in index.columns
    ]
    return min(usable, key=lambda index: (len(index.columns), index.name), default=None)


def serves_windows(migration: Migration) -> bool:
    """Whether some working index gives rows in the order of created_at, whatever else it holds."""
    return any(
        index.is_valid
        and index.method == "btree"
        and index.predicate is None
        and index.columns[0] == migration.settings.database.created_at_column
        for index in read_indexes(migration)
    )


def estimate_rows(migration: Migration) -> int | None:
    """How many rows the catalogue believes `files` to have; None where it does not know."""
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("estimated_rows")
        row = tx.run(statement, table_values(migration)).first()
    return None if row is None or row.estimated_rows is None else int(row.estimated_rows)


def find_created_archived_index(migration: Migration) -> IndexState | None:
    """A working index that the per-record packer reads by, whatever its name."""
    settings = migration.settings.database
    wanted = (settings.created_at_column, settings.archived_column or "archived")
    return next(
        (
            index
            for index in read_indexes(migration)
            if index.is_valid and index.columns[:2] == wanted
        ),
        None,
    )


def find_index(migration: Migration, name: str) -> IndexState | None:
    """The index of `files` with this name."""
    return next((index for index in read_indexes(migration) if index.name == name), None)


def read_archived_column(migration: Migration) -> ArchivedColumn | None:
    """The column archived as it is now, or None."""
    settings = migration.settings.database
    name = settings.archived_column or "archived"
    columns = read_columns(migration.source, settings.table.name, settings.table.schema)
    if name not in columns:
        return None
    column = columns[name]
    return ArchivedColumn(
        is_nullable=bool(column["nullable"]),
        type=str(column["type"]),
        default=column.get("default"),
    )


def read_columns(
    database: Database, table: str, schema: str | None = None
) -> dict[str, ReflectedColumn]:
    """The columns of a table by name, in their order."""
    with database.translated(), database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        return {column["name"]: column for column in inspector.get_columns(table, schema=schema)}


def has_table(database: Database, table: str) -> bool:
    """Whether one of our tables is there."""
    with database.translated(), database.engine.connect() as connection:
        return sa.inspect(connection).has_table(table)


def needs_null_pass(migration: Migration) -> bool:
    """Whether rows with archived NULL must be asked for on their own: see migration_unknown_*.

    PostgreSQL reads them past the partial index on `archived = FALSE`.
    """
    column = read_archived_column(migration)
    is_postgres = migration.source.dialect is Dialect.POSTGRES
    return is_postgres and column is not None and column.is_nullable


def _index(rows: list[Any]) -> IndexState:
    first = rows[0]
    return IndexState(
        name=str(first.name),
        columns=tuple(row.column_name for row in rows),
        is_valid=bool(first.is_valid),
        method=str(first.method),
        predicate=first.predicate,
        definition=first.definition,
    )
