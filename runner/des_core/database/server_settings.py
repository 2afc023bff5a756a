"""What stands between us and the server, and what is set there that our work depends on."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from des_core.basics.database_urls import dialect_of, url_label
from des_core.basics.errors import DatabaseUnreachable, Refused
from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.database.transaction import Transaction

POOLER_HINT = (
    "name the server itself in migration.url, past the pooler; then run the same command again"
)
ROW_LOG_HINT = "set binlog_format to ROW (or MIXED) on the server, then run the same command again"
_TAKES_ALL = ("UTF8", "SQL_ASCII")
_OFF = frozenset({"0", "off", "0.000000", ""})
# Of the server as a whole; a user alone may be kept from writing on a primary, too.
_OF_REPLICAS = frozenset({"in_hot_standby", "read_only", "super_read_only", "innodb_read_only"})
# On a connection: its server was asked, and is a primary.
_ASKED = "des_primary"


@dataclass(frozen=True, slots=True)
class ServerSetting:
    """A setting as the session begins with it, whatever we set aside afterwards."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


def is_pooled(database: Database) -> bool:
    """Whether a pooler answers in the server's place, which gives sessions to several clients.

    The process that greeted us is not the one that works for us: poolers make up the first.
    PostgreSQL only. False where that cannot be seen.
    """
    if database.dialect is not Dialect.POSTGRES:
        return False
    with database.read() as tx:
        greeted_by = tx.connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        return bool(tx.run("backend_pid").scalar_one() != greeted_by)


def require_direct(database: Database, what: str) -> None:
    """Refused where a pooler stands before the server; `what` needs a session of its own."""
    if is_pooled(database):
        raise Refused(
            f"{what} needs a session of its own, and a pooler (such as PgBouncer) stands before "
            "the server",
            hint=POOLER_HINT,
            database=database.label,
        )


def require_primary(source: Database) -> None:
    """DatabaseUnreachable where rows of `files` would be read from a replica.

    It may lack rows that were committed long ago, and does not show which transactions are open on
    its primary: windows would close without rows that are yet to come. Asked now, and on each
    connection that is made later: after a failover it may lead to another server.
    """
    if source.dialect is Dialect.SQLITE:
        return
    with source.read() as tx:
        _refuse_replica(tx, source.label)
    listens = sa.event.contains(source.engine, "engine_connect", _ask_anew)
    if not (listens or source.shared_connection):
        sa.event.listen(source.engine, "engine_connect", _ask_anew)


def _ask_anew(connection: Connection) -> None:
    if _ASKED in connection.info:
        return
    url = connection.engine.url
    try:
        _refuse_replica(Transaction(connection, dialect_of(url)), url_label(url))
        connection.rollback()
    except BaseException:
        connection.close()
        raise


def _refuse_replica(tx: Transaction, label: str) -> None:
    found = [(str(n), str(v).lower()) for n, v in map(tuple, tx.run("read_only_settings"))]
    closed = [f"{n} = {v}" for n, v in found if n in _OF_REPLICAS and v not in _OFF]
    if closed:
        raise DatabaseUnreachable(
            f"the server with the table takes no writes ({', '.join(closed)}): a replica may lack "
            "rows that were committed already, and a window would close without them",
            hint="name the primary in database.url, or wait until this server is one; then run the "
            "same command again",
            database=label,
        )
    tx.connection.info[_ASKED] = True


def require_encoding(source: Database, config: Database) -> None:
    """Refused where our tables could not take each uid of `files`: one would stop every run."""
    wanted, found = _encoding(source), _encoding(config)
    if found in (None, *_TAKES_ALL) or found == wanted:
        return
    raise Refused(
        f"the database of the watermark has the encoding {found}, which has no sign for letters "
        "that a uid or a path of the table may have",
        hint="make it with ENCODING 'UTF8' TEMPLATE template0, or keep the watermark beside the "
        "table: watermark.config_db_url",
        database=config.label,
    )


def _encoding(database: Database) -> str | None:
    """Of PostgreSQL; the others are told the encoding of each table and session."""
    if database.dialect is not Dialect.POSTGRES:
        return None
    with database.read() as tx:
        info = tx.connection.connection.driver_connection.info  # type: ignore[union-attr]
        found = info.parameter_status("server_encoding")
    return None if found is None else str(found)


def require_row_log(database: Database) -> None:
    """Refused, before anything is made, where the binary log would take no write of ours."""
    if database.dialect is not Dialect.MYSQL:
        return
    found = {setting.name: setting.value for setting in read_settings(database)}
    if found.get("log_bin", "off") == "on" and found.get("binlog_format") == "statement":
        raise Refused(
            "the server writes its binary log by statement (binlog_format = STATEMENT), which "
            "takes no writes at READ COMMITTED",
            hint=ROW_LOG_HINT,
            database=database.label,
        )


def read_limits(database: Database) -> list[ServerSetting]:
    """The limits on time that somebody has set for this user, this database or the server."""
    settings = read_settings(database)
    return [s for s in settings if s.value not in _OFF and s.name in _LIMITS]


def read_settings(database: Database) -> list[ServerSetting]:
    """What a session begins with; empty for SQLite, which has no server."""
    if database.dialect is Dialect.SQLITE:
        return []
    with database.read() as tx:
        rows = [[str(cell).lower() for cell in row] for row in tx.run("session_settings")]
    return [ServerSetting(name, value) for name, value in rows]


_LIMITS = frozenset(
    {
        *("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"),
        *("idle_session_timeout", "max_statement_time", "max_execution_time"),
        *("idle_transaction_timeout", "idle_readonly_transaction_timeout"),
        "idle_write_transaction_timeout",
    }
)
