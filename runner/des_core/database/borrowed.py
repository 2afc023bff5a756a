"""A connection that a script opened itself: it comes back as it was, also after an error.

Meanwhile it reads and writes as ours do: plain rows, text as text, transactions that we begin.
What the script has written and not committed would be committed or undone with them: refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from inspect import iscoroutinefunction
from typing import Any

from des_core.basics.errors import ConfigError, DatabaseUnreachable, DesError, UsageError
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import config_statement
from des_core.database.manners import mysql_settings

_PRAGMAS = ("synchronous", "foreign_keys", "busy_timeout")
_SAID_BY_NAMES = (
    *("character_set_client", "character_set_connection", "character_set_results"),
    "collation_connection",
)
_IN_TRANSACTION = 1  # of the status that the server of MySQL sends with each answer


def driver_of(raw: Any) -> str:
    """The module whose connection it is, also of a class derived from it; ConfigError otherwise."""
    modules = [kind.__module__.split(".")[0] for kind in type(raw).__mro__]
    found = next((module for module in modules if module in _KEEPERS), None)
    if found is None or iscoroutinefunction(type(raw).commit):
        kind = f"{modules[0]}.{type(raw).__name__}"
        raise ConfigError(
            f"a connection of the type {kind} cannot be used",
            hint="hand in a connection of psycopg, pymysql or sqlite3",
        )
    return found


@contextmanager
def left_as_it_was(raw: Any) -> Iterator[None]:
    """What the block changes of its session is set back. A connection that broke stays broken.

    UsageError where something is written in it and not committed.
    """
    make_plain, restore = _KEEPERS[driver_of(raw)]
    try:
        state = make_plain(raw)
    except DesError:
        raise
    except Exception as exc:
        raise DatabaseUnreachable(
            f"the connection that was handed in cannot be used: {exc}", hint="open another one"
        ) from exc
    try:
        yield
    finally:
        with suppress(Exception):
            raw.rollback()
            restore(raw, state)


def _unfinished() -> UsageError:
    return UsageError(
        "the connection that was handed in is in the middle of a transaction",
        hint="commit it or roll it back first: it would be committed, or lost, with ours",
    )


def _exchange(raw: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set these attributes; what they were before."""
    before = {name: getattr(raw, name) for name in values}
    for name, value in values.items():
        if before[name] != value:
            setattr(raw, name, value)
    return before


def _set_back(raw: Any, before: Mapping[str, Any]) -> None:
    """The last one first: what a driver allows may depend on those before it."""
    _exchange(raw, dict(reversed(list(before.items()))))


@contextmanager
def _set_back_if_it_fails(raw: Any, before: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _set_back(raw, before)
        raise


def _make_sqlite_plain(raw: Any) -> tuple[dict[str, Any], dict[str, int]]:
    if getattr(raw, "autocommit", None) is False:  # since Python 3.12
        raise UsageError(
            "a connection with autocommit=False is always in the middle of a transaction",
            hint="hand in one that was opened with autocommit=True, or without this argument",
        )
    if raw.in_transaction:
        raise _unfinished()
    plain: dict[str, Any] = {"row_factory": None, "text_factory": str, "isolation_level": None}
    if hasattr(raw, "autocommit"):
        plain = {"autocommit": getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1), **plain}
    before = _exchange(raw, plain)
    with _set_back_if_it_fails(raw, before):
        pragmas = {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
    return before, pragmas


def _restore_sqlite(raw: Any, state: tuple[dict[str, Any], dict[str, int]]) -> None:
    before, pragmas = state
    for name, value in pragmas.items():
        raw.execute(f"PRAGMA {name}={int(value)}")
    _set_back(raw, before)


def _make_postgres_plain(raw: Any) -> dict[str, Any]:
    import psycopg
    from psycopg.pq import TransactionStatus
    from psycopg.rows import tuple_row

    if raw.info.transaction_status is TransactionStatus.INTRANS:
        statement = config_statement(Dialect.POSTGRES, "backend_pid").sql
        with psycopg.Cursor(raw, row_factory=tuple_row) as cursor:
            _pid, has_written = cursor.execute(statement.encode()).fetchone() or (0, True)
        if has_written:
            raise _unfinished()
    try:
        raw.rollback()  # it has only read, or has failed already
    except psycopg.ProgrammingError as exc:  # within a block of the script's own
        raise _unfinished() from exc
    unchanged = {"isolation_level": raw.isolation_level}
    plain = {
        "autocommit": False,
        "prepare_threshold": None,
        "row_factory": tuple_row,
        "cursor_factory": psycopg.Cursor,
        "server_cursor_factory": psycopg.ServerCursor,
        "_adapters": None,  # what reads and writes values: psycopg's own, without the script's
    }
    return {**_exchange(raw, plain), **unchanged}


def _make_mysql_plain(raw: Any) -> tuple[bool, dict[str, Any], dict[str, Any]]:
    from pymysql.converters import conversions
    from pymysql.cursors import Cursor

    version = raw.get_server_info()
    raw.ping(reconnect=False)
    if raw.server_status & _IN_TRANSACTION:
        raise _unfinished()
    plain = {
        "cursorclass": Cursor,
        "use_unicode": True,
        "encoders": {kind: say for kind, say in conversions.items() if type(kind) is not int},
        "decoders": {kind: read for kind, read in conversions.items() if type(kind) is int},
    }
    texts = {name: getattr(raw, name) for name in ("charset", "encoding", "collation")}
    before = {**_exchange(raw, plain), **texts}
    names = {*mysql_settings(version), _isolation_of(version), *_SAID_BY_NAMES}
    with _set_back_if_it_fails(raw, before):
        with raw.cursor() as cursor:
            cursor.execute("SHOW SESSION VARIABLES")
            values = {
                name: _number_or_text(value)
                for name, value in cursor
                if name in names and value != "DEFAULT"  # of a setting that we leave so, too
            }
        raw.set_character_set("utf8mb4")
    return bool(raw.get_autocommit()), values, before


def _number_or_text(value: str) -> int | float | str:
    """As SET wants it: a number is no text there."""
    if value.isdecimal():
        return int(value)
    return float(value) if value.replace(".", "", 1).isdecimal() else value


def _restore_mysql(raw: Any, state: tuple[bool, dict[str, Any], dict[str, Any]]) -> None:
    autocommit, values, before = state
    try:
        with raw.cursor() as cursor:
            settings = ", ".join(f"{name} = %s" for name in values)
            cursor.execute("SET SESSION " + settings, tuple(values.values()))
        raw.autocommit(autocommit)
    finally:
        _set_back(raw, before)


def _isolation_of(version: str) -> str:
    return "tx_isolation" if "MariaDB" in version else "transaction_isolation"


_KEEPERS: dict[str, tuple[Any, Any]] = {
    "sqlite3": (_make_sqlite_plain, _restore_sqlite),
    "psycopg": (_make_postgres_plain, _set_back),
    "pymysql": (_make_mysql_plain, _restore_mysql),
}
