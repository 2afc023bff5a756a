"""Each statement on `files` is carried by an index: its plan is looked at, on each database."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog, Statement
from des_core.database.connections import Database, open_database
from des_core.rows.reader import SourceReader
from des_core.settings.config import DatabaseSettings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

# Statements that read more than a window or a page: why, and that they only read. Each of them is
# a plain SELECT, which makes no writer wait on any of the three databases.
ONLINE_SCANS = {
    "undated_rows": "on SQLite: times that are no times; before sources are deleted",
    "backup_numbers": "compares the whole table with the dump that was made of it",
    "migration_odd_created_at": "on SQLite: times that are no times; once, before the cutover",
    "migration_holes_count": "everything below the seed once, where no index knows the flag",
    "migration_holes_first": "the same, until the first page is full",
    "migration_holes_next": "the same, until the page is full",
    "migration_unknown_count": "on PostgreSQL: the same, for a flag that is NULL",
    "migration_unknown_first": "on PostgreSQL: the same, for a flag that is NULL",
    "migration_unknown_next": "on PostgreSQL: the same, for a flag that is NULL",
}
# Run only where created_at may be NULL, which it may not be in the table of this test.
NOT_RUN_HERE = {"migration_flags_unseen"}
MOMENT = datetime(2024, 2, 20, 12, tzinfo=UTC)


def names_on_files(dialect: str) -> list[str]:
    settings = DatabaseSettings(url=SecretStr("sqlite:////x"))
    return [s.name for s in Catalog(Dialect(dialect), settings).list() if "files" in s.touches]


@pytest.fixture
def reader(database: TestDatabase, files_table: FilesTableFactory) -> Iterator[SourceReader]:
    """20,000 rows of sixty days, 95 % archived, with the indexes of before and after."""
    table = files_table(database, rows=20_000, days=60, archived_days=57, holes=20, files=False)
    database.execute("CREATE INDEX idx_files_created_at ON files (created_at)")
    database.execute("ANALYZE TABLE files" if database.kind == "mysql" else "ANALYZE files")
    opened: Database = open_database(database.url)
    assert table.rows
    yield SourceReader(opened, DatabaseSettings(url=SecretStr(database.url)))
    opened.close()


def values_for(reader: SourceReader, statement: Statement) -> dict[str, Any]:
    """A value for each parameter: a window of two hours, one row, one page."""
    schema = reader.schema
    start, end = MOMENT, MOMENT + timedelta(hours=2)
    known = {
        **schema.window(start, end),
        "seed": schema.to_db(end),
        "watermark": schema.to_db(MOMENT),
        "created_at": schema.to_db(MOMENT),
        "page_created_at": schema.to_db(start),
        "last_created_at": schema.to_db(end),
        "page_key": "4000000000" if schema.row_key != "rowid" else 1,
        "last_key": "doc-1" if schema.row_key != "rowid" else 9,
        **schema.uid_values("4000000000"),
        "archived": True,
        "share": 3,
        **{"workers_total": 4, "worker_id": 1, "bucket": 1, "bucket_mask": 255, "n_bits": 8},
        **dict.fromkeys(("limit", "row_limit", "page_size", "sample_size"), 100),
    }
    return {name: known[name] for name in statement.parameters if name != "uids"}


def explain(reader: SourceReader, statement: Statement) -> list[Any]:
    prefix = {
        "postgres": "EXPLAIN (FORMAT JSON) ",
        "mysql": "EXPLAIN FORMAT=TRADITIONAL ",
        "sqlite": "EXPLAIN QUERY PLAN ",
    }[reader.database.dialect]
    clause = sa.text(prefix + statement.escaped)
    values = values_for(reader, statement)
    if ":uids" in statement.escaped:
        if reader.database.dialect is not Dialect.POSTGRES:  # where it is an array
            clause = clause.bindparams(sa.bindparam("uids", expanding=True))
        values["uids"] = ["4000000000", "doc-0000001.json"]
    with reader.database.read() as tx:
        return list(tx.connection.execute(clause, values).all())


def bad_steps(dialect: str, rows: list[Any]) -> list[str]:
    """The steps of a plan that read the table from end to end."""
    if dialect == "postgres":
        plan = rows[0][0] if not isinstance(rows[0][0], str) else json.loads(rows[0][0])
        return [node for node in _nodes(plan[0]["Plan"]) if "Seq Scan" in node]
    if dialect == "mysql":
        return [
            str(row) for row in rows if row.type == "ALL" and not str(row.table).startswith("<")
        ]
    # One row from either end of an index is a SCAN with an index, and a LIMIT.
    return [row.detail for row in rows if re.fullmatch(r"SCAN (TABLE )?files", row.detail)]


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['Node Type']} {plan.get('Index Name', '')}"
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql"])
def test_the_list_of_scans_names_only_statements_that_read(dialect: str) -> None:
    settings = DatabaseSettings(url=SecretStr("sqlite:////x"))
    catalog = Catalog(Dialect(dialect), settings)
    for name in ONLINE_SCANS.keys() & {statement.name for statement in catalog.list()}:
        sql = catalog.get(name).sql.upper()
        assert re.match(r"(WITH|SELECT)\b", sql.lstrip()), name
        assert "FOR UPDATE" not in sql


def test_each_scan_is_a_statement_of_some_database() -> None:
    known = {name for dialect in Dialect for name in names_on_files(dialect)}
    assert ONLINE_SCANS.keys() <= known


def test_every_statement_on_files_uses_an_index(reader: SourceReader) -> None:
    problems = {}
    for name in names_on_files(reader.database.dialect):
        if name in ONLINE_SCANS or name in NOT_RUN_HERE:
            continue
        statement = reader.catalog.get(name)
        rows = explain(reader, statement)
        found = bad_steps(reader.database.dialect, rows)
        if found:
            problems[name] = found
    assert problems == {}


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize("page", ["first", "next"])
def test_what_is_not_archived_is_found_without_the_rows(reader: SourceReader, page: str) -> None:
    """By the index with the flag: each row besides would be looked up, a billion of them."""
    rows = explain(reader, reader.catalog.get(f"migration_holes_{page}"))
    (inner,) = [row for row in rows if row.select_type == "DERIVED"]
    assert inner.key == "idx_files_created_archived"
    assert "Using index" in inner.Extra.split("; ")
    assert "filesort" not in inner.Extra


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "name", ["metrics_pending", "window_sample", "window_first", "window_last", "pending_first"]
)
def test_a_sample_is_not_sorted(reader: SourceReader, name: str) -> None:
    """An alias that is called as the column would be what ORDER BY means."""
    plan = explain(reader, reader.catalog.get(name))
    assert not [row.detail for row in plan if "TEMP B-TREE" in row.detail]
