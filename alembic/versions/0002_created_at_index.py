"""An index on created_at alone: windows are found without the column archived.

Up, unless an index that does the same is there: it is built while writers go on, and what a build
left that was cut off is dropped first. A partitioned table gets it partition by partition.

Down: the per-record packer has its index back; ours goes, one that was there before stays.
Statements: sql/<dialect>/migrations/0002_created_at_index.up.sql and .down.sql.
"""

from des_core.migration.operations.versions import Walk
from des_core.migration.work.created_at_index import (
    BUILD_INDEX,
    BUILD_PACKER_INDEX,
    DROP_INDEX,
    FORGET_INDEX,
    REMEMBER_INDEX,
)

revision = "0002_created_at_index"
down_revision = None
branch_labels = ("source",)
depends_on = None

UP = (
    REMEMBER_INDEX,  # in the table of jobs, before it is built
    BUILD_INDEX,
)
DOWN = (
    BUILD_PACKER_INDEX,
    DROP_INDEX,
    FORGET_INDEX,
)


def upgrade(walk: Walk) -> None:
    walk(UP)


def downgrade(walk: Walk) -> None:
    walk(DOWN)
