"""The column archived: it goes through the gate, and comes back at small cost.

It goes:
1. The gate, each time, also where an earlier run was cut off after it.
2. A trial of the drop: what a server refuses is known before anything goes.
3. The event, before anything goes: it names the backup.
4. The index that mentions it: without it MySQL drops the column at once, SQLite drops it at all.
5. The column.

It comes back: on PostgreSQL, MySQL and MariaDB every row that is there reads TRUE from the
catalogue, which is right up to the watermark, and then new rows get FALSE; on SQLite all rows read
FALSE, and its file has no step for the default. A job remembers, before the column is there, what
is to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from des_core.basics.errors import WrongSchema
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.jobs import forget_job
from des_core.ledger.revisions import Branch
from des_core.ledger.watermark import read_watermark
from des_core.migration.base.migration import Migration
from des_core.migration.gate.checks import pass_gate
from des_core.migration.operations.facts import Facts
from des_core.migration.operations.kinds import Check, Operation, Scene, Sql, When, Work
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.state.column_definition import COLUMN_JOB
from des_core.migration.state.flag_jobs import COMPLIANCE_JOB, ROLLBACK_JOB, begin_anew
from des_core.migration.state.tables import needs_null_pass
from des_core.migration.steps.column_look import keep_definition, look_at_column
from des_core.migration.steps.column_steps import (
    DOWN,
    RESTORED,
    ColumnCatalog,
    restoring_steps,
)
from des_core.migration.steps.sql_file import Step, get_step


def read_until(migration: Migration) -> datetime:
    """The watermark as it is now."""
    with migration.config.read() as tx:
        return read_watermark(tx).archived_until


def has_column(facts: Facts) -> bool:
    return facts.has_column


def lacks_column(facts: Facts) -> bool:
    return not facts.has_column


def packer_index_goes_first(facts: Facts) -> bool:
    """Whether the per-record packer's index is dropped by itself, without anyone waiting for it.

    Where `files` is partitioned that would lock every partition, as dropping the column does,
    which takes the index along.
    """
    return facts.has_column and facts.has_packer_index and not facts.is_partitioned


@dataclass(frozen=True, kw_only=True)
class AddColumn(Sql):
    """The column again. Where a dialect can, all rows read TRUE at first."""

    def changes(self, scene: Scene) -> Mapping[str, Any]:
        is_true = DEFAULT_FALSE.is_known(scene)
        return {"has_column": True, "rows_read_true": is_true, "default_is_true": is_true}

    def _steps(self, scene: Scene) -> list[Step]:
        catalog = ColumnCatalog(scene.migration, scene.facts.column_was)
        return [get_step(catalog, DOWN, self.name)]


@dataclass(frozen=True, kw_only=True)
class Restored(Sql):
    """What the column had besides, made again."""

    of: str | None = DOWN
    branch: Branch | None = Branch.SOURCE
    when: When = lambda facts: facts.column_was is not None

    def _steps(self, scene: Scene) -> list[Step]:
        was = scene.facts.column_was
        return [] if was is None else list(restoring_steps(scene.migration, was, [self.name]))


def hole_reads(scene: Scene) -> Iterator[str]:
    """The statements that look for rows at or below the seed that are not archived."""
    yield from ("migration_holes_first", "migration_holes_next")
    if needs_null_pass(scene.migration):
        yield from ("migration_unknown_first", "migration_unknown_next")


def _note_statements(scene: Scene) -> Iterator[PlannedStatement]:
    for name in ("job_write", "job_forget", "event_add"):
        yield scene.query(Branch.CONFIG, name)


def _gate_reads(scene: Scene) -> Iterator[str]:
    yield from ("migration_archived_above", "migration_archived_unseen", *hole_reads(scene))


def _ask_gate(scene: Scene) -> None:
    findings = pass_gate(scene.migration)
    scene.migration.backup_named = next(i.subject for i in findings if i.check == "backup")


def _note_drop(scene: Scene) -> None:
    migration = scene.migration
    was = look_at_column(migration)
    if was is None:
        raise WrongSchema(
            "the catalogue does not say what the column archived is made of, so nobody could make "
            "it again; it stays",
            hint="see what this user may read of the catalogue: des-admin doctor",
            column=migration.archived_column,
        )

    def work(tx: Transaction) -> None:
        for name in (COMPLIANCE_JOB, ROLLBACK_JOB):
            forget_job(tx, name)
        keep_definition(tx, was, migration.now())
        record_event(
            tx,
            action="migrate.drop_archived",
            actor=migration.actor,
            now=migration.now(),
            from_value=f"{was.type}{'' if was.is_nullable else ' NOT NULL'}",
            reason=migration.options.reason,
            details={"backup": migration.backup_named, **was.details()},
        )

    migration.write(work)


def _begin_flags(scene: Scene) -> None:
    all_true = DEFAULT_FALSE.is_known(scene)
    begin_anew(scene.migration, read_until(scene.migration), all_true=all_true)


def _write_job(scene: Scene) -> Iterable[PlannedStatement]:
    return [scene.query(Branch.CONFIG, "job_write")]


ASK_GATE = Check(
    name="ask_gate",
    says="index, backup, flags and users of the column are as they must be",
    when=has_column,
    reads=_gate_reads,
    ask=_ask_gate,
)
NOTE_DROP = Work(
    name="note_drop",
    branch=Branch.CONFIG,
    says="who drops the column, and which backup brings it back",
    when=has_column,
    statements=_note_statements,
    act=_note_drop,
)
DROP_PACKER_INDEX: Operation = Sql(
    name="drop_created_archived_index",
    when=packer_index_goes_first,
    makes={"has_packer_index": False, "serves_packer": False},
)
DROP_COLUMN: Operation = Sql(
    name="drop_archived",
    when=has_column,
    makes={"has_column": False, "has_packer_index": False, "serves_packer": False},
)
BEGIN_FLAGS = Work(
    name="begin_flags",
    branch=Branch.CONFIG,
    says="what of the column will have to be written, before it is there",
    when=lacks_column,
    statements=_write_job,
    act=_begin_flags,
)
DEFAULT_FALSE = Sql(
    name="default_false",
    of=DOWN,
    branch=Branch.SOURCE,
    when=lambda facts: facts.default_is_true,
    makes={"default_is_true": False},
)
ADD_COLUMN = AddColumn(name="add_archived", of=DOWN, branch=Branch.SOURCE, when=lacks_column)
FORGET_COLUMN = Work(
    name="forget_column",
    branch=Branch.CONFIG,
    says="what the column was made of, now that it is there again",
    when=lambda facts: facts.column_was is not None,
    makes={"column_was": None},
    statements=lambda scene: [scene.query(Branch.CONFIG, "job_forget")],
    act=lambda scene: scene.migration.write(lambda tx: forget_job(tx, COLUMN_JOB)),
)
COLUMN_BACK: tuple[Operation, ...] = (BEGIN_FLAGS, ADD_COLUMN, DEFAULT_FALSE)
# Once the flags are written: until then new rows are not archived, whatever the default was.
COLUMN_AS_IT_WAS: tuple[Operation, ...] = (
    *(Restored(name=name) for name in RESTORED),
    FORGET_COLUMN,
)
