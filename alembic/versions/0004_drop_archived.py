"""The column archived goes, behind the gate; optional.

Up: the gate, a trial of the drop, the event; then the index that mentions the column, and the
column. It depends on the watermark, which alone knows then what is archived.

Down: what will have to be written is remembered, the column comes back (TRUE in every row where the
database can do that without a rewrite), the formula is written where it says otherwise, and what
the column had besides (default, comment, grants) is made again.
Statements: sql/<dialect>/migrations/0004_drop_archived.up.sql and .down.sql.
"""

from des_core.migration.gate.trial import TRY_DROP
from des_core.migration.operations.versions import Walk
from des_core.migration.work.archived_column import (
    ASK_GATE,
    COLUMN_AS_IT_WAS,
    COLUMN_BACK,
    DROP_COLUMN,
    DROP_PACKER_INDEX,
    NOTE_DROP,
)
from des_core.migration.work.archived_flags import WRITE_FLAGS

revision = "0004_drop_archived"
down_revision = "0002_created_at_index"
branch_labels = None
depends_on = "0003_watermark"

UP = (
    ASK_GATE,
    TRY_DROP,
    NOTE_DROP,
    DROP_PACKER_INDEX,
    DROP_COLUMN,
)
DOWN = (
    *COLUMN_BACK,  # begin_flags, add_archived, default_false
    WRITE_FLAGS,
    *COLUMN_AS_IT_WAS,
)


def upgrade(walk: Walk) -> None:
    walk(UP)


def downgrade(walk: Walk) -> None:
    walk(DOWN)
