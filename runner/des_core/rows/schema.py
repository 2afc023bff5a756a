"""What `files` looks like on this server: looked up once, so that values are bound as it wants."""

from __future__ import annotations

import difflib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from des_core.basics.errors import ConfigError, Refused, WrongSchema
from des_core.basics.identifiers import Dialect, TableName
from des_core.basics.timestamps import (
    canonical_text,
    first_real_time,
    localize,
    naive_bound,
    parse_stored,
)
from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.database.errors import NO_SCHEMA, NO_SCHEMA_HINT, ODD_TIME_HINT
from des_core.database.transaction import Transaction
from des_core.rows.flag_type import FLAG_HINT, flag_fault
from des_core.rows.uid_key import uid_is_unique
from des_core.rows.values import NULL_UID, number_of, uid_value
from des_core.settings.config import DatabaseSettings

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql.base import PGInspector
    from sqlalchemy.engine import Inspector

# An offset in a stored text can move its first ten characters by a day; one more for the floor.
NET_MARGIN = timedelta(days=2)
NOT_A_TIME = (
    "created_at of some rows is not a time that can be used: no watermark can speak of them"
)
NO_PATHS = (
    *(sa.Integer, sa.Numeric, sa.LargeBinary, sa.BINARY, sa.VARBINARY),
    *(sa.Date, sa.DateTime, sa.Time, sa.Boolean, sa.Uuid),
)
NAMES_HINT = "set database.{key} in the configuration"


class UidKind(StrEnum):
    """How the uid column holds its values. The text form routes, the column's own order pages."""

    TEXT = "text"
    INTEGER = "integer"
    UUID = "uuid"


class CreatedAtKind(StrEnum):
    """How the created_at column holds its values."""

    AWARE = "aware"
    NAIVE = "naive"
    TEXT = "text"


@dataclass(frozen=True)
class SourceSchema:
    """The columns of `files` as the server has them, and how to bind values against them.

    `uid_is_unique` where a key sees to it that no two rows have one uid. `clocks` are columns that
    the server moves at every UPDATE; `flag_fault` says what is wrong with the column archived;
    `size_is_whole` where the type of the column of sizes lets only whole numbers in.
    """

    dialect: Dialect
    uid_kind: UidKind
    created_at_kind: CreatedAtKind
    zone: tzinfo
    has_archived: bool
    has_size: bool
    row_key: str
    has_crc32: bool = False
    uid_is_unique: bool = True
    clocks: tuple[str, ...] = ()
    flag_fault: str | None = None
    size_is_whole: bool = True

    def require_flag(self) -> None:
        """Refused where the column archived cannot say yes or no."""
        if self.flag_fault is not None:
            raise Refused(self.flag_fault, hint=FLAG_HINT)

    def to_db(self, moment: datetime) -> object:
        """The value against which created_at is compared, so that `<=` means `<=` in UTC."""
        if self.created_at_kind is CreatedAtKind.AWARE:
            return moment.astimezone(UTC)
        if self.created_at_kind is CreatedAtKind.NAIVE:
            return naive_bound(moment, self.zone)
        return canonical_text(moment)

    def from_db(self, value: object) -> datetime:
        """Aware UTC of a created_at that the driver returned; Refused where it is no time."""
        try:
            if isinstance(value, datetime):
                return localize(value, self.zone)
            if self.dialect is Dialect.MYSQL:
                return localize(first_real_time(str(value)), self.zone)
            return parse_stored(str(value), self.zone)
        except (ValueError, OverflowError) as exc:
            raise Refused(NOT_A_TIME, hint=ODD_TIME_HINT, example=repr(str(value)[:80])) from exc

    def uid_values(self, uid: str) -> dict[str, object]:
        """What `{uid_is}` binds for a uid in its text form; ValueError where there can be none.

        On SQLite a number may stand in a column of text, and text in one of numbers.
        """
        value: object = uid_value(uid)
        if self.dialect is Dialect.SQLITE:
            return _values_for_sqlite(uid, value)
        if value is not None and self.uid_kind is UidKind.INTEGER:
            value = int(uid)
        elif value is not None and self.uid_kind is UidKind.UUID:
            value = uuid.UUID(uid) if self.dialect is Dialect.POSTGRES else uid
        return {"uid": value, "uid_is_null": value is None}

    def uid_to_db(self, uid: str) -> object:
        """A uid's text form as the value to compare with; ValueError where it cannot be one."""
        if self.uid_kind is UidKind.INTEGER:
            return int(uid)
        if self.uid_kind is UidKind.UUID and self.dialect is Dialect.POSTGRES:
            return uuid.UUID(uid)
        return uid

    def window(self, start: datetime, end: datetime) -> dict[str, object]:
        """What a statement on the window `(start, end]` binds.

        SQLite compares text: `net_start` and `net_end` are days around the window that catch
        every form in which the application may have written a time, so that the index is used;
        the exact bounds are then compared in the canonical form.
        """
        values = {"start_at": self.to_db(start), "end_at": self.to_db(end)}
        if self.dialect is Dialect.SQLITE:
            values["net_start"] = (start - NET_MARGIN).date().isoformat()
            values["net_end"] = (end + NET_MARGIN).date().isoformat()
        return values


