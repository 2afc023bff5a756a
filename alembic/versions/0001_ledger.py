"""Tables for ledger, exceptions and events.

Statements: sql/<dialect>/migrations/0001_ledger.up.sql and .down.sql.
"""

from des_core.migration import ledger
from des_core.migration.run import MigrationRun

revision = "0001_ledger"
down_revision = None
branch_labels = ("config",)
depends_on = None


def upgrade(run: MigrationRun) -> None:
    ledger.upgrade(run)


def downgrade(run: MigrationRun) -> None:
    ledger.downgrade(run)
