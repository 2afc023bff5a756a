"""The partitions of a table: before version 16, pg_dump leaves them out beside their parent."""

from __future__ import annotations

from des_core.backup.identity import Target
from des_core.backup.statements import BackupCatalog
from des_core.basics.identifiers import Dialect, TableName


def with_partitions(target: Target, tables: tuple[TableName, ...]) -> tuple[TableName, ...]:
    """The tables, each followed by its partitions, however deep they lie."""
    if target.dialect is not Dialect.POSTGRES:
        return tables
    found = dict.fromkeys(tables)
    statement = BackupCatalog(Dialect.POSTGRES).backup("partitions")
    with target.database.read() as tx:
        for table in tables:
            values = {"table_name": table.quoted(Dialect.POSTGRES)}
            for row in tx.run(statement, values).all():
                partition = TableName(str(row.table_name), str(row.schema_name))
                is_itself = partition.name == table.name and table.schema in (
                    None,
                    partition.schema,
                )
                if not is_itself:
                    found[partition] = None
    return tuple(found)