def _values_for_sqlite(uid: str, value: object) -> dict[str, object]:
    try:
        uid.encode()
        broken = None
    except UnicodeEncodeError:
        # Bytes that are kept as text: the driver cannot bind them, the server can cast them.
        broken = uid.encode("utf-8", "surrogateescape") if isinstance(value, str) else None
    return {
        "uid": None if broken is not None else value,
        "uid_number": number_of(uid),
        "uid_broken": broken,
        "uid_is_null": uid == NULL_UID,
    }


def inspect_source(database: Database, settings: DatabaseSettings) -> SourceSchema:
    """Look at the table; WrongSchema names what is missing and the nearest name there is."""
    table = settings.table
    with database.translated(), database.engine.connect() as connection:
        inspector = sa.inspect(connection)
        _require_table(inspector, database, settings)
        columns = {
            _plain_name(column["name"], database.dialect): column
            for column in inspector.get_columns(table.name, schema=table.schema)
        }
        row_key = _row_key(inspector, database.dialect, settings, columns)
        has_crc32 = _has_crc32(connection.dialect)
        tx = database.transaction(connection)
        clocks = read_clocks(tx, table)
        is_unique = uid_is_unique(tx, inspector, settings, columns.get(settings.uid_column))
    required = [
        ("uid_column", settings.uid_column),
        ("created_at_column", settings.created_at_column),
        ("location_column", settings.location_column),
    ]
    for key, name in required:
        _require_column(columns, key, name, settings)
    if settings.size_column not in (None, "size_bytes"):
        _require_column(columns, "size_column", str(settings.size_column), settings)
    _refuse_other_case(columns, "archived_column", settings.archived_column, database.dialect)
    _refuse_other_case(columns, "size_column", settings.size_column, database.dialect)
    _require_text(columns[settings.location_column], database.dialect)
    zone = settings.zone
    kind = _created_at_kind(columns[settings.created_at_column], database.dialect)
    if isinstance(columns[settings.created_at_column]["type"], sa.TIMESTAMP) and (
        database.dialect is Dialect.MYSQL
    ):
        zone = UTC  # the server converts TIMESTAMP to the session's zone, which we set to UTC
    if database.dialect is Dialect.SQLITE and zone is not UTC:
        raise ConfigError(
            "database.timezone must be UTC for SQLite, which knows no time zones",
            key="database.timezone",
        )
    return SourceSchema(
        dialect=database.dialect,
        uid_kind=_uid_kind(columns[settings.uid_column]),
        created_at_kind=kind,
        zone=zone,
        has_archived=settings.archived_column in columns,
        has_size=settings.size_column in columns,
        row_key=row_key,
        has_crc32=has_crc32,
        uid_is_unique=is_unique,
        clocks=clocks,
        flag_fault=flag_fault(columns, settings, database.dialect),
        size_is_whole=_is_whole(columns.get(settings.size_column or "")),
    )


def read_clocks(tx: Transaction, table: TableName) -> tuple[str, ...]:
    """Columns that the server sets to now when another one is written (ON UPDATE, of MySQL)."""
    values = {"schema_name": table.schema, "table_only": table.name}
    return tuple(str(row.name) for row in tx.run("table_clocks", values))


def source_catalog(schema: SourceSchema, settings: DatabaseSettings) -> Catalog:
    """The statements for this table; a size column that is not there reads as NULL."""
    if not schema.has_size and settings.size_column is not None:
        settings = settings.model_copy(update={"size_column": None})
    return Catalog(
        schema.dialect,
        settings,
        row_key=schema.row_key,
        uid_kind=schema.uid_kind,
        has_crc32=schema.has_crc32,
        clocks=schema.clocks,
        size_is_whole=schema.size_is_whole,
    )


def _is_whole(size: ReflectedColumn | None) -> bool:
    return size is None or isinstance(size["type"], sa.Integer)


def _has_crc32(dialect: sa.Dialect) -> bool:
    """Whether the server has CRC-32 of bytes: MySQL and MariaDB, and PostgreSQL since 18."""
    if dialect.name == "mysql":
        return True
    version: tuple[int, ...] = getattr(dialect, "server_version_info", None) or (0,)
    return dialect.name == "postgresql" and version >= (18,)


def _plain_name(reflected: str, dialect: Dialect) -> str:
    """Reflection of MySQL returns names with their quotes still doubled."""
    return reflected.replace("``", "`") if dialect is Dialect.MYSQL else reflected


