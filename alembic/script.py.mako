"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}
"""

from des_core.migration.base.migration import Migration
from des_core.migration.steps.statements import run_all

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = None


def upgrade(run: Migration) -> None:
    run_all(run, run.config, "${up_revision}.up")


def downgrade(run: Migration) -> None:
    run_all(run, run.config, "${up_revision}.down")
