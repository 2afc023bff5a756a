"""Some days of `files`, copied into a scratch database together with the table's own shape.

Days are taken from the whole range, and around the place where the watermark would start. Where
no index leads to a day, a big table of PostgreSQL gives rows of random blocks instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from des_core.backup.identity import Target
from des_core.backup.statements import BackupCatalog
from des_core.basics.errors import DesError, Refused
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import EARLIEST, floor_day
from des_core.migration.base.migration import Migration
from des_core.migration.plan import MOST_ROWS_TO_SCAN
from des_core.migration.seed.seeding import newest_archived, newest_row, oldest_row
from des_core.migration.state.tables import (
    estimate_rows,
    read_columns,
    serves_windows,
    table_values,
)

DAYS = 8
DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was copied. `days` is 0 where rows came from random blocks."""

    rows: int
    days: int


def copy_sample(migration: Migration, scratch: Target, rows_per_day: int) -> Sample:
    """The table and some of its rows. Refused where the server cannot make the table again."""
    try:
        _make_table(migration, scratch)
    except DesError as exc:
        raise Refused(
            f"the table cannot be made again in a scratch database: {exc.message}",
            hint="types and functions of your own are not copied; rehearse on a restored backup: "
            "des-admin backup check NAME --level 3",
        ) from exc
    pages, days = _pages(migration, rows_per_day)
    rows = 0
    for page in pages:
        _insert(migration, scratch, page)
        rows += len(page)
    if not rows:
        raise Refused("there is nothing to rehearse with: the table has no rows")
    return Sample(rows, days)


def read_all(migration: Migration) -> list[Row]:
    """Every row of a scratch copy, by uid and created_at, each as a dictionary of its columns."""
    rows: list[Row] = []
    start, end = oldest_row(migration) - _TICK, newest_row(migration)
    rows += _read(migration, "sample", migration.schema.window(start, end), 10_000_000)
    return rows


def _pages(migration: Migration, rows_per_day: int) -> tuple[Iterator[list[Row]], int]:
    is_postgres = migration.source.dialect is Dialect.POSTGRES
    estimate = estimate_rows(migration) or 0
    if is_postgres and estimate > MOST_ROWS_TO_SCAN and not serves_windows(migration):
        wanted = rows_per_day * DAYS
        # Twice as many as wanted: blocks are filled unevenly, and the limit cuts the rest.
        values = {"percent": min(100.0, 200.0 * wanted / estimate)}
        return iter([_read(migration, "sample_blocks", values, wanted)]), 0
    days = _choose_days(migration)
    windows = (migration.schema.window(day - _TICK, day + DAY - _TICK) for day in days)
    return (_read(migration, "sample", values, rows_per_day) for values in windows), len(days)


def _choose_days(migration: Migration) -> list[datetime]:
    """Days that hold rows: spread evenly, and the last before and the first after the seed."""
    oldest, newest = oldest_row(migration), newest_row(migration)
    if newest == EARLIEST:
        return []
    spread = [oldest + (newest - oldest) * part / (DAYS - 3) for part in range(DAYS - 2)]
    seed = newest_archived(migration)
    around = [] if seed is None else [seed, seed + _TICK]
    reader = migration.reader
    found = (reader.first_created_at(moment - _TICK, newest) for moment in [*spread, *around])
    return sorted({floor_day(moment) for moment in found if moment is not None})


def _read(migration: Migration, name: str, values: dict[str, Any], limit: int) -> list[Row]:
    statement = migration.source_catalog.load("rehearsal", f"{name}.sql")
    with migration.source.read() as tx:
        result = tx.run(statement, {**values, "row_limit": limit})
        return [dict(row._mapping) for row in result]


def _make_table(migration: Migration, scratch: Target) -> None:
    settings, dialect = migration.settings.database, migration.source.dialect
    name = scratch.url.database or ""
    catalog = BackupCatalog(dialect, settings, scratch=name)
    statement = catalog.load("rehearsal", "table.sql")
    if dialect is Dialect.MYSQL:
        with migration.source.autocommit() as tx:
            tx.run(statement)
        return
    with migration.source.read() as tx:
        made = [str(row.statement) for row in tx.run(statement, table_values(migration))]
    with scratch.database.write() as tx:
        for text in made:
            tx.connection.exec_driver_sql(text, None, {"no_parameters": True})


def _insert(migration: Migration, scratch: Target, rows: list[Row]) -> None:
    """As they are, but for what the table computes by itself."""
    if not rows:
        return
    table = migration.settings.database.table
    columns = read_columns(scratch.database, table.name, _schema(migration))
    kept = [name for name, column in columns.items() if not column.get("computed")]
    as_json = {name for name, column in columns.items() if isinstance(column["type"], sa.JSON)}
    is_postgres = migration.source.dialect is Dialect.POSTGRES
    target = sa.table(table.name, *map(sa.column, kept), schema=_schema(migration))
    values = [
        {
            name: json.dumps(row[name])
            if is_postgres and name in as_json and row[name] is not None
            else row[name]
            for name in kept
        }
        for row in rows
    ]
    # Bound by position of the column, whose name may hold anything.
    marks: dict[str, Any] = {name: sa.bindparam(f"v{number}") for number, name in enumerate(kept)}
    numbered = [{f"v{n}": row[name] for n, name in enumerate(kept)} for row in values]
    with scratch.database.write() as tx:
        tx.connection.execute(sa.insert(target).values(marks), numbered)


def _schema(migration: Migration) -> str | None:
    """The scratch database of the MySQL family stands for the schema."""
    is_mysql = migration.source.dialect is Dialect.MYSQL
    return None if is_mysql else migration.settings.database.table.schema
