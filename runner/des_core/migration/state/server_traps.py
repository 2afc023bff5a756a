"""What is known of a server's version, and how many instant changes its table still takes."""

from __future__ import annotations

from dataclasses import dataclass

from des_core.basics.errors import Refused
from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.migration.base.migration import Migration
from des_core.migration.state.tables import table_values

# Adding the column and dropping it each use one.
VERSIONS_NEEDED = 2
# What the tests are run against.
_TRIED = {
    "PostgreSQL": "14 to 18",
    "MariaDB": "10.11 and 11.8",
    "MySQL": "9.7",
    "SQLite": "3.40 and later",
}
_PRODUCTS = {Dialect.POSTGRES: "PostgreSQL", Dialect.MYSQL: "MySQL", Dialect.SQLITE: "SQLite"}
_Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trap:
    """`refuses`: nothing may be migrated here; `keeps_column`: all but the drop of the column."""

    text: str
    hint: str
    refuses: bool = False
    keeps_column: bool = False


@dataclass(frozen=True, slots=True)
class RowVersions:
    """Instant changes that the table has taken; `limit` None where the server knows none."""

    used: int | None
    limit: int | None
    is_hidden: bool = False

    @property
    def is_enough(self) -> bool:
        return self.limit is None or (self.used or 0) + VERSIONS_NEEDED <= self.limit

    def __str__(self) -> str:
        if self.limit is None:
            return "MariaDB counts no row versions and knows no limit"
        if self.is_hidden:
            return (
                f"how many of {self.limit} row versions are used is not shown to this user "
                "(PROCESS); there and back need 2, and the server refuses what it cannot do"
            )
        return f"{self.used or 0} of {self.limit} row versions used; there and back need 2"


def read_row_versions(migration: Migration) -> RowVersions | None:
    """None where an instant change leaves nothing in the rows: PostgreSQL and SQLite."""
    if migration.source.dialect is not Dialect.MYSQL:
        return None
    version, is_mariadb = server_version(migration.source)
    if is_mariadb:
        return RowVersions(None, None)
    limit = 255 if version >= (9, 1) else 64
    if version < (8, 0, 29):
        return RowVersions(None, limit)
    statement = migration.source_catalog.get("migration_row_versions")
    try:
        with migration.source.read() as tx:
            row = tx.run(statement, table_values(migration)).first()
    except Refused:
        row = None  # the server keeps it from users without PROCESS
    if row is None:
        return RowVersions(None, limit, is_hidden=True)
    return RowVersions(int(row.used), limit)


def find_traps(dialect: Dialect, version: tuple[int, ...], *, is_mariadb: bool) -> list[Trap]:
    """What is known of this version."""
    if dialect is Dialect.POSTGRES:
        return list(_postgres(version))
    if dialect is Dialect.SQLITE:
        return list(_sqlite(version))
    return list(_mariadb(version) if is_mariadb else _mysql(version))


def tried_versions(dialect: Dialect, *, is_mariadb: bool) -> str:
    """The versions of this product that the program was tried on, in words."""
    product = "MariaDB" if is_mariadb else _PRODUCTS[dialect]
    return f"tried on {product} {_TRIED[product]}"


def server_version(database: Database) -> tuple[tuple[int, ...], bool]:
    """The version, and whether it is MariaDB."""
    with database.read() as tx:
        info = tx.connection.dialect.server_version_info or ()
        is_mariadb = bool(getattr(tx.connection.dialect, "is_mariadb", False))
    return tuple(part for part in info if isinstance(part, int)), is_mariadb


def _keeps_column(text: str) -> Trap:
    hint = "keep the column: des-admin migrate up without --drop-archived"
    return Trap(text, hint, keeps_column=True)


def _postgres(version: _Version) -> list[Trap]:
    if version < (11,):
        text = "before PostgreSQL 11 the column comes back by rewriting the table"
        return [Trap(text, "upgrade the server first", refuses=True)]
    if (14,) <= version < (14, 4):
        text = "PostgreSQL 14.0 to 14.3 may build a broken index concurrently"
        return [Trap(text, "update to 14.4 or later before: des-admin migrate up", refuses=True)]
    return []


def _sqlite(version: _Version) -> list[Trap]:
    if version < (3, 35):
        text = "SQLite before 3.35 cannot drop a column"
        return [_keeps_column(text)]
    return []


def _mariadb(version: _Version) -> list[Trap]:
    if version < (10, 4):
        text = "MariaDB before 10.4 drops no column without copying the table"
        return [_keeps_column(text)]
    return []


def _mysql(version: _Version) -> list[Trap]:
    traps = []
    if version < (9, 7):
        text = "of MySQL, this program was tried on 9.7 and later only"
        traps.append(Trap(text, "rehearse first: des-admin doctor --rehearse"))
    if version < (8, 0, 29):
        text = "MySQL before 8.0.29 drops no column without copying the table"
        traps.append(_keeps_column(text))
    if version[:3] == (8, 0, 29):
        text = "MySQL 8.0.29 may fail to recover from a crash after an instant change"
        traps.append(Trap(text, "update to 8.0.30 or later first", refuses=True))
    if (8, 0, 29) <= version < (8, 1):
        text = "XtraBackup before 8.0.32 refuses tables with instant changes"
        traps.append(Trap(text, "xtrabackup --version"))
    return traps
