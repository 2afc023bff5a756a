"""Revision 0003_watermark: the one row, seeded; back: the rollback.

Up, each part skipped where it is done already:
1. the table, or what a table made by hand from the guide lacks;
2. seed, exceptions and event in one transaction.
"""

from __future__ import annotations

import json

from des_core.database import run
from des_core.errors import WrongSchema
from des_core.events import newest_events
from des_core.migration.revisions import WATERMARK
from des_core.migration.run import MigrationRun
from des_core.migration.seed import SeedPlan, plan_seed, write_seed
from des_core.migration.statements import run_all
from des_core.sql_catalog import config_statement
from des_core.timestamps import format_utc

UP = f"{WATERMARK.name}.up"
DOWN = f"{WATERMARK.name}.down"


def upgrade(migration: MigrationRun, plan: SeedPlan | None = None) -> None:
    """Create and seed. `plan` is what was shown to the operator; without it, one is made now."""
    run_all(migration, migration.config, UP)
    if watermark_is_seeded(migration):
        migration.tell(WATERMARK.name, "seed", "the watermark is there")
        return
    plan = plan or plan_seed(migration)
    captured = write_seed(migration, plan, fence=next_fence(migration))
    migration.tell(
        WATERMARK.name,
        "seed",
        f"watermark {format_utc(plan.archived_until)}, {captured:,} exceptions captured",
    )


def watermark_is_seeded(migration: MigrationRun) -> bool:
    """Whether the row is there. WrongSchema where there are several, or another id."""
    with migration.config.read() as connection:
        statement = config_statement(migration.config.dialect, "watermark_read")
        ids = [row.id for row in run(connection, statement)]
    if ids not in ([], [1]):
        raise WrongSchema(
            "des_archive_config must hold exactly one row, with id 1",
            hint="remove the others after reading them: SELECT * FROM des_archive_config",
            ids=", ".join(map(str, ids)),
        )
    return bool(ids)


def next_fence(migration: MigrationRun) -> int:
    """Above every fence that an earlier life of the watermark had, so no old writer can commit."""
    with migration.config.read() as connection:
        events = newest_events(connection, migration.config.dialect, limit=1000)
    for event in events:
        if event.action == "migrate.down" and event.details is not None:
            return int(json.loads(event.details).get("fence", 0)) + 1
    return 0
