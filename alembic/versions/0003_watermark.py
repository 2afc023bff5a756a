"""The watermark: the one row that says what is archived, seeded from the column archived.

Up: the table, or what a table lacks that was made by hand; then seed, exceptions and event in one
transaction.

Down is the rollback, and can be gone again: the column, where it is missing; the formula written
into it; the index that the per-record packer reads by; then, in one transaction, exceptions closed,
workers and watermark gone. Ledger, exceptions and events stay.
Statements: sql/<dialect>/migrations/0003_watermark.up.sql and .down.sql.
"""

from des_core.migration.operations.versions import Walk
from des_core.migration.work.archived_column import COLUMN_AS_IT_WAS, COLUMN_BACK
from des_core.migration.work.archived_flags import WRITE_FLAGS
from des_core.migration.work.config_row import (
    ADOPT_TABLE,
    CREATE_TABLE,
    DROP_TABLE,
    NOTE_RETIREMENT,
    REQUIRE_KNOWN,
    SEED,
    retired,
)
from des_core.migration.work.created_at_index import BUILD_PACKER_INDEX

revision = "0003_watermark"
down_revision = "0001_ledger"
branch_labels = None
depends_on = None

UP = (
    ADOPT_TABLE,
    CREATE_TABLE,
    SEED,  # exceptions, watermark and event
)
DOWN = (
    REQUIRE_KNOWN,
    *COLUMN_BACK,  # begin_flags, add_archived, default_false: only where the column is missing
    WRITE_FLAGS,
    *COLUMN_AS_IT_WAS,
    BUILD_PACKER_INDEX,
    # One transaction:
    NOTE_RETIREMENT,
    retired("remember_fence"),
    retired("close_exceptions"),
    retired("forget_workers"),
    retired("forget_jobs"),
    retired("retire_watermark"),
    DROP_TABLE,
)


def upgrade(walk: Walk) -> None:
    walk(UP)


def downgrade(walk: Walk) -> None:
    walk(DOWN)
