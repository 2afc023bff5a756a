"""The column archived goes, behind the gate.

Statements: sql/<dialect>/migrations/0004_drop_archived.up.sql and .down.sql.
"""

from des_core.migration import drop_archived
from des_core.migration.run import MigrationRun

revision = "0004_drop_archived"
down_revision = "0002_created_at_index"
branch_labels = None
depends_on = None


def upgrade(run: MigrationRun) -> None:
    drop_archived.upgrade(run)


def downgrade(run: MigrationRun) -> None:
    drop_archived.downgrade(run)
