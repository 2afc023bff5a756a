"""What is set in each session of ours, whatever the server, the role or the database has set.

PostgreSQL: by transaction only, because a pooler between us and the server may give the session to
others after it. MySQL and MariaDB have no settings of a transaction; SQLite's belong to the file's
connection.

What a DBA has set to keep writers out (`default_transaction_read_only`) is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from des_core.basics.identifiers import Dialect

SQLITE_BUSY_TIMEOUT_S = 30.0
# Of what the server takes as one statement (max_allowed_packet), left for all but the rows.
PACKET_RESERVE = 8192
# psycopg would prepare what it runs often, on a backend that a pooler gives to somebody else. Of a
# database without an encoding (SQL_ASCII) it would give bytes; a pooler keeps this for each client.
POSTGRES_ARGUMENTS = {"prepare_threshold": None, "client_encoding": "utf8"}
# A policy must not leave rows out, which the watermark would pass; statements of ours take as long
# as they take, and are bounded by an index. The other limits are on time spent between statements.
_POSTGRES_SET_ASIDE = (
    (0, "row_security = off"),
    (0, "DateStyle = ISO"),  # the driver reads no other
    (0, "quote_all_identifiers = off"),  # types are told by their names
    (0, "client_encoding = 'UTF8'"),  # an older one has no sign for most names
    (0, "statement_timeout = 0"),
    (0, "lock_timeout = 0"),  # who must not wait says so afterwards
    (0, "idle_in_transaction_session_timeout = 0"),
    (17, "transaction_timeout = 0"),
)
# A stricter default of a role or database would end each of our transactions during which the
# heartbeat renewed the lease; it must be said before the first query.
READ_COMMITTED = "SET LOCAL transaction_isolation = 'read committed'"
# Modes that quote with ", or that take zero for a time; limits on rows, statements, idle sessions.
# What an application stored as 2024-02-31 is read, compared and joined as it is, and not as zero.
MYSQL_MODE = (
    "'STRICT_ALL_TABLES,NO_ZERO_DATE,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION,"
    "ERROR_FOR_DIVISION_BY_ZERO'"
)
_MYSQL_FAMILY = {
    "time_zone": "'+00:00'",
    "sql_mode": MYSQL_MODE,
    "sql_select_limit": "18446744073709551615",
    "sql_safe_updates": "0",
    "sql_big_selects": "1",
    "sql_auto_is_null": "0",
    "sql_quote_show_create": "1",  # columns are read from it
    "completion_type": "0",
    "wait_timeout": "28800",
}
_MARIADB = {
    "max_statement_time": "0",
    "idle_transaction_timeout": "0",
    "idle_readonly_transaction_timeout": "0",
    "idle_write_transaction_timeout": "0",
    "system_versioning_asof": "DEFAULT",  # rows as they are now
}
# Statistics of a table are shown as they are, not as they were up to a day ago.
_MYSQL = {"max_execution_time": "0", "information_schema_stats_expiry": "0"}


def install_manners(engine: Engine, dialect: Dialect) -> None:
    """Listen to each connection, or transaction, that the engine begins."""
    if dialect is Dialect.SQLITE:
        sa.event.listen(engine, "connect", _sqlite_on_connect)
        sa.event.listen(engine, "begin", _sqlite_on_begin)
    elif dialect is Dialect.MYSQL:
        # Before SQLAlchemy's own first look, which learns from sql_mode how names are quoted.
        sa.event.listen(engine, "connect", _mysql_on_connect, insert=True)
    else:
        sa.event.listen(engine, "begin", _postgres_on_begin)


def read_committed(raw: Any, _record: Any) -> None:
    """For a connection of MySQL that was handed in."""
    with raw.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _sqlite_on_connect(raw: Any, _record: Any) -> None:
    # The driver's own transactions begin late and not before DDL: we say BEGIN ourselves.
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    set_busy_timeout(raw, SQLITE_BUSY_TIMEOUT_S)


def set_busy_timeout(raw: Any, seconds: float) -> None:
    """How long SQLite waits for the lock of another connection."""
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")
    cursor.close()


def _sqlite_on_begin(connection: Connection) -> None:
    if not _is_autocommit(connection):
        kind = connection.get_execution_options().get("des_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")


def mysql_settings(version: str) -> dict[str, str]:
    """The variables of a session that are set, and to what, by the server's version in words."""
    return _MYSQL_FAMILY | (_MARIADB if "MariaDB" in version else _MYSQL)


def _mysql_on_connect(raw: Any, _record: Any) -> None:
    from pymysql.cursors import Cursor

    settings = mysql_settings(raw.get_server_info()).items()
    with raw.cursor() as cursor:
        cursor.execute("SET SESSION " + ", ".join(f"{name} = {value}" for name, value in settings))
    with raw.cursor(Cursor) as cursor:  # plain rows, whatever cursor was handed in
        cursor.execute("SHOW SESSION VARIABLES LIKE 'max_allowed_packet'")
        room = int(cursor.fetchone()[1]) - PACKET_RESERVE
    if room < raw.cursorclass.max_stmt_length:
        raw.cursorclass = _cursor_of(raw.cursorclass, room)


@cache
def _cursor_of(kind: type, room: int) -> type:
    """The driver's cursor, which puts no more rows into one statement than the server takes."""
    return type(kind.__name__, (kind,), {"max_stmt_length": room})


def _postgres_on_begin(connection: Connection) -> None:
    if not _is_autocommit(connection):
        version = getattr(connection.dialect, "server_version_info", None) or (0,)
        settings = [*_postgres_set_aside(version[0])]
        if "isolation_level" not in connection.get_execution_options():
            settings.insert(0, READ_COMMITTED)
        # Without parameters psycopg sends them all at once.
        connection.exec_driver_sql("; ".join(settings), execution_options={"no_parameters": True})


def _postgres_set_aside(major: int) -> Iterator[str]:
    return (f"SET LOCAL {setting}" for since, setting in _POSTGRES_SET_ASIDE if major >= since)


def _is_autocommit(connection: Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
