"""Tables for ledger, exceptions and events: what was packed, what could not be, who did what.

Going back forgets all of it, so it is refused unless asked for: des-admin migrate down --purge, or
alembic -x purge=yes. Statements: sql/<dialect>/migrations/0001_ledger.up.sql and .down.sql.
"""

from des_core.migration.operations.kinds import Sql
from des_core.migration.operations.versions import Walk
from des_core.migration.purge import REQUIRE_PURGE

revision = "0001_ledger"
down_revision = None
branch_labels = ("config",)
depends_on = None

# Each where it is missing. MySQL makes its indexes with the tables.
UP = (
    Sql(name="create_lease"),
    Sql(name="create_slice"),
    Sql(name="index_slice_window_end"),
    Sql(name="index_slice_finished_at"),
    Sql(name="create_shard"),
    Sql(name="index_shard_slice_id"),
    Sql(name="index_shard_day_bucket"),
    Sql(name="index_shard_sources"),
    Sql(name="index_shard_verified_at"),
    Sql(name="create_exception"),
    Sql(name="index_exception_open"),
    Sql(name="index_exception_held"),
    Sql(name="create_event"),
    Sql(name="create_worker"),
    Sql(name="create_job", makes={"has_jobs": True}),
    Sql(name="create_outcome"),
    Sql(name="index_outcome_job"),
    Sql(name="create_damage"),
)
# The leases stay: whoever goes back holds one.
DOWN = (
    REQUIRE_PURGE,
    Sql(name="drop_shard"),
    Sql(name="drop_slice"),
    Sql(name="drop_exception"),
    Sql(name="drop_worker"),
    Sql(name="drop_job", makes={"has_jobs": False}),
    Sql(name="drop_outcome"),
    Sql(name="drop_damage"),
    Sql(name="drop_event"),
)


def upgrade(walk: Walk) -> None:
    walk(UP)


def downgrade(walk: Walk) -> None:
    walk(DOWN)
