"""Revision 0002_created_at_index: windows of created_at are found without the column archived."""

from __future__ import annotations

from des_core.basics.errors import Refused
from des_core.database.catalog import CREATED_ARCHIVED_INDEX
from des_core.database.catalog import CREATED_AT_INDEX as INDEX_NAME
from des_core.ledger.jobs import JOB_TABLE, Job, forget_job, read_job, write_job
from des_core.ledger.revisions import CREATED_AT_INDEX
from des_core.migration.index_build import find_builds
from des_core.migration.live_state import (
    IndexState,
    find_created_archived_index,
    find_created_at_index,
    find_index,
    has_table,
)
from des_core.migration.partitions import drop_steps, index_steps, is_partitioned
from des_core.migration.run import MigrationRun
from des_core.migration.statements import run_steps
from des_core.migration.steps import Step, get_step

UP = f"{CREATED_AT_INDEX.name}.up"
DOWN = f"{CREATED_AT_INDEX.name}.down"
JOB_NAME = "created_at_index"


def upgrade(migration: MigrationRun) -> None:
    """Build the index, unless one that does the same is there."""
    found = find_created_at_index(migration)
    if found is not None:
        migration.tell(CREATED_AT_INDEX.name, "create_created_at_index", f"{found.name} is there")
        return
    steps = steps_to_build(migration)
    _remember_ours(migration)
    for step in steps:
        run_steps(migration, migration.source, UP, [step])


def downgrade(migration: MigrationRun) -> None:
    """Give the per-record packer its index back; ours goes."""
    restore_created_archived_index(migration)
    if was_built_by_us(migration):
        for step in steps_to_drop(migration):
            run_steps(migration, migration.source, DOWN, [step])
        with migration.config.write() as tx:
            forget_job(tx, JOB_NAME)


def steps_to_build(migration: MigrationRun) -> list[Step]:
    """What is left to do for the index on created_at; Refused where its name is taken."""
    if find_created_at_index(migration) is not None:
        return []
    return _steps_for(migration, INDEX_NAME, UP, "create_created_at_index")


def steps_to_restore(migration: MigrationRun) -> list[Step]:
    """What is left to do for the index by which the per-record packer reads."""
    if find_created_archived_index(migration) is not None:
        return []
    return _steps_for(migration, CREATED_ARCHIVED_INDEX, DOWN, "create_created_archived_index")


def steps_to_drop(migration: MigrationRun) -> list[Step]:
    """How our index on created_at goes, where it is there."""
    if find_index(migration, INDEX_NAME) is None:
        return []
    if is_partitioned(migration):
        return drop_steps(migration, INDEX_NAME)
    return [get_step(migration.source_catalog, DOWN, "drop_created_at_index")]


def _steps_for(migration: MigrationRun, index: str, file_name: str, create: str) -> list[Step]:
    leftover = find_index(migration, index)
    if leftover is not None:
        if leftover.is_valid:
            raise _name_is_taken(leftover)
        _require_no_builder(migration)
    if is_partitioned(migration):
        return index_steps(migration, index)
    names = [create] if leftover is None else ["drop_leftover", create]
    return [get_step(migration.source_catalog, file_name, name) for name in names]


def was_built_by_us(migration: MigrationRun) -> bool:
    """Whether the index came with the migration; one that was there before stays."""
    return has_table(migration.config, JOB_TABLE) and (
        read_job(migration.config, JOB_NAME) is not None
    )


def restore_created_archived_index(migration: MigrationRun) -> None:
    """The index on (created_at, archived), where it is missing."""
    for step in steps_to_restore(migration):
        run_steps(migration, migration.source, DOWN, [step])


def _remember_ours(migration: MigrationRun) -> None:
    if has_table(migration.config, JOB_TABLE):
        job = Job(JOB_NAME, "done", None, 0, None, {"index": INDEX_NAME})
        write_job(migration.config, job, migration.now())


def _require_no_builder(migration: MigrationRun) -> None:
    """An index that is not valid yet may be somebody's work in progress."""
    builds = find_builds(migration)
    if builds:
        raise Refused(
            "somebody is building an index on this table right now",
            hint="wait for it to end, then run the same command again",
            session=builds[0].session,
            phase=str(builds[0]),
        )


def _name_is_taken(index: IndexState) -> Refused:
    return Refused(
        f"there is an index {index.name} already, but it does not do what is needed",
        hint="drop or rename it, then run the same command again",
        columns=", ".join(column or "(expression)" for column in index.columns),
        predicate=index.predicate,
    )
