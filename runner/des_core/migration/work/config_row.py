"""The row of des_archive_config: seeded; on the way back written into the column, then retired.

Retirement is one transaction: exceptions closed, watermark and workers gone, the event; then the
empty table goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_core.basics.errors import FenceLost, UsageError, WrongSchema
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered
from des_core.database.catalog import config_statement
from des_core.database.stored_time import to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import exception_values
from des_core.ledger.jobs import JOB_TABLE, read_job
from des_core.ledger.revisions import WATERMARK, Branch
from des_core.ledger.watermark import read_watermark
from des_core.migration.base.seed_plan import Count
from des_core.migration.operations.facts import RETIRED_JOB
from des_core.migration.operations.kinds import (
    READS,
    ROW_LOCKS,
    Check,
    Operation,
    Record,
    Scene,
    Sql,
    Work,
)
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.seed.adoption import adopt_config_table, list_adoption
from des_core.migration.seed.seeding import ADOPTED, iterate_holes, plan_seed, write_seed
from des_core.migration.state.tables import has_table
from des_core.migration.steps.sql_file import load_steps
from des_core.migration.work.archived_column import hole_reads

if TYPE_CHECKING:
    from des_core.migration.base.migration import Migration
    from des_core.migration.steps.script_writer import ScriptWriter

UP = f"{WATERMARK.name}.up"
SEED_STEPS = ("seed_watermark", "capture_holes", "remember_seed")


class WatermarkMoved(FenceLost):
    """Somebody moved it by hand meanwhile: the rows between are to be written again."""


def next_fence(migration: Migration) -> int:
    """Above every fence that an earlier life of the watermark had, so no old writer can commit."""
    retired = read_job(migration.config, RETIRED_JOB) if _has_jobs(migration) else None
    return 0 if retired is None else int(retired.details["fence"]) + 1


def _has_jobs(migration: Migration) -> bool:
    return has_table(migration.config, JOB_TABLE)


def _seed(scene: Scene) -> None:
    """The plan that was shown to the operator counts; without one, it is made."""
    migration = scene.migration
    plan = migration.seed_plan or plan_seed(migration)
    captured = write_seed(migration, plan, fence=next_fence(migration))
    until = format_utc(plan.archived_until)
    scene.tell("seed", f"watermark {until}, {numbered(captured, 'exception')} captured")


def _list_seed(scene: Scene) -> Iterator[PlannedStatement]:
    plan = scene.migration.seed_plan
    holes = None if plan is None else plan.holes
    if scene.facts.has_column:
        for name in hole_reads(scene):
            yield scene.query(Branch.SOURCE, name, READS, holes)
    yield scene.query(Branch.CONFIG, "exception_record", ROW_LOCKS, holes)
    if plan is None or plan.origin != ADOPTED:
        yield scene.query(Branch.CONFIG, "migration_seed_watermark", ROW_LOCKS, Count(1))
    for step in load_steps(scene.catalog(Branch.CONFIG), UP):
        if step.name == "remember_seed":
            yield scene.step(Branch.CONFIG, step)
    yield scene.query(Branch.CONFIG, "event_add")


def _script_seed(scene: Scene, writer: ScriptWriter) -> Iterator[str]:
    migration = scene.migration
    steps = {step.name: step for step in load_steps(writer.catalog, UP)}
    if not writer.apart:
        if migration.settings.database.archived_column is None:
            raise UsageError(
                "without database.archived_column a script cannot choose the initial watermark",
                hint="run it instead: des-admin migrate up",
            )
        writer.require_clock()
        yield from writer.steps(steps[name] for name in SEED_STEPS)
        return
    yield from writer.transaction(
        [*_seed_literals(migration, writer), *writer.plain([steps["remember_seed"]])]
    )


def _seed_literals(migration: Migration, writer: ScriptWriter) -> Iterator[str]:
    """`files` is elsewhere: seed and holes are read now and written out."""
    plan, now, dialect = plan_seed(migration), migration.now(), writer.dialect
    record = config_statement(dialect, "exception_record")
    with migration.config.read() as tx:
        for page in iterate_holes(migration, plan.archived_until, tx):
            for values in exception_values(page, dialect, now):
                yield writer.bound(record, values)
    values = {
        "archived_until": to_stored(plan.archived_until, dialect),
        "lag_days": plan.lag_days,
        "now": to_stored(now, dialect),
        "actor": migration.actor,
        "fence": next_fence(migration),
    }
    yield writer.bound(config_statement(dialect, "migration_seed_watermark"), values)


def _require_known(scene: Scene) -> None:
    raise WrongSchema(
        "des_archive_config is empty: what is archived cannot be told",
        hint="put its row back from a backup, or from: des-admin watermark history",
        database=scene.migration.config.label,
    )


def _note_retirement(scene: Scene, tx: Transaction) -> None:
    """In the transaction that retires it, and before: the row that goes is the one that is told."""
    migration = scene.migration
    watermark = read_watermark(tx, statement="watermark_lock")
    if watermark.archived_until != migration.formula_written_for:
        raise WatermarkMoved(
            "the watermark was moved while it was written into archived; nothing was retired",
            hint="see who: des-admin watermark history; then run the same command again",
            found=format_utc(watermark.archived_until),
            updated_by=watermark.updated_by,
        )
    record_event(
        tx,
        action="migrate.down",
        actor=migration.actor,
        now=migration.now(),
        from_value=format_utc(watermark.archived_until),
        reason=migration.options.reason,
        details={"fence": watermark.fence, "flags_written": migration.flags_written},
    )


@dataclass(frozen=True, kw_only=True)
class Adoption(Operation):
    """A table that was made by hand gets what it lacks; its value stays as it is."""

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        steps = list_adoption(scene.migration, scene.catalog(Branch.CONFIG))
        yield from (scene.step(Branch.CONFIG, step) for step in steps)
        if scene.facts.has_watermark:
            yield scene.query(Branch.CONFIG, "migration_seed_watermark", rows=Count(1))

    def run(self, scene: Scene) -> None:
        adopt_config_table(scene.migration, scene.catalog(Branch.CONFIG))


def retired(name: str) -> Operation:
    """A statement of the transaction that retires the watermark."""
    makes = {"has_watermark": False, "was_retired": True} if name == "retire_watermark" else {}
    return Sql(name=name, when=lambda facts: facts.has_watermark, makes=makes)


ADOPT_TABLE = Adoption(
    name="adopt_config",
    says="a table made by hand gets what it lacks",
    when=lambda facts: facts.has_config_table and bool(facts.lacking),
    makes={"lacking": ()},
)
CREATE_TABLE = Sql(
    name="create_config",
    when=lambda facts: not facts.has_config_table,
    makes={"has_config_table": True, "has_watermark": False, "lacking": ()},
)
SEED = Work(
    name="seed",
    says="the watermark at the newest archived row; rows below it not archived, as exceptions",
    when=lambda facts: not facts.is_seeded,
    makes={"is_seeded": True, "has_watermark": True},
    statements=_list_seed,
    act=_seed,
    script=_script_seed,
)
REQUIRE_KNOWN = Check(
    name="require_watermark",
    says="an empty table says nothing of what is archived",
    when=lambda facts: facts.has_config_table and not (facts.has_watermark or facts.was_retired),
    ask=_require_known,
)
NOTE_RETIREMENT = Record(
    name="note_retirement",
    says="who went back, and from which watermark",
    when=lambda facts: facts.has_watermark,
    of_group="retirement",
    statements=("event_add",),
    note=_note_retirement,
)
DROP_TABLE = Sql(
    name="drop_config",
    when=lambda facts: facts.has_config_table,
    makes={"has_config_table": False},
)
