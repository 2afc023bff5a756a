"""Which engine makes and reads the backups of which database."""

from __future__ import annotations

from des_core.backup.dump import Engine
from des_core.basics.errors import DamagedData
from des_core.basics.identifiers import Dialect


def engine_for(dialect: str) -> Engine:
    """The engine; DamagedData for a dialect that a manifest must not name."""
    if dialect == Dialect.POSTGRES:
        from des_core.backup.postgres import PostgresEngine

        return PostgresEngine()
    if dialect == Dialect.MYSQL:
        from des_core.backup.mysql import MySqlEngine

        return MySqlEngine()
    if dialect == Dialect.SQLITE:
        from des_core.backup.sqlite import SqliteEngine

        return SqliteEngine()
    raise DamagedData("the manifest names a database that is not known here", dialect=dialect)
