"""Which statements a revision will run in the state that was found, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import EARLIEST, LATEST
from des_core.ledger.exceptions import count_open
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.revisions import (
    CREATED_AT_INDEX,
    DROP_ARCHIVED,
    LEDGER,
    WATERMARK,
    Branch,
    Revision,
)
from des_core.ledger.watermark import read_watermark
from des_core.migration.adoption import missing_steps
from des_core.migration.created_at_index import (
    steps_to_build,
    steps_to_drop,
    steps_to_restore,
    was_built_by_us,
)
from des_core.migration.drop_archived import index_goes_first
from des_core.migration.live_state import (
    CONFIG_TABLE,
    has_table,
    read_archived_column,
)
from des_core.migration.run import MigrationRun
from des_core.migration.seed import count_rows
from des_core.migration.seed_plan import Count, SeedPlan
from des_core.migration.statements import catalog_for
from des_core.migration.steps import Step, get_step, load_steps
from des_core.migration.watermark import RETIREMENT, watermark_is_seeded

ROW_LOCKS = "row locks on what it changes"


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """One statement that will run: where, what for, what it locks and costs, rows it touches."""

    revision: str
    step: str
    database: str
    purpose: str
    sql: str
    lock: str
    cost: str
    rows: Count | None = None


def statements_up(
    migration: MigrationRun, revisions: tuple[Revision, ...], seed: SeedPlan | None
) -> Iterator[PlannedStatement]:
    """The way up, revision by revision."""
    for revision in revisions:
        if revision is LEDGER:
            yield from _steps(migration, revision, "up", *_all_steps(migration, "0001_ledger.up"))
        elif revision is CREATED_AT_INDEX:
            yield from (_planned(revision, step) for step in steps_to_build(migration))
        elif revision is WATERMARK and seed is not None:
            yield from _watermark_up(migration, seed)
        elif revision is DROP_ARCHIVED:
            yield from _drop_up(migration)


def statements_down(
    migration: MigrationRun, revisions: tuple[Revision, ...]
) -> Iterator[PlannedStatement]:
    """The way back, revision by revision."""
    column_is_there = read_archived_column(migration) is not None
    for revision in revisions:
        if revision is DROP_ARCHIVED:
            yield from _column_back(migration, revision)
            yield from _formula(migration, revision, None if column_is_there else "tail")
        elif revision is WATERMARK:
            if not has_table(migration.config, CONFIG_TABLE):
                continue
            if watermark_is_seeded(migration):
                if DROP_ARCHIVED not in revisions:
                    yield from _column_back(migration, revision)
                    state = "kept" if column_is_there else "tail"
                    yield from _formula(migration, revision, state)
                for step in steps_to_restore(migration):
                    yield _planned(CREATED_AT_INDEX, step)
                yield from _steps(migration, revision, "down", *RETIREMENT)
            yield from _steps(migration, revision, "down", "drop_config")
        elif revision is CREATED_AT_INDEX and was_built_by_us(migration):
            yield from (_planned(revision, step) for step in steps_to_drop(migration))
        elif revision is LEDGER:
            every = _all_steps(migration, "0001_ledger.down")
            yield from _steps(migration, revision, "down", *every)


def _watermark_up(migration: MigrationRun, seed: SeedPlan) -> Iterator[PlannedStatement]:
    if has_table(migration.config, CONFIG_TABLE):
        yield from _steps(migration, WATERMARK, "up", *missing_steps(migration))
    else:
        yield from _steps(migration, WATERMARK, "up", "create_config")
    for branch, name, lock, rows in (
        (Branch.SOURCE, "migration_holes_first", "nothing", seed.holes),
        (Branch.CONFIG, "exception_record", ROW_LOCKS, seed.holes),
        (Branch.CONFIG, "migration_seed_watermark", ROW_LOCKS, Count(1)),
    ):
        yield _query(migration, WATERMARK, branch, name, lock, rows)
    yield from _steps(migration, WATERMARK, "up", "remember_seed")


def _drop_up(migration: MigrationRun) -> Iterator[PlannedStatement]:
    if read_archived_column(migration) is None:
        return
    if index_goes_first(migration):
        yield from _steps(migration, DROP_ARCHIVED, "up", "drop_created_archived_index")
    yield from _steps(migration, DROP_ARCHIVED, "up", "drop_archived")


def _column_back(migration: MigrationRun, revision: Revision) -> Iterator[PlannedStatement]:
    if read_archived_column(migration) is not None:
        return
    names = ["add_archived"]
    if migration.source.dialect is not Dialect.SQLITE:
        names.append("default_false")
    for name in names:
        yield from _steps(migration, DROP_ARCHIVED, "down", name)


def _formula(
    migration: MigrationRun, revision: Revision, state: str | None
) -> Iterator[PlannedStatement]:
    """`tail`: the column comes back TRUE; `kept`: it was right up to the seed; None: unknown."""
    with migration.config.read() as tx:
        watermark = read_watermark(tx).archived_until
        exceptions = sum(reason.files for reason in count_open(tx))
    base = EARLIEST
    if state == "tail" and migration.source.dialect is not Dialect.SQLITE:
        base = watermark
    elif state == "kept":
        seed = read_job(migration.config, SEED_JOB)
        base = min(watermark, (seed and seed.cursor) or EARLIEST)
    rows = count_rows(migration, base, _latest())
    yield _query(migration, revision, Branch.SOURCE, "migration_flags_next", ROW_LOCKS, rows)
    yield _query(
        migration, revision, Branch.SOURCE, "migration_flag_one", ROW_LOCKS, Count(exceptions)
    )


def _latest() -> datetime:
    return LATEST - timedelta(days=3)


def _all_steps(migration: MigrationRun, file_name: str) -> list[str]:
    return [
        step.name for step in load_steps(migration.config_catalog, file_name) if step.is_for_program
    ]


def _steps(
    migration: MigrationRun, revision: Revision, direction: str, *names: str
) -> Iterator[PlannedStatement]:
    database = migration.database(revision.branch)
    catalog = catalog_for(migration, database)
    for name in names:
        yield _planned(revision, get_step(catalog, f"{revision.name}.{direction}", name))


def _planned(revision: Revision, step: Step) -> PlannedStatement:
    return PlannedStatement(
        revision=revision.name,
        step=step.name,
        database=revision.branch,
        purpose=step.statement.purpose,
        sql=step.statement.sql,
        lock=step.lock,
        cost=step.cost,
    )


def _query(
    migration: MigrationRun,
    revision: Revision,
    branch: Branch,
    name: str,
    lock: str,
    rows: Count,
) -> PlannedStatement:
    statement = catalog_for(migration, migration.database(branch)).get(name)
    return PlannedStatement(
        revision=revision.name,
        step=name,
        database=branch,
        purpose=statement.purpose,
        sql=statement.sql,
        lock=lock,
        cost="grows with the rows",
        rows=rows,
    )
