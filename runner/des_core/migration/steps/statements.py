"""Running the steps of an SQL file: patiently, and in one transaction where DDL knows them."""

from __future__ import annotations

from des_core.database.transaction import Transaction
from des_core.ledger.revisions import Branch
from des_core.migration.base.migration import Migration
from des_core.migration.steps.index_build import watch_build
from des_core.migration.steps.patience import INDEX_LOCK_TIMEOUT_S, patiently
from des_core.migration.steps.sql_file import Step


def run_steps(migration: Migration, branch: Branch, revision: str, steps: list[Step]) -> None:
    """These steps in one transaction, or one that refuses to run inside any."""
    database = migration.database(branch)

    def work(tx: Transaction) -> None:
        for step in steps:
            tx.run(step.statement)

    what = ", ".join(step.name for step in steps)
    if all(step.in_transaction for step in steps):
        patiently(migration, database, what, work, is_ddl=True)
        return
    # Such a statement waits for old snapshots, and nobody waits for it meanwhile.
    with watch_build(migration, revision, what):
        patiently(
            migration,
            database,
            what,
            work,
            in_transaction=False,
            timeout_s=INDEX_LOCK_TIMEOUT_S,
        )
