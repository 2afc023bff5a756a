"""What the column archived was made of: kept when it is dropped, made again on the way back.

PostgreSQL: nullability, default, comment, grants, statistics target and options, set once the flags
are written. MySQL and MariaDB: type, nullability, comment, place and visibility with the column,
the default afterwards; grants on a column stay with its name there. SQLite: its own words, cut out
of those of the table. What does not come back is said before the drop.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

from des_core.basics.identifiers import Dialect
from des_core.database.transaction import Transaction
from des_core.ledger.jobs import JOB_TABLE, Job, read_job, write_job
from des_core.migration.base.migration import Migration
from des_core.migration.state.column_definition import COLUMN_JOB, ColumnDefinition, Grant
from des_core.migration.state.tables import has_table, read_columns, table_values
from des_core.migration.steps.column_steps import DOWN, MYSQL_TYPE, UP, ColumnCatalog
from des_core.migration.steps.sql_file import get_step

_DEFAULTS = {
    "false": "FALSE",
    "0": "FALSE",
    "b'0'": "FALSE",
    "true": "TRUE",
    "1": "TRUE",
    "b'1'": "TRUE",
    "null": "",
    "null::boolean": "",
}
# How SQLite may quote a name: what begins it, and what ends it.
QUOTES = {'"': '"', "`": "`", "[": "]", "'": "'"}
_OPTION = re.compile(r"[a-z_]+ ?= ?-?[0-9.]+")


def _place(migration: Migration) -> dict[str, object]:
    return table_values(migration) | {"column_name": migration.archived_column}


def look_at_column(migration: Migration) -> ColumnDefinition | None:
    """The column as it is now, or None."""
    dialect = migration.source.dialect
    values = _place(migration)
    with migration.source.read() as tx:
        row = tx.run(migration.source_catalog.get("migration_column_made"), values).first()
        grants = tuple(_read_grants(migration, tx, values))
    if row is None:
        return None
    default = _DEFAULTS.get(str(row.made_default or "null").lower().strip("()"))
    options = None if row.options is None else str(row.options)
    if options is not None and not all(map(_OPTION.fullmatch, options.split(", "))):
        options = None
    words = None
    if dialect is Dialect.SQLITE:
        words = cut_definition(migration, str(row.definition))
    place = None if dialect is not Dialect.MYSQL or row.is_last else str(row.after_column)
    return ColumnDefinition(
        type=str(row.type),
        is_nullable=bool(row.is_nullable),
        default="FALSE" if default is None else default,
        comment=row.comment,
        statistics=row.statistics,
        options=options,
        after=place,
        is_invisible=bool(row.is_invisible),
        definition=words,
        grants=grants,
        lost=tuple(_lost(dialect, row, default, words)),
    )


def _lost(dialect: Dialect, row: Any, default: str | None, words: str | None) -> Iterator[str]:
    kind = str(row.type)
    is_made = {
        Dialect.POSTGRES: kind == "boolean",
        Dialect.MYSQL: MYSQL_TYPE.fullmatch(kind) is not None,
        Dialect.SQLITE: words is not None or kind.upper() == "BOOLEAN",
    }
    if not is_made[dialect]:
        yield f"type {kind}"
    if words is None and default is None:
        yield f"default {row.made_default}"
    if dialect is Dialect.SQLITE and words is None:
        yield "the rest of its definition"
    if row.is_nullable:
        yield "NULL in rows (they read FALSE)"
    if not row.is_last and dialect is not Dialect.MYSQL:
        yield "position (it comes back as the last column)"
    if row.lost:
        yield f"attributes {row.lost}"


def _read_grants(
    migration: Migration, tx: Transaction, values: Mapping[str, object]
) -> Iterator[Grant]:
    """Only PostgreSQL forgets the grants of a column with it."""
    if migration.source.dialect is Dialect.POSTGRES:
        for row in tx.run(migration.source_catalog.get("migration_column_grants"), values):
            yield Grant(row.grantee, row.privilege, bool(row.is_grantable))


def cut_definition(migration: Migration, table_sql: str) -> str | None:
    """The words for the column in those of its table, which SQLite itself cuts out, in memory.

    None where it would not take them back: NOT NULL without a default, for one.
    """
    catalog = migration.source_catalog
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.row_factory = sqlite3.Row
        try:
            memory.execute(table_sql)
            before = _made_in(memory, migration)
            memory.execute(get_step(catalog, UP, "drop_archived").statement.sql)
            rest = memory.execute(catalog.get("migration_schema").sql).fetchone()["sql"]
            words = _removed(table_sql, rest, migration.archived_column)
            if words is None:
                return None
            again = ColumnCatalog(migration, None, fill={"archived_definition": words})
            memory.execute(get_step(again, DOWN, "add_archived").statement.sql)
            after = _made_in(memory, migration)
        except sqlite3.Error:
            return None
    return words if after == before else None


def _made_in(memory: sqlite3.Connection, migration: Migration) -> list[Any]:
    statement = migration.source_catalog.get("migration_column_made")
    row = memory.execute(statement.sql, _place(migration)).fetchone()
    return [row[name] for name in ("type", "is_nullable", "made_default")]


def _first_word(part: str) -> str:
    """The name that a definition begins with, without its quotes."""
    if part[:1] in QUOTES:
        return part[1:].partition(QUOTES[part[0]])[0].lower()
    return part.split(maxsplit=1)[0].lower() if part else ""


def _removed(whole: str, rest: str, column: str) -> str | None:
    """The part of `whole` that `rest` lacks, so that it begins with the name."""
    length = len(whole) - len(rest)
    name = column.lower()
    for start in range(len(rest) + 1):
        if whole[:start] + whole[start + length :] == rest:
            part = whole[start : start + length].strip(", \t\r\n")
            if _first_word(part) == name:
                return part
    return None


def keep_definition(tx: Transaction, was: ColumnDefinition, now: datetime) -> None:
    """In the caller's transaction, before the column goes."""
    write_job(tx, Job(COLUMN_JOB, "done", None, 0, None, was.details()), now)


def read_definition(migration: Migration) -> ColumnDefinition | None:
    """What was kept when the column was dropped, as far as it still fits; None without one."""
    if not has_table(migration.config, JOB_TABLE):
        return None
    job = read_job(migration.config, COLUMN_JOB)
    if job is None:
        return None
    details = dict(job.details)
    grants = tuple(Grant(**grant) for grant in details.pop("grants", ()))
    was = ColumnDefinition(
        **{"type": "", "is_nullable": False, **details},
        grants=tuple(_still_there(migration, grants)),
    )
    table = migration.settings.database.table
    if was.after and was.after not in read_columns(migration.source, table.name, table.schema):
        return replace(was, after=None)
    return was


def _still_there(migration: Migration, grants: tuple[Grant, ...]) -> Iterator[Grant]:
    """Without those for roles that are gone."""
    if not grants:
        return
    named = [grant.grantee for grant in grants if grant.grantee is not None]
    with migration.source.read() as tx:
        statement = migration.source_catalog.get("migration_roles")
        roles = {str(row.name) for row in tx.run(statement, {"roles": named})}
    yield from (grant for grant in grants if grant.grantee is None or grant.grantee in roles)
