"""An archive keeps the table that it was begun with.

A watermark speaks about the rows of one table. With another one (a slip in `database.table_name`)
windows would close without the rows that lie in them, and exceptions would read as gone. The newest
slice of the ledger knows the table; one that was renamed is taken as the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from des_core.archive_routing import newest_versions
from des_core.database import Database
from des_core.errors import ConfigError
from des_core.identifiers import TableName

if TYPE_CHECKING:
    from des_core.database_source import SourceReader


def table_facts(table: TableName) -> dict[str, str | None]:
    """What a slice remembers of the table whose rows it packed."""
    return {"table": table.name, "schema": table.schema}


def require_same_table(source: SourceReader, ledger: Database) -> None:
    """ConfigError where the newest slice is of another table, and that one is still there."""
    versions = newest_versions(ledger)
    name, schema = versions.get("table"), versions.get("schema")
    if not isinstance(name, str):
        return
    known = TableName(name, schema if isinstance(schema, str) else None)
    table = source.settings.table
    if _may_be_one(table, known) or not _is_table(source.database, known):
        return
    raise ConfigError(
        f"database.table_name is {table}, but this watermark is that of the table {known}: its "
        "windows would close without their rows",
        hint=f"set database.table_name to {known}; another table needs a database of its own for "
        "its watermark (watermark.config_db_url) and another packer.output_dir",
        key="database.table_name",
        known_from="the ledger",
    )


def _may_be_one(table: TableName, known: TableName) -> bool:
    """Whether the names agree; a schema that is not configured may be any."""
    schemas = {table.schema, known.schema} - {None}
    return table.name == known.name and len(schemas) < 2


def _is_table(database: Database, table: TableName) -> bool:
    """Whether it is there, and not as a view that was left behind for others."""
    with database.translated(), database.engine.connect() as connection:
        return table.name in sa.inspect(connection).get_table_names(schema=table.schema)
