"""The watermark, seeded; back: the rollback.

Statements: sql/<dialect>/migrations/0003_watermark.up.sql and .down.sql.
"""

from des_core.migration import watermark
from des_core.migration.run import MigrationRun

revision = "0003_watermark"
down_revision = "0001_ledger"
branch_labels = None
depends_on = None


def upgrade(run: MigrationRun) -> None:
    watermark.upgrade(run)


def downgrade(run: MigrationRun) -> None:
    watermark.downgrade(run)
