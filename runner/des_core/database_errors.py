"""What a driver says, as an error of ours: unreachable, out of patience, wrong schema, or a bug."""

from __future__ import annotations

import re

from sqlalchemy.exc import DBAPIError

from des_core.errors import DatabaseUnreachable, DesError, Refused, WrongSchema

_OWN_TABLES = "des_archive_"
_POINTER = re.compile(r"LINE \d+: ")
# SQLSTATE classes and codes of PostgreSQL.
_PG_UNREACHABLE = ("08", "28", "3D", "53300", "57P", "58")
_PG_SCHEMA = ("42P01", "42703", "3F000")
_PG_DENIED = ("42501",)
_PG_BUSY = ("55P03", "57014", "40P01", "40001")
# Error numbers of MySQL and MariaDB.
_MYSQL_UNREACHABLE = {1040, 1044, 1045, 1049, 1053, 1129, 1130, 1698, 2002, 2003, 2005, 2006}
_MYSQL_UNREACHABLE |= {2013, 2055}
_MYSQL_SCHEMA = {1054, 1146}
_MYSQL_DENIED = {1142, 1143, 1227}
_MYSQL_BUSY = {1205, 1213, 3024}
_SQLITE_SCHEMA = ("no such table", "no such column")
_SQLITE_BUSY = ("database is locked", "database table is locked")
_SQLITE_UNREACHABLE = (
    "unable to open",
    "not a database",
    "disk i/o error",
    "malformed",
    "readonly",
    "database or disk is full",
)


def translate(exc: DBAPIError, label: str) -> DesError:
    """The error of ours that says what `exc` means; the statement's values are left out."""
    kind = _kind(exc)
    detail = _detail(exc)
    if kind == "unreachable":
        return DatabaseUnreachable(
            f"the database cannot be reached: {detail}",
            hint="check address, credentials and network, then run the same command again",
            database=label,
        )
    if kind == "schema" and _OWN_TABLES in detail:
        return WrongSchema(
            f"this database is not migrated yet, a table of this program is missing: {detail}",
            hint="see: des-admin migrate plan; then: des-admin migrate up",
            database=label,
        )
    if kind == "schema":
        return WrongSchema(
            f"a table or a column is missing: {detail}",
            hint="compare the names in the configuration with the database: des-admin doctor",
            database=label,
        )
    if kind == "denied":
        return Refused(
            f"the database user may not do this: {detail}",
            hint="grant it, or run this as the user that owns the tables",
            database=label,
        )
    if kind == "busy":
        return Refused(
            f"gave up waiting for a lock in the database: {detail}",
            hint="see who holds it: des-admin doctor; then run the same command again",
            database=label,
        )
    return DesError(f"the database refused a statement: {detail}", database=label)


def _detail(exc: DBAPIError) -> str:
    """What the driver said, without the piece of our statement that PostgreSQL points at."""
    lines = str(exc.orig).splitlines()
    at = next((number for number, line in enumerate(lines) if _POINTER.match(line)), None)
    if at is not None:
        del lines[at : at + 2]
    return " ".join(" ".join(lines).split())[:400]


def is_busy(exc: BaseException) -> bool:
    """Whether a lock was not had in time, or a deadlock was ended: worth another try."""
    cause = exc if isinstance(exc, DBAPIError) else exc.__cause__
    return isinstance(cause, DBAPIError) and _kind(cause) == "busy"


def is_disconnect(exc: DBAPIError) -> bool:
    """Whether the connection is gone, so that the outcome of a commit is unknown."""
    return bool(exc.connection_invalidated) or _kind(exc) == "unreachable"


def _kind(exc: DBAPIError) -> str:
    original = exc.orig
    arguments = getattr(original, "args", ())
    if arguments and isinstance(arguments[0], int):
        return _by_number(arguments[0])  # before the SQLSTATE, which PyMySQL has too, but coarser
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return _by_sqlstate(state)
    text = str(original).lower()
    if type(original).__module__.startswith("sqlite3"):
        return _by_sqlite_text(text)
    # psycopg gives no SQLSTATE when it never got through to a server.
    return "unreachable" if type(original).__name__ == "OperationalError" else "other"


def _by_sqlstate(state: str) -> str:
    table = {
        "unreachable": _PG_UNREACHABLE,
        "schema": _PG_SCHEMA,
        "denied": _PG_DENIED,
        "busy": _PG_BUSY,
    }
    for kind in ("busy", "denied", "schema", "unreachable"):
        if state.startswith(table[kind]):
            return kind
    return "other"


def _by_number(number: int) -> str:
    for kind, numbers in (
        ("unreachable", _MYSQL_UNREACHABLE),
        ("schema", _MYSQL_SCHEMA),
        ("denied", _MYSQL_DENIED),
        ("busy", _MYSQL_BUSY),
    ):
        if number in numbers:
            return kind
    return "other"


def _by_sqlite_text(text: str) -> str:
    for kind, words in (
        ("schema", _SQLITE_SCHEMA),
        ("busy", _SQLITE_BUSY),
        ("unreachable", _SQLITE_UNREACHABLE),
    ):
        if any(word in text for word in words):
            return kind
    return "other"
