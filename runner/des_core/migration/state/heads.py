"""Which revision each database is at, by Alembic's own reading of our version table."""

from __future__ import annotations

from alembic.runtime.migration import MigrationContext

from des_core.basics.errors import WrongSchema
from des_core.database.connections import Database
from des_core.ledger.revisions import BY_NAME, VERSION_TABLE, Branch
from des_core.migration.base.migration import Migration


def read_heads(database: Database) -> frozenset[str]:
    """The rows of des_admin_version. WrongSchema where one is not of this version."""
    with database.translated(), database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        heads = frozenset(context.get_current_heads())
    unknown = sorted(heads - BY_NAME.keys())
    if unknown:
        raise WrongSchema(
            f"the database is at a revision that this version does not know: {unknown[0]}",
            hint="a newer des-admin was here: install that version, "
            f"or look into the table {VERSION_TABLE}",
            database=database.label,
            known=", ".join(BY_NAME),
        )
    return heads


def all_heads(migration: Migration) -> frozenset[str]:
    """The heads of both branches, each read where its branch lives."""
    config_heads = read_heads(migration.config)
    source_heads = config_heads if migration.shares_database else read_heads(migration.source)
    return frozenset(
        {name for name in config_heads if BY_NAME[name].branch is Branch.CONFIG}
        | {name for name in source_heads if BY_NAME[name].branch is Branch.SOURCE}
    )
