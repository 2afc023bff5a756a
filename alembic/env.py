"""Alembic's way in: `alembic upgrade heads` does what `des-admin migrate up --drop-archived` does.

The configuration is that of des-admin: `-x config=FILE`, or DES_ADMIN_CONFIG. More of `-x`:
`backup=NAME` for the gate before the column goes, `seed_at=TIME`, `purge=yes`.
"""

import os

from alembic import context
from des_core.migration.environment import run_environment

run_environment(context, os.environ)
