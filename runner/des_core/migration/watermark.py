"""Revision 0003_watermark: the one row, seeded; back: the rollback.

Up, each part skipped where it is done already:
1. the table, or what a table made by hand from the guide lacks;
2. seed, exceptions and event in one transaction.

Down:
1. the column archived, where it is missing; then the formula written into it;
2. the index that the per-record packer reads by;
3. in one transaction: exceptions closed, watermark and workers gone, event; then the empty table.
"""

from __future__ import annotations

from datetime import datetime

from des_core.basics.errors import WrongSchema
from des_core.basics.timestamps import format_utc
from des_core.ledger.events import record_event
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.revisions import WATERMARK
from des_core.ledger.watermark import Watermark, read_watermark
from des_core.migration.adoption import adopt_config_table
from des_core.migration.created_at_index import restore_created_archived_index
from des_core.migration.drop_archived import restore_archived_column
from des_core.migration.flag_jobs import ROLLBACK_JOB, synced_until
from des_core.migration.flags import write_formula
from des_core.migration.live_state import CONFIG_TABLE, has_table, read_archived_column
from des_core.migration.run import MigrationRun
from des_core.migration.seed import plan_seed, write_seed
from des_core.migration.statements import execute_steps, run_named

UP = f"{WATERMARK.name}.up"
DOWN = f"{WATERMARK.name}.down"
RETIRED_JOB = "retired"
RETIREMENT = (
    "remember_fence",
    "close_exceptions",
    "forget_workers",
    "forget_jobs",
    "retire_watermark",
)


def upgrade(migration: MigrationRun) -> None:
    """Create and seed. The plan that was shown to the operator counts; without one, it is made."""
    adopt_config_table(migration)
    run_named(migration, migration.config, UP, "create_config")
    if watermark_is_seeded(migration) and read_job(migration.config, SEED_JOB) is not None:
        migration.tell(WATERMARK.name, "seed", "the watermark is there")
        return
    plan = migration.seed_plan or plan_seed(migration)
    captured = write_seed(migration, plan, fence=next_fence(migration))
    migration.tell(
        WATERMARK.name,
        "seed",
        f"watermark {format_utc(plan.archived_until)}, {captured:,} exceptions captured",
    )


def downgrade(migration: MigrationRun) -> None:
    """The rollback. What is done already is not done again."""
    if not has_table(migration.config, CONFIG_TABLE):
        migration.tell(WATERMARK.name, "retire", "the watermark is gone already")
        return
    if watermark_is_seeded(migration):
        _roll_back(migration)
    elif read_job(migration.config, RETIRED_JOB) is None:
        raise WrongSchema(
            "des_archive_config is empty: what is archived cannot be told",
            hint="put its row back from a backup, or from: des-admin watermark history",
            database=migration.config.label,
        )
    run_named(migration, migration.config, DOWN, "drop_config")


def watermark_is_seeded(migration: MigrationRun) -> bool:
    """Whether the row is there. WrongSchema where there are several, or another id."""
    with migration.config.read() as tx:
        ids = [row.id for row in tx.run("watermark_read")]
    if ids not in ([], [1]):
        raise WrongSchema(
            "des_archive_config must hold exactly one row, with id 1",
            hint="remove the others after reading them: SELECT * FROM des_archive_config",
            ids=", ".join(map(str, ids)),
        )
    return bool(ids)


def next_fence(migration: MigrationRun) -> int:
    """Above every fence that an earlier life of the watermark had, so no old writer can commit."""
    retired = read_job(migration.config, RETIRED_JOB)
    return 0 if retired is None else int(retired.details["fence"]) + 1


def _roll_back(migration: MigrationRun) -> None:
    with migration.config.read() as tx:
        watermark = read_watermark(tx)
    seed = read_job(migration.config, SEED_JOB)
    column_was_kept = read_archived_column(migration) is not None
    base = seed.cursor if seed is not None and column_was_kept else None
    if base is not None:
        base = max(base, synced_until(migration) or base)
    restore_archived_column(migration)
    changed = _write_formula_once(migration, watermark.archived_until, base)
    restore_created_archived_index(migration)
    _retire(migration, watermark, changed)


def _write_formula_once(migration: MigrationRun, watermark: datetime, base: datetime | None) -> int:
    """The flags that were changed; the revision before this one may have written them just now."""
    if migration.formula_written_for != watermark:
        return write_formula(migration, watermark, base)
    job = read_job(migration.config, ROLLBACK_JOB)
    return 0 if job is None else job.rows_done


def _retire(migration: MigrationRun, watermark: Watermark, changed: int) -> None:
    with migration.config.write() as tx:
        execute_steps(tx, migration.config_catalog, DOWN, RETIREMENT)
        record_event(
            tx,
            action="migrate.down",
            actor=migration.actor,
            now=migration.now(),
            from_value=format_utc(watermark.archived_until),
            reason=migration.options.reason,
            details={"fence": watermark.fence, "flags_written": changed},
        )
    migration.tell(
        WATERMARK.name,
        "retire",
        f"the watermark {format_utc(watermark.archived_until)} is written into archived and gone",
    )
