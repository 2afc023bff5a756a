"""A connection that a script opened itself: it comes back as it was, also after an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from des_core.database.manners import mysql_settings

_PRAGMAS = ("synchronous", "foreign_keys", "busy_timeout")


@contextmanager
def left_as_it_was(raw: Any) -> Iterator[None]:
    """What the block changes of its session is set back. A connection that broke stays broken."""
    save, restore = _KEEPERS.get(type(raw).__module__.split(".")[0], (_nothing, _forget))
    state = save(raw)
    try:
        yield
    finally:
        with suppress(Exception):
            raw.rollback()
            restore(raw, state)


def _nothing(_raw: Any) -> None:
    """Not a connection of ours: its user tells."""


def _forget(_raw: Any, _state: Any) -> None:
    pass


def _save_sqlite(raw: Any) -> tuple[Any, dict[str, int]]:
    cursor = raw.cursor()
    cursor.row_factory = None
    values = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}
    return raw.isolation_level, values


def _restore_sqlite(raw: Any, state: tuple[Any, dict[str, int]]) -> None:
    isolation_level, values = state
    for name, value in values.items():
        raw.execute(f"PRAGMA {name}={int(value)}")
    raw.isolation_level = isolation_level


def _save_postgres(raw: Any) -> dict[str, Any]:
    return {name: getattr(raw, name) for name in ("autocommit", "prepare_threshold")}


def _restore_postgres(raw: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        if getattr(raw, name) != value:
            setattr(raw, name, value)


def _save_mysql(raw: Any) -> tuple[bool, dict[str, Any], Any]:
    version = raw.get_server_info()
    names = {*mysql_settings(version), _isolation_of(version)}
    with raw.cursor() as cursor:
        cursor.execute("SHOW SESSION VARIABLES")
        rows = [tuple(row.values()) if isinstance(row, dict) else row for row in cursor.fetchall()]
    values = {str(name): _number_or_text(str(value)) for name, value in rows if name in names}
    return bool(raw.get_autocommit()), values, raw.cursorclass


def _number_or_text(value: str) -> int | float | str:
    """As SET wants it: a number is no text there."""
    if value.isdecimal():
        return int(value)
    return float(value) if value.replace(".", "", 1).isdecimal() else value


def _restore_mysql(raw: Any, state: tuple[bool, dict[str, Any], Any]) -> None:
    autocommit, values, raw.cursorclass = state
    with raw.cursor() as cursor:
        settings = ", ".join(f"{name} = %s" for name in values)
        cursor.execute("SET SESSION " + settings, tuple(values.values()))
    raw.autocommit(autocommit)


def _isolation_of(version: str) -> str:
    return "tx_isolation" if "MariaDB" in version else "transaction_isolation"


_KEEPERS: dict[str, tuple[Any, Any]] = {
    "sqlite3": (_save_sqlite, _restore_sqlite),
    "psycopg": (_save_postgres, _restore_postgres),
    "pymysql": (_save_mysql, _restore_mysql),
}
