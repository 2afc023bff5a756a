"""No statement on `files` escapes the EXPLAIN tests: all of sql/ is gone through.

Named queries are explained in test_query_plans.py; the steps of the migrations that read or
write rows are explained here. Those that may read much are listed, with the reason.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.test_query_plans import NOT_RUN_HERE, ONLINE_SCANS, bad_steps, names_on_files
from des_core.basics.identifiers import Dialect
from des_core.basics.resources import resource_dir
from des_core.database.catalog import Catalog, Statement, sql_files
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import Migration, open_migration
from des_core.migration.steps.sql_file import Step, load_steps
from des_core.settings.config import DatabaseSettings
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

DIALECTS = ("postgres", "mysql", "sqlite")
OTHER_FOLDERS = {
    "demo": "made-up rows of the demonstration, in a file of its own",
    "grants": "GRANT and REVOKE: they name the table and read none of it",
    "rehearsal": "explained below, but for these two",
    "trial": "MySQL family: makes an empty table of the same shape, and drops that one",
}
REHEARSAL_SCANS = {
    "table": "MySQL family: makes a new table in a scratch database, reads no row",
    "sample_blocks": "PostgreSQL: some blocks chosen at random, which is what it is for",
}
# Steps of scripts for a DBA, who has no program that goes in pages. Each says in its own text
# (`-- costs: …`) what it reads; on PostgreSQL and the MySQL family readers go on meanwhile.
SCRIPT_SCANS = {
    "seed_watermark": "looks for the newest archived row once; backwards from the newest",
    "capture_holes": "looks once for what is not archived below the seed",
    "write_flags": "compares every row with the formula, where the column was kept",
    "write_flags_at": "the same, where the watermark lives elsewhere",
    "write_exceptions": "goes from the open exceptions to their rows, or the other way round",
}
READS_ROWS = re.compile(r"^(WITH|SELECT|INSERT|UPDATE|DELETE)\b")


def paths_of(dialect: str) -> list[Path]:
    """The files that are read in a dialect, and those of the common ones that it overrides."""
    homes = (resource_dir("sql") / home for home in ("common", dialect))
    return sorted(path for home in homes for path in home.rglob("*.sql"))


def row_steps(dialect: str) -> list[tuple[str, Step]]:
    """(file, step) of every migration step that reads or writes rows of `files`."""
    catalog = Catalog(Dialect(dialect), DatabaseSettings(url="sqlite:////x"))
    marked = catalog.names["files"]
    return [
        (path.stem, step)
        for path in sorted((resource_dir("sql") / dialect / "migrations").glob("*.sql"))
        for step in load_steps(catalog, path.stem)
        if marked in step.statement.sql and READS_ROWS.match(_bare(step.statement.sql))
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_order_is_that_of_an_alias(dialect: str) -> None:
    """ORDER BY takes a bare name for an alias first: pages would then miss rows.

    An alias that says the column itself does no harm, and one of another query is not seen.
    """
    captured = []
    for path in paths_of(dialect):
        text = path.read_text()
        for alias in re.finditer(r"([^,\n]*\S) AS (uid|created_at|location|archived)\b", text):
            column = alias[1].strip().removeprefix("SELECT ").removeprefix("{files}.")
            names = "uid|row_key" if alias[2] == "uid" else alias[2]
            order = re.search(rf"ORDER BY.*[ (]\{{({names})\}}", text[alias.end() :])
            if column == f"{{{alias[2]}}}" or order is None:
                continue
            between = text[alias.end() : alias.end() + order.start()]
            if between.count("(") == between.count(")"):
                captured.append((path.name, order[0]))
    assert captured == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_file_that_names_files_is_accounted_for(dialect: str) -> None:
    naming = {path for path in paths_of(dialect) if "{files}" in path.read_text()}
    queries = {path.stem for path in naming if path.parent.name == "queries"}
    explained = set(names_on_files(dialect))
    pages = {re.sub("_(first|next)$", "", name) for name in explained}
    assert queries <= explained | pages | NOT_RUN_HERE | ONLINE_SCANS.keys()
    folders = {path.parent.name for path in naming} - {"queries", "migrations"}
    assert folders <= OTHER_FOLDERS.keys()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_program_runs_no_step_that_reads_rows_at_once(dialect: str) -> None:
    steps = row_steps(dialect)
    assert {step.name for _file, step in steps} >= {
        "seed_watermark",
        "capture_holes",
        "write_flags",
    }
    for file, step in steps:
        assert step.only not in ("", "program"), f"{file}: {step.name}"
        assert step.cost != "moments", f"{file}: {step.name} does not say what it reads"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_change_of_the_table_says_what_it_locks(dialect: str) -> None:
    catalog = Catalog(Dialect(dialect), DatabaseSettings(url="sqlite:////x"))
    marked = catalog.names["files"]
    for path in sorted((resource_dir("sql") / dialect / "migrations").glob("*.sql")):
        for step in load_steps(catalog, path.stem):
            if marked not in step.statement.sql:
                continue
            assert step.lock, f"{path.stem}: {step.name}"
            is_alter = _bare(step.statement.sql).startswith("ALTER TABLE")
            if dialect == "mysql" and is_alter:
                assert "ALGORITHM=" in step.statement.sql, f"{path.stem}: {step.name}"


def test_row_steps_go_by_an_index_or_stand_in_the_list(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20_000, days=60, archived_days=57, holes=20, files=False)
    settings = settings_for(database)
    upgrade(settings)
    database.execute("ANALYZE TABLE files" if database.kind == "mysql" else "ANALYZE files")
    scanning = {}
    with open_migration(settings) as migration:
        for path in sql_files(Dialect(database.kind), "rehearsal").values():
            if "{files}" in path.read_text() and path.stem not in REHEARSAL_SCANS:
                statement = migration.source_catalog.load("rehearsal", path.name)
                if found := bad_steps(database.kind, _explain(migration, statement)):
                    scanning[f"rehearsal: {path.stem}"] = found
        for file, step in row_steps(database.kind):
            found = bad_steps(database.kind, _explain(migration, step.statement))
            if found and step.name not in SCRIPT_SCANS:
                scanning[f"{file}: {step.name}"] = found
    assert scanning == {}


def _explain(migration: Migration, statement: Statement) -> list[Any]:
    prefix = {
        "postgres": "EXPLAIN (FORMAT JSON) ",
        "mysql": "EXPLAIN FORMAT=TRADITIONAL ",
        "sqlite": "EXPLAIN QUERY PLAN ",
    }[migration.source.dialect]
    noon = datetime(2024, 2, 20, 12, tzinfo=UTC)
    moment = migration.schema.to_db(noon)
    values = {
        **migration.schema.window(noon, noon + timedelta(hours=1)),
        "row_limit": 100,
        "watermark": moment,
        "seed_at": None,
        "default_at": None,
        "lag_days": 7,
        "actor": "test",
    }
    clause = sa.text(prefix + _bare(statement.escaped))
    with migration.source.read() as tx:
        rows = tx.connection.execute(clause, {name: values[name] for name in statement.parameters})
        return list(rows.all())


def _bare(sql: str) -> str:
    """Without the comments before it."""
    lines = sql.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith("--")):
        lines.pop(0)
    return "\n".join(lines)
