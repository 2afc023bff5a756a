"""Revision 0001_ledger: the tables that remember. Going back forgets, so it wants --purge."""

from __future__ import annotations

from des_core.basics.errors import Refused
from des_core.ledger.revisions import LEDGER
from des_core.migration.run import MigrationRun
from des_core.migration.statements import run_all


def upgrade(migration: MigrationRun) -> None:
    """Create what is missing."""
    run_all(migration, migration.config, f"{LEDGER.name}.up")


def downgrade(migration: MigrationRun) -> None:
    """Drop the history of the archive. Refused without `purge`."""
    if not migration.options.purge:
        raise Refused(
            "going below the ledger forgets which shards hold what, all exceptions and the audit"
            " trail",
            hint="if that is what you want: des-admin migrate down --purge",
            database=migration.config.label,
        )
    run_all(migration, migration.config, f"{LEDGER.name}.down")
