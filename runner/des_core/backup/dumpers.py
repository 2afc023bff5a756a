"""Which dumper makes and reads the backups of which database."""

from __future__ import annotations

from des_core.backup.dump import Dumper
from des_core.basics.errors import DamagedData
from des_core.basics.identifiers import Dialect


def dumper_for(dialect: str) -> Dumper:
    """The dumper; DamagedData for a dialect that a manifest must not name."""
    if dialect == Dialect.POSTGRES:
        from des_core.backup.postgres import PostgresDumper

        return PostgresDumper()
    if dialect == Dialect.MYSQL:
        from des_core.backup.mysql import MySqlDumper

        return MySqlDumper()
    if dialect == Dialect.SQLITE:
        from des_core.backup.sqlite import SqliteDumper

        return SqliteDumper()
    raise DamagedData("the manifest names a database that is not known here", dialect=dialect)
