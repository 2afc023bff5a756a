"""What an application's `files` table may look like: names, types, time zone."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from support.servers.database import Kind, TestDatabase

UidType = Literal["text", "integer", "uuid"]

_UID_TYPES: dict[str, dict[UidType, str]] = {
    "postgres": {"text": "text", "integer": "bigint", "uuid": "uuid"},
    "mariadb": {"text": "VARCHAR(255)", "integer": "BIGINT", "uuid": "UUID"},
    "mysql": {"text": "VARCHAR(255)", "integer": "BIGINT", "uuid": "CHAR(36)"},
    "sqlite": {"text": "TEXT", "integer": "INTEGER", "uuid": "TEXT"},
}
_TEXT: dict[Kind, str] = {"postgres": "text", "mysql": "VARCHAR(1024)", "sqlite": "TEXT"}
_CREATED_AT: dict[Kind, str] = {
    "postgres": "timestamptz",
    "mysql": "DATETIME(6)",
    "sqlite": "TEXT",
}


def uid_column_type(database: TestDatabase, uid_type: UidType) -> str:
    """How the server calls such a column."""
    return _UID_TYPES[database.server][uid_type]


@dataclass(frozen=True, slots=True)
class TableShape:
    """Names, types and time zone of `files`; the default is the table of the guide.

    `primary_key` lists attributes of this class; empty for a table that has none.

    `size_bytes` None leaves the column out. `zone` set means times without a zone, in the clock of
    that zone; None means PostgreSQL's zoned type, and UTC elsewhere. A `schema` is made on
    PostgreSQL; on the others it must exist. MariaDB's uuid type has an order of its own; MySQL
    has no such type, and a uuid stands there as its text.
    """

    table: str = "files"
    schema: str | None = None
    uid: str = "uid"
    created_at: str = "created_at"
    location: str = "file_location"
    size_bytes: str | None = "size_bytes"
    archived: str | None = "archived"
    index: str = "idx_files_created_archived"
    uid_type: UidType = "text"
    zone: tzinfo | None = None
    primary_key: tuple[str, ...] = ("uid",)

    def settings(self) -> dict[str, Any]:
        """The keys of the configuration's `database` section that describe this table."""
        return {
            "table_name": self.table,
            "schema": self.schema,
            "uid_column": self.uid,
            "created_at_column": self.created_at,
            "location_column": self.location,
            "size_column": self.size_bytes,
            "archived_column": self.archived,
            "timezone": str(self.zone or "UTC"),
        }

    def qualified(self, database: TestDatabase) -> str:
        """The quoted name of the table, with its schema."""
        parts = [self.schema, self.table] if self.schema else [self.table]
        return ".".join(database.quote(part) for part in parts)

    def columns(self, database: TestDatabase) -> list[str]:
        """The quoted names of the columns that exist: uid, created_at, location and the others."""
        names = (self.uid, self.created_at, self.location, self.size_bytes, self.archived)
        return [database.quote(name) for name in names if name is not None]

    def create_statements(self, database: TestDatabase) -> list[str]:
        """The schema where it has to be made, the table and its index."""
        kind, quote = database.kind, database.quote
        created_at = _CREATED_AT[kind]
        if kind == "postgres" and self.zone is not None:
            created_at = "timestamp"
        uid_key = "PRIMARY KEY" if self.primary_key == ("uid",) else "NOT NULL"
        columns = [
            f"{quote(self.uid)} {uid_column_type(database, self.uid_type)} {uid_key}",
            f"{quote(self.created_at)} {created_at} NOT NULL",
            f"{quote(self.location)} {_TEXT[kind]} NOT NULL",
        ]
        indexed = [quote(self.created_at)]
        if self.size_bytes is not None:
            columns.append(f"{quote(self.size_bytes)} BIGINT")
        if self.archived is not None:
            default = "0" if kind == "sqlite" else "false"
            columns.append(f"{quote(self.archived)} BOOLEAN NOT NULL DEFAULT {default}")
            indexed.append(quote(self.archived))
        if self.primary_key not in ((), ("uid",)):
            names = ", ".join(quote(getattr(self, name)) for name in self.primary_key)
            columns.append(f"PRIMARY KEY ({names})")
        table = self.qualified(database)
        statements = [
            f"CREATE TABLE {table} ({', '.join(columns)})",
            f"CREATE INDEX {self._index_name(database)} ({', '.join(indexed)})",
        ]
        if self.schema and kind == "postgres":
            statements.insert(0, f"CREATE SCHEMA IF NOT EXISTS {quote(self.schema)}")
        return statements

    def _index_name(self, database: TestDatabase) -> str:
        """`name ON table`; SQLite wants the schema before the index, not before the table."""
        if database.kind == "sqlite" and self.schema:
            name = f"{database.quote(self.schema)}.{database.quote(self.index)}"
            return f"{name} ON {database.quote(self.table)}"
        return f"{database.quote(self.index)} ON {self.qualified(database)}"

    def stored_time(self, moment: datetime, kind: Kind) -> Any:
        """A time as the driver wants it for this table."""
        if kind == "postgres" and self.zone is None:
            return moment
        naive = moment.astimezone(self.zone or UTC).replace(tzinfo=None)
        return naive.strftime("%Y-%m-%d %H:%M:%S.%f") if kind == "sqlite" else naive


AWKWARD = TableShape(
    table='Select "Files`',
    uid="Order",
    created_at="Created At",
    location="group",
    size_bytes='size"bytes',
    archived="ARCHIVED?",
    index="Idx Files",
)
"""Names that break whatever does not quote: upper case, spaces, quotes, reserved words."""
