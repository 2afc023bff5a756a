"""Running the steps of a revision: patiently, and one transaction each where DDL knows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.migration.index_build import watch_build
from des_core.migration.patience import INDEX_LOCK_TIMEOUT_S, patiently
from des_core.migration.run import MigrationRun
from des_core.migration.steps import Step, get_step, load_steps

if TYPE_CHECKING:
    pass


def run_all(migration: MigrationRun, database: Database, file_name: str) -> None:
    """Every step of the file that is meant for the program, each committed before the next."""
    for step in load_steps(catalog_for(migration, database), file_name):
        if step.is_for_program:
            run_steps(migration, database, file_name, [step])


def run_named(migration: MigrationRun, database: Database, file_name: str, *names: str) -> None:
    """Steps by name, in one transaction; committed when this returns."""
    catalog = catalog_for(migration, database)
    steps = [get_step(catalog, file_name, name) for name in names]
    run_steps(migration, database, file_name, steps)


def execute_steps(tx: Transaction, catalog: Catalog, file_name: str, names: Iterable[str]) -> None:
    """Steps by name in the caller's transaction."""
    for name in names:
        tx.run(get_step(catalog, file_name, name).statement)


def catalog_for(migration: MigrationRun, database: Database) -> Catalog:
    """The catalogue in the dialect of `database`; only the source's knows the columns there."""
    return migration.source_catalog if database is migration.source else migration.config_catalog


def run_steps(
    migration: MigrationRun, database: Database, file_name: str, steps: list[Step]
) -> None:
    """These steps in one transaction, or one that refuses to run inside any."""

    def work(tx: Transaction) -> None:
        for step in steps:
            tx.run(step.statement)

    what = ", ".join(step.name for step in steps)
    revision = file_name.partition(".")[0]
    if all(step.in_transaction for step in steps):
        patiently(migration, database, what, work)
    else:
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
    for step in steps:
        migration.tell(revision, step.name, step.statement.purpose, is_detail=True)