def _require_table(inspector: Inspector, database: Database, settings: DatabaseSettings) -> None:
    table = settings.table
    names = inspector.get_table_names(schema=table.schema)
    if table.name in names:
        return
    if table.name in _unusable_names(inspector, table.schema):
        raise WrongSchema(
            f"{table} is a view or a foreign table: no index can be made on it, and its rows are "
            "kept elsewhere",
            hint="name the table that holds the rows: database.table_name",
            database=database.label,
        )
    if database.dialect is Dialect.POSTGRES and inspector.has_table(table.name, table.schema):
        return  # a partitioned table
    if database.dialect is Dialect.POSTGRES and not (table.schema or inspector.default_schema_name):
        raise WrongSchema(NO_SCHEMA, hint=NO_SCHEMA_HINT, database=database.label)
    near = difflib.get_close_matches(table.name, names, n=1)
    raise WrongSchema(
        f"the database has no table {table}",
        hint=f"did you mean {near[0]}? " + NAMES_HINT.format(key="table_name")
        if near
        else NAMES_HINT.format(key="table_name"),
        database=database.label,
    )


def _unusable_names(inspector: Inspector, schema: str | None) -> set[str]:
    names = set(inspector.get_view_names(schema=schema))
    if inspector.dialect.name == "postgresql":
        asked = cast("PGInspector", inspector)
        names |= {*asked.get_materialized_view_names(schema=schema)}
        names |= {*asked.get_foreign_table_names(schema=schema)}
    return names


def _require_column(
    columns: dict[str, ReflectedColumn], key: str, name: str, settings: DatabaseSettings
) -> None:
    if name in columns:
        return
    near = difflib.get_close_matches(name, columns, n=1)
    raise WrongSchema(
        f"the table {settings.table} has no column {name}",
        hint=(f"did you mean {near[0]}? " if near else "") + NAMES_HINT.format(key=key),
        columns=", ".join(columns),
    )


def _refuse_other_case(
    columns: dict[str, ReflectedColumn], key: str, name: str | None, dialect: Dialect
) -> None:
    """A column that may be missing is not missing where only its letters differ."""
    if name is None or name in columns or dialect is Dialect.POSTGRES:
        return
    for other in columns:
        if other.lower() == name.lower():
            raise WrongSchema(
                f"the column {name} is spelled {other} in the table",
                hint=f"write it so: database.{key}: {other}",
            )


def _require_text(location: ReflectedColumn, dialect: Dialect) -> None:
    """WrongSchema where no row could have a path; on SQLite a type is only a wish."""
    kind = location["type"]
    if dialect is Dialect.SQLITE or isinstance(kind, sa.String | sa.types.NullType):
        return
    if isinstance(kind, NO_PATHS):
        raise WrongSchema(
            f"the location column has a type that holds no paths: {kind}",
            hint=NAMES_HINT.format(key="location_column") + ", or give it the type text",
            column=location["name"],
        )


def _uid_kind(column: ReflectedColumn) -> UidKind:
    kind = column["type"]
    if isinstance(kind, sa.Integer):
        return UidKind.INTEGER
    if isinstance(kind, sa.Uuid):
        return UidKind.UUID
    if isinstance(kind, sa.String | sa.types.NullType):
        return UidKind.TEXT
    raise WrongSchema(
        f"the uid column has a type that cannot be used: {kind}",
        hint="text, integer and uuid columns can",
        column=column["name"],
    )


def _created_at_kind(column: ReflectedColumn, dialect: Dialect) -> CreatedAtKind:
    kind: Any = column["type"]
    if dialect is Dialect.SQLITE:
        if isinstance(kind, sa.Integer | sa.Numeric):
            raise WrongSchema(
                "created_at is a number; on SQLite it must be text in ISO 8601",
                column=column["name"],
            )
        return CreatedAtKind.TEXT
    if isinstance(kind, sa.DateTime):
        return CreatedAtKind.AWARE if getattr(kind, "timezone", False) else CreatedAtKind.NAIVE
    raise WrongSchema(
        f"created_at has a type that is not a time: {kind}",
        hint="timestamptz, timestamp, DATETIME(6) and TIMESTAMP(6) columns can be used",
        column=column["name"],
    )


def _row_key(
    inspector: Inspector,
    dialect: Dialect,
    settings: DatabaseSettings,
    columns: dict[str, ReflectedColumn],
) -> str:
    """On SQLite, the name of the rowid that no column hides; else the uid column."""
    if dialect is not Dialect.SQLITE:
        return settings.uid_column
    options = inspector.get_table_options(settings.table.name, schema=settings.table.schema)
    if options.get("sqlite_with_rowid") is False:
        return settings.uid_column
    lowered = {name.lower() for name in columns}
    free = [name for name in ("rowid", "_rowid_", "oid") if name not in lowered]
    return free[0] if free else settings.uid_column
