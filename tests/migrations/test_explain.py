"""Every statement of the migrations that reads or writes `files` goes by an index.

The few that cannot are listed, with the reason; each of them is run once, and online.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog, Statement
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import Migration, open_migration
from des_core.migration.state.tables import table_values
from des_core.settings.config import DatabaseSettings
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

MIDDLE = datetime(2024, 1, 8, tzinfo=UTC)
ONCE = {
    # SQLite lets anything into created_at: it is read from end to end before the seed.
    # `IS NULL` of a column that is NOT NULL reads nothing, but is called a scan.
    "sqlite": {"migration_odd_created_at", "migration_flags_unseen"},
    "postgres": set[str](),
    "mysql": set[str](),
}
# One row a table, whatever form the server would give by itself.
PREFIXES = {
    "sqlite": "EXPLAIN QUERY PLAN ",
    "postgres": "EXPLAIN ",
    "mysql": "EXPLAIN FORMAT=TRADITIONAL ",
}


def names_on_files(kind: str) -> list[str]:
    catalog = Catalog(Dialect(kind), DatabaseSettings(url=SecretStr("sqlite:////x")))
    return [
        statement.name
        for statement in catalog.list()
        if statement.name.startswith("migration_") and catalog.names["files"] in statement.sql
    ]


@pytest.fixture
def migration(database: TestDatabase, files_table: FilesTableFactory) -> Any:
    """A table of some size at the watermark, with statistics."""
    files_table(database, 6000, days=14, archived_days=12, holes=8, files=False)
    settings = settings_for(database)
    upgrade(settings)
    database.execute("ANALYZE" + (" TABLE files" if database.kind == "mysql" else ""))
    with open_migration(settings) as opened:
        yield opened


def test_each_statement_goes_by_an_index(migration: Migration, database: TestDatabase) -> None:
    scanning = {}
    for name in names_on_files(database.kind):
        plan = explain(migration, migration.source_catalog.get(name))
        if not goes_by_index(plan, database.kind):
            scanning[name] = plan
    assert scanning.keys() <= ONCE[database.kind], scanning


def explain(migration: Migration, statement: Statement) -> str:
    """What the server says that it would do, in lower case."""
    prefix = PREFIXES[migration.source.dialect]
    clause = sa.text(prefix + statement.escaped)
    with migration.source.read() as tx:
        rows = tx.connection.execute(clause, values_for(migration, statement)).all()
    return "\n".join(" ".join(str(cell) for cell in row) for row in rows).lower()


def values_for(migration: Migration, statement: Statement) -> dict[str, Any]:
    schema = migration.schema
    start, end = MIDDLE, MIDDLE + timedelta(hours=1)
    moment = schema.to_db(start)
    values = {
        **table_values(migration),
        **schema.window(start, end),
        "seed": moment,
        "watermark": moment,
        "page_created_at": moment,
        "page_key": 100 if migration.source.dialect is Dialect.SQLITE else "doc-0003000.txt",
        "last_created_at": schema.to_db(end),
        "last_key": 200 if migration.source.dialect is Dialect.SQLITE else "doc-0003100.txt",
        **schema.uid_values("doc-0003001.json"),
        "archived": True,
        "share": 3,
        "limit": 100,
        "page_size": 100,
    }
    return {name: value for name, value in values.items() if name in statement.parameters}


def goes_by_index(plan: str, kind: str) -> bool:
    if kind == "postgres":
        # Since 17, IS NULL of a column that is NOT NULL is known to find nothing.
        return "seq scan" not in plan and ("index" in plan or "one-time filter: false" in plan)
    if kind == "sqlite":
        scans = [line for line in plan.splitlines() if "scan files" in line]
        return all("using" in line and "index" in line for line in scans)
    tables = [line for line in plan.splitlines() if " files " in f" {line} "]
    if not tables:  # answered from the index's ends, or known to find nothing
        return "optimized away" in plan or "impossible where" in plan or "no matching" in plan
    return all(" all " not in f" {line} " for line in tables)
