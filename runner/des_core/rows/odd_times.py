"""Rows whose created_at is no time that a window sees: counted, so that somebody hears of them.

They were never packed, and no watermark makes them archived: what they point to stays needed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from des_core.database.catalog import Catalog
from des_core.database.connections import Database
from des_core.rows.values import any_text

EXAMPLE_CHARS = 80
_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class OddTimes:
    """How many there are, up to a limit at either end of the index, and one of them.

    `is_whole` is False where SQLite was stopped before it had read every row.
    """

    rows: int
    example: str
    is_whole: bool = True


def count_odd_times(
    database: Database, catalog: Catalog, limit: int, *, limit_s: float | None = None
) -> OddTimes:
    """On SQLite it reads the whole index, for `limit_s` at most; elsewhere only those rows."""
    statement = catalog.get("migration_odd_created_at")
    try:
        with (
            database.read() as tx,
            any_text(tx.connection),
            _stopped_after(tx.connection, limit_s),
        ):
            row = tx.run(statement, {"limit": limit}).one()
    except _Stopped:
        return OddTimes(0, "", is_whole=False)
    return OddTimes(int(row.files), str(row.example)[:EXAMPLE_CHARS])


class _Stopped(Exception):
    """SQLite had no more time."""


@contextmanager
def _stopped_after(connection: Connection, limit_s: float | None) -> Iterator[None]:
    raw: Any = connection.connection.dbapi_connection
    if limit_s is None or not isinstance(raw, sqlite3.Connection):
        yield
        return
    end = time.monotonic() + limit_s
    raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    except OperationalError as exc:
        if time.monotonic() > end:
            raise _Stopped from exc
        raise
    finally:
        raw.set_progress_handler(None, _STEPS)
