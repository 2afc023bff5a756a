"""Revision 0004_drop_archived: the column goes, through the gate; back: it comes, at small cost."""

from __future__ import annotations

from datetime import datetime

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import format_utc
from des_core.database.catalog import CREATED_ARCHIVED_INDEX
from des_core.ledger.events import record_event
from des_core.ledger.jobs import forget_job
from des_core.ledger.revisions import DROP_ARCHIVED
from des_core.ledger.watermark import read_watermark
from des_core.migration.flag_jobs import COMPLIANCE_JOB, ROLLBACK_JOB, begin_anew
from des_core.migration.flags import write_formula
from des_core.migration.gate import pass_gate
from des_core.migration.live_state import find_index, read_archived_column
from des_core.migration.partitions import is_partitioned
from des_core.migration.run import MigrationRun
from des_core.migration.statements import run_named

UP = f"{DROP_ARCHIVED.name}.up"
DOWN = f"{DROP_ARCHIVED.name}.down"


def upgrade(migration: MigrationRun) -> None:
    """Through the gate, then the index that mentions the column, then the column.

    1. The gate, each time, also where an earlier run was cut off after it.
    2. The event, before anything goes: it names the backup.
    3. The index: without it MySQL drops the column at once, and SQLite drops it at all.
    4. The column.
    """
    column = read_archived_column(migration)
    if column is None:
        migration.tell(DROP_ARCHIVED.name, "drop_archived", "the column is gone already")
        return
    findings = pass_gate(migration)
    backup = next(finding.text for finding in findings if finding.check == "backup")
    now = migration.now()
    with migration.config.write() as tx:
        for name in (COMPLIANCE_JOB, ROLLBACK_JOB):
            forget_job(tx, name)
        record_event(
            tx,
            action="migrate.drop_archived",
            actor=migration.actor,
            now=now,
            from_value=f"{column.type}{'' if column.is_nullable else ' NOT NULL'}",
            reason=migration.options.reason,
            details={"backup": backup, "default": column.default},
        )
    names = ["drop_archived"]
    if index_goes_first(migration):
        names.insert(0, "drop_created_archived_index")
    if migration.source.dialect is Dialect.SQLITE:
        run_named(migration, migration.source, UP, *names)
    else:
        for name in names:
            run_named(migration, migration.source, UP, name)
    migration.forget_schema()


def index_goes_first(migration: MigrationRun) -> bool:
    """Whether the per-record packer's index is dropped by itself, without anyone waiting for it.

    Where `files` is partitioned that would lock every partition, as dropping the column does,
    which takes the index along.
    """
    is_there = find_index(migration, CREATED_ARCHIVED_INDEX) is not None
    return is_there and not is_partitioned(migration)


def downgrade(migration: MigrationRun) -> None:
    """The column again, agreeing with the watermark."""
    watermark = _watermark(migration)
    restore_archived_column(migration)
    write_formula(migration, watermark, None)
    migration.formula_written_for = watermark
    migration.tell(
        DROP_ARCHIVED.name, "write_formula", f"archived says what {format_utc(watermark)} says"
    )


def restore_archived_column(migration: MigrationRun) -> None:
    """Add the column where it is missing; finish what a cut-off run began.

    On PostgreSQL, MySQL and MariaDB every row that is there reads TRUE from the catalogue, which
    is right up to the watermark; on SQLite FALSE. A job remembers what is to be written.
    """
    is_sqlite = migration.source.dialect is Dialect.SQLITE
    if read_archived_column(migration) is None:
        begin_anew(migration, _watermark(migration), all_true=not is_sqlite)
        names = ["add_archived"]
        if migration.source.dialect is Dialect.POSTGRES:
            names.append("default_false")
        run_named(migration, migration.source, DOWN, *names)
    column = read_archived_column(migration)
    if migration.source.dialect is Dialect.MYSQL and column and _reads_true(column.default):
        run_named(migration, migration.source, DOWN, "default_false")
    migration.forget_schema()


def _watermark(migration: MigrationRun) -> datetime:
    with migration.config.read() as tx:
        return read_watermark(tx).archived_until


def _reads_true(default: str | None) -> bool:
    return (default or "").strip("'b").lower() in ("1", "true")
