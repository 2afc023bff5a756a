"""An archive keeps the table that it was begun with.

A watermark speaks about the rows of one table. With another one (a slip in `database.table_name`)
windows would close without the rows that lie in them, exceptions would read as gone, and a rollback
would write flags into somebody else's rows. The newest slice of the ledger knows the table, before
the first slice the seed does; one that was renamed is taken as the same.
"""

from __future__ import annotations

import json

import sqlalchemy as sa

from des_core.basics.errors import ConfigError
from des_core.basics.identifiers import Dialect, TableName
from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.ledger.jobs import JOB_TABLE, SEED_JOB, read_job
from des_core.ledger.slices import newest_versions

SLICE_TABLE = "des_archive_slice"


def table_facts(table: TableName) -> dict[str, str | None]:
    """What a slice, and the seed, remember of the table whose rows are archived."""
    return {"table": table.name, "schema": table.schema}


def seed_details(table: TableName) -> str:
    """The details of the seed's job, as JSON."""
    return json.dumps(table_facts(table), sort_keys=True)


def require_same_table(source: Database, table: TableName, ledger: Database) -> None:
    """ConfigError where the archive is one of another table, and that one is still there.

    A name that means no table at all is for the source schema to name.
    """
    known = _known_table(ledger)
    if known is None or _may_be_one(table, known):
        return
    if not (_is_there(source, table) and _is_table(source, known)):
        return
    raise ConfigError(
        f"database.table_name is {table}, but this watermark is that of the table {known}: its "
        "windows would close without their rows",
        hint=f"set database.table_name to {known}; another table needs a database of its own for "
        "its watermark (watermark.config_db_url) and another packer.output_dir",
        key="database.table_name",
        known_from="the ledger",
    )


def find_watermark_elsewhere(source: Database, catalog: Catalog, table: TableName) -> str | None:
    """The schema of `files`, if a watermark is there that this user's search_path does not reach.

    That a table is not found says only that this user does not see it.
    """
    if source.dialect is not Dialect.POSTGRES:
        return None
    with source.read() as tx:
        row = tx.run(catalog.get("migration_elsewhere"), table.values(source.dialect)).first()
    return None if row is None else str(row.name)


def _known_table(ledger: Database) -> TableName | None:
    """None where nothing was begun, or by a version that did not write it down."""
    with ledger.translated(), ledger.engine.connect() as connection:
        inspector = sa.inspect(connection)
        has_slices, has_jobs = inspector.has_table(SLICE_TABLE), inspector.has_table(JOB_TABLE)
    facts = newest_versions(ledger) if has_slices else {}
    if not isinstance(facts.get("table"), str):
        seed = read_job(ledger, SEED_JOB) if has_jobs else None
        facts = {} if seed is None else dict(seed.details)
    name, schema = facts.get("table"), facts.get("schema")
    if not isinstance(name, str):
        return None
    return TableName(name, schema if isinstance(schema, str) else None)


def _may_be_one(table: TableName, known: TableName) -> bool:
    """Whether the names agree; a schema that is not configured may be any."""
    schemas = {table.schema, known.schema} - {None}
    return table.name == known.name and len(schemas) < 2


def _is_there(database: Database, table: TableName) -> bool:
    with database.translated(), database.engine.connect() as connection:
        return sa.inspect(connection).has_table(table.name, schema=table.schema)


def _is_table(database: Database, table: TableName) -> bool:
    """Whether it is there, and not as a view that was left behind for others."""
    with database.translated(), database.engine.connect() as connection:
        return table.name in sa.inspect(connection).get_table_names(schema=table.schema)
