"""The drop tried before anything goes: where a server refuses it, nothing has changed.

PostgreSQL: there and back, in a transaction that is rolled back. MySQL and MariaDB: there and back
on an empty table of the same shape. SQLite: in an empty copy of the schema, in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress

from des_core.basics.errors import DatabaseUnreachable, DesError, LockHeld, Refused
from des_core.basics.identifiers import Dialect, TableName
from des_core.database.errors import hangs_on, is_busy
from des_core.database.transaction import Transaction
from des_core.ledger.revisions import Branch
from des_core.migration.base.migration import Migration
from des_core.migration.operations.kinds import Scene, Work
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.steps.column_look import look_at_column
from des_core.migration.steps.column_steps import DOWN, UP, ColumnCatalog, restoring_steps
from des_core.migration.steps.patience import patiently
from des_core.migration.steps.sql_file import Step, get_step, has_step
from des_core.migration.steps.statements import run_steps

TABLE = "des_archive_trial"


def _statements(scene: Scene) -> Iterator[PlannedStatement]:
    migration = scene.migration
    if migration.source.dialect is Dialect.MYSQL:
        for step in _trial_steps(scene):
            yield scene.step(Branch.SOURCE, step)
    elif migration.source.dialect is Dialect.POSTGRES:
        for step in _there_and_back(migration):
            yield scene.step(Branch.SOURCE, step)


def _try_drop(scene: Scene) -> None:
    attempts = {
        Dialect.POSTGRES: _try_and_roll_back,
        Dialect.MYSQL: _try_on_empty_table,
        Dialect.SQLITE: _try_in_memory,
    }
    try:
        attempts[scene.migration.source.dialect](scene)
    except (DatabaseUnreachable, LockHeld):
        raise  # these say nothing about the server's answer
    except DesError as exc:
        if is_busy(exc) or (isinstance(exc, Refused) and not hangs_on(exc)):
            raise
        raise _refused(scene.migration, exc.message) from exc


def _try_and_roll_back(scene: Scene) -> None:
    steps = _there_and_back(scene.migration)

    def work(tx: Transaction) -> None:
        attempt = tx.connection.begin_nested()
        try:
            for step in steps:
                tx.run(step.statement)
        finally:
            attempt.rollback()

    patiently(scene.migration, scene.migration.source, "try_drop", work)


def _there_and_back(migration: Migration, fill: Mapping[str, str] | None = None) -> list[Step]:
    """The drop, and all that brings the column back as it is."""
    was = look_at_column(migration)
    catalog = ColumnCatalog(migration, was, fill=fill)
    names = [(UP, "drop_archived"), (DOWN, "add_archived"), (DOWN, "default_false")]
    names = [(file, name) for file, name in names if has_step(catalog, file, name)]
    steps = [get_step(catalog, file, name) for file, name in names]
    return [*steps, *(restoring_steps(migration, was, fill=fill) if was else ())]


def _trial_steps(scene: Scene) -> list[Step]:
    migration = scene.migration
    table, dialect = migration.settings.database.table, migration.source.dialect
    trial = TableName(TABLE, table.schema).quoted(dialect)
    fill = {"files": trial, "model": table.quoted(dialect)}
    catalog = ColumnCatalog(migration, None, fill=fill)
    remove = get_step(catalog, "table", "remove", folder="trial")
    steps = [remove, get_step(catalog, "table", "create", folder="trial")]
    if scene.facts.has_packer_index:
        steps.append(get_step(catalog, UP, "drop_created_archived_index"))
    return [*steps, *_there_and_back(migration, fill), remove]


def _try_on_empty_table(scene: Scene) -> None:
    *steps, remove = _trial_steps(scene)
    try:
        for step in steps:
            run_steps(scene.migration, Branch.SOURCE, scene.revision.name, [step])
    finally:
        run_steps(scene.migration, Branch.SOURCE, scene.revision.name, [remove])


def _try_in_memory(scene: Scene) -> None:
    migration = scene.migration
    with migration.source.read() as tx:
        parts = [str(row.sql) for row in tx.run(migration.source_catalog.get("migration_schema"))]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        for part in parts:
            with suppress(sqlite3.Error):  # a virtual table whose module is not here
                memory.execute(part)
        try:
            index = get_step(migration.source_catalog, UP, "drop_created_archived_index")
            for step in (index, *_there_and_back(migration)):
                memory.execute(step.statement.sql)
        except sqlite3.Error as exc:
            raise _refused(migration, str(exc)) from exc


def _refused(migration: Migration, answer: str) -> Refused:
    return Refused(
        f"the column archived stays: this server would not drop it: {answer}",
        hint="nothing was changed; keep the column: des-admin migrate up, without --drop-archived",
        table=str(migration.settings.database.table),
    )


TRY_DROP = Work(
    name="try_drop",
    branch=Branch.SOURCE,
    says="the drop, tried where it changes nothing: a server that refuses it does so now",
    when=lambda facts: facts.has_column,
    statements=_statements,
    act=_try_drop,
)
