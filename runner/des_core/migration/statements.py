"""Running the steps of a revision, one transaction each where the dialect has them for DDL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from des_core.database import Database, run
from des_core.migration.run import MigrationRun
from des_core.migration.steps import Step, get_step, load_steps
from des_core.sql_catalog import Catalog


def run_all(migration: MigrationRun, database: Database, file_name: str) -> None:
    """Every step of the file that is meant for the program, in order."""
    for step in load_steps(catalog_for(migration, database), file_name):
        if step.is_for_program:
            run_step(migration, database, step, file_name)


def run_named(
    migration: MigrationRun,
    database: Database,
    file_name: str,
    step_name: str,
    values: Mapping[str, Any] | None = None,
) -> None:
    """One step by name."""
    step = get_step(catalog_for(migration, database), file_name, step_name)
    run_step(migration, database, step, file_name, values)


def run_step(
    migration: MigrationRun,
    database: Database,
    step: Step,
    file_name: str,
    values: Mapping[str, Any] | None = None,
) -> None:
    """One step, committed when this returns."""
    transaction = database.write if step.in_transaction else database.autocommit
    with transaction() as connection:
        run(connection, step.statement, values)
    migration.tell(file_name.partition(".")[0], step.name, step.statement.purpose)


def catalog_for(migration: MigrationRun, database: Database) -> Catalog:
    """The catalogue in the dialect of `database`; only the source's knows the columns there."""
    return migration.source_catalog if database is migration.source else migration.config_catalog
