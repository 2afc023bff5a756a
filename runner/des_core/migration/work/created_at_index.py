"""Indexes of `files`: one on created_at alone for windows, one for the per-record packer."""

from __future__ import annotations

from collections.abc import Iterator

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import CREATED_ARCHIVED_INDEX
from des_core.database.catalog import CREATED_AT_INDEX as INDEX_NAME
from des_core.ledger.jobs import Job, forget_job, write_job
from des_core.ledger.revisions import CREATED_AT_INDEX, Branch
from des_core.migration.base.migration import Migration
from des_core.migration.operations.facts import INDEX_JOB
from des_core.migration.operations.kinds import Scene, Steps, Work
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.state.tables import IndexState, find_index
from des_core.migration.steps.index_build import find_builds
from des_core.migration.steps.partitions import drop_steps, index_steps, is_partitioned
from des_core.migration.steps.sql_file import Step, get_step

UP = f"{CREATED_AT_INDEX.name}.up"
DOWN = f"{CREATED_AT_INDEX.name}.down"


def build_steps(migration: Migration) -> list[Step]:
    """What is left to do for the index on created_at; Refused where its name is taken."""
    return _steps_for(migration, INDEX_NAME, UP, "create_created_at_index")


def _packer_steps(migration: Migration) -> list[Step]:
    return _steps_for(migration, CREATED_ARCHIVED_INDEX, DOWN, "create_created_archived_index")


def _drop_steps(migration: Migration) -> list[Step]:
    if is_partitioned(migration):
        return drop_steps(migration, INDEX_NAME)
    return [get_step(migration.source_catalog, DOWN, "drop_created_at_index")]


def _steps_for(migration: Migration, index: str, file_name: str, create: str) -> list[Step]:
    leftover = find_index(migration, index)
    if leftover is not None:
        if leftover.is_valid or migration.source.dialect is not Dialect.POSTGRES:
            raise _name_is_taken(leftover)
        _require_no_builder(migration)
    if is_partitioned(migration):
        return index_steps(migration, index)
    names = [create] if leftover is None else ["drop_leftover", create]
    return [get_step(migration.source_catalog, file_name, name) for name in names]


def _presumed(index: str, file_name: str, create: str, scene: Scene) -> list[Step]:
    """For a script, where no build was cut off."""
    if is_partitioned(scene.migration):
        return index_steps(scene.migration, index)
    return [get_step(scene.catalog(Branch.SOURCE), file_name, create)]


def _remember(scene: Scene) -> None:
    job = Job(INDEX_JOB, "done", None, 0, None, {"index": INDEX_NAME})
    scene.migration.write(lambda tx: write_job(tx, job, scene.migration.now()))


def _forget(scene: Scene) -> None:
    scene.migration.write(lambda tx: forget_job(tx, INDEX_JOB))


def _job_statement(name: str, scene: Scene) -> Iterator[PlannedStatement]:
    yield scene.query(Branch.CONFIG, name)


def _require_no_builder(migration: Migration) -> None:
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
        hint="drop, rename or (if the server is told not to use it) show it, then run the same "
        "command again",
        columns=", ".join(column or "(expression)" for column in index.columns),
        predicate=index.predicate,
    )


REMEMBER_INDEX = Work(
    name="remember_index",
    branch=Branch.CONFIG,
    says="the index is ours, so the way back drops it; one that was there before stays",
    when=lambda facts: facts.has_jobs and not facts.serves_windows,
    makes={"index_is_ours": True},
    statements=lambda scene: _job_statement("job_write", scene),
    act=_remember,
)
BUILD_INDEX = Steps(
    name="create_created_at_index",
    branch=Branch.SOURCE,
    says="an index on created_at alone, built while writers go on",
    when=lambda facts: not facts.serves_windows,
    makes={"serves_windows": True, "has_created_at_index": True},
    choose=build_steps,
    script=lambda scene: _presumed(INDEX_NAME, UP, "create_created_at_index", scene),
)
BUILD_PACKER_INDEX = Steps(
    name="create_created_archived_index",
    branch=Branch.SOURCE,
    says="the index of what is not archived yet, by which the per-record packer reads",
    when=lambda facts: not facts.serves_packer,
    makes={"serves_packer": True, "has_packer_index": True},
    choose=_packer_steps,
    script=lambda scene: _presumed(
        CREATED_ARCHIVED_INDEX, DOWN, "create_created_archived_index", scene
    ),
)
DROP_INDEX = Steps(
    name="drop_created_at_index",
    branch=Branch.SOURCE,
    says="the index that the migration made",
    when=lambda facts: facts.index_is_ours and facts.has_created_at_index,
    makes={"serves_windows": False, "has_created_at_index": False},
    choose=_drop_steps,
    script=lambda scene: _drop_steps(scene.migration),
)
FORGET_INDEX = Work(
    name="forget_index",
    branch=Branch.CONFIG,
    says="no index is ours any more",
    when=lambda facts: facts.index_is_ours,
    makes={"index_is_ours": False},
    statements=lambda scene: _job_statement("job_forget", scene),
    act=_forget,
)
