"""An index on created_at alone.

Statements: sql/<dialect>/migrations/0002_created_at_index.up.sql and .down.sql.
"""

from des_core.migration import created_at_index
from des_core.migration.run import MigrationRun

revision = "0002_created_at_index"
down_revision = None
branch_labels = ("source",)
depends_on = None


def upgrade(run: MigrationRun) -> None:
    created_at_index.upgrade(run)


def downgrade(run: MigrationRun) -> None:
    created_at_index.downgrade(run)
