"""Exceptions: rows of `files` for which the watermark's answer is wrong, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import LATEST, from_us
from des_core.database.connections import Database
from des_core.database.stored_time import (
    from_stored,
    optional_from_stored,
    optional_to_stored,
    to_stored,
)
from des_core.database.transaction import Transaction
from des_core.records import SourceRow
from des_core.rows.values import as_before, storable

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

RESOLVED_BY_HAND = "by operator"
# The reason of files that an operator skipped by moving the watermark forward.
SKIPPED = "skipped"
PAGE_SIZE = 1000
FIRST_RETRY_AFTER = timedelta(minutes=10)
LONGEST_RETRY_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NewException:
    """What is to be recorded. `archived` is the truth about the file, against the watermark.

    `attempts` counts the tries at packing that this record stands for: 0 for a row that nobody
    has tried yet, which is then due at once. `attempts_before` are those recorded already.
    """

    uid: str
    created_at: datetime
    location: str | None
    archived: bool
    reason: str
    error: str | None = None
    attempts: int = 1
    attempts_before: int = 0

    @classmethod
    def of_pending(cls, row: SourceRow, reason: str, error: str) -> NewException:
        """A row below the watermark that no shard has and nobody has tried yet."""
        return cls(
            uid=row.uid,
            created_at=from_us(row.created_us),
            location=row.location,
            archived=False,
            reason=reason,
            error=error,
            attempts=0,
        )


@dataclass(frozen=True, slots=True)
class OpenException:
    """One open exception as recorded."""

    exception_id: int
    uid: str
    created_at: datetime
    location: str | None
    archived: bool
    reason: str
    attempts: int
    last_error: str | None
    first_seen: datetime
    last_seen: datetime
    next_attempt: datetime | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Open exceptions of one reason."""

    reason: str
    archived: bool
    files: int
    oldest: datetime
    last_seen: datetime


def uid_digest(uid: str) -> str:
    """The key of a uid of any length: sha256 of its UTF-8, hex."""
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()


def recorded_uid(row: Row[Any]) -> str:
    """The uid of a row with `uid` and `uid_sha256`, in the form that `files` gave it."""
    return as_before(row.uid, lambda text: uid_digest(text) == row.uid_sha256)


def is_named(uid: str, uids: Container[str]) -> bool:
    """Whether somebody named this uid, in its own form or in the one that screens show."""
    return uid in uids or storable(uid) in uids


def retry_after(attempts: int) -> timedelta:
    """How long to wait before the next try: doubled each time, one day at most."""
    doublings = min(max(attempts - 1, 0), 20)
    return min(FIRST_RETRY_AFTER * (1 << doublings), LONGEST_RETRY_AFTER)


def record_exceptions(
    tx: Transaction,
    items: Iterable[NewException],
    *,
    now: datetime,
    held: bool = False,
) -> int:
    """Open these exceptions (again), in the caller's transaction; how many they were.

    `held` ones lie above the watermark, where an open exception would read as archived: they stay
    closed until `open_held` finds the watermark above them.
    """
    name = "exception_hold" if held else "exception_record"
    return tx.run_many(name, exception_values(items, tx.dialect, now))


def resolve_exceptions(
    tx: Transaction,
    keys: Iterable[tuple[str, datetime]],
    *,
    resolution: str,
    now: datetime,
) -> int:
    """Close the open exceptions with these (uid, created_at); how many were asked for."""
    values = (
        {
            "uid_sha256": uid_digest(uid),
            "created_at": created_at,
            "resolution": resolution,
            "now": now,
        }
        for uid, created_at in keys
    )
    return tx.run_many("exception_resolve", values)


def resolve_range(
    tx: Transaction,
    *,
    start: datetime,
    end: datetime,
    archived: bool,
    resolution: str,
    now: datetime,
) -> int:
    """Close the open exceptions in `(start, end]` whose truth is `archived`; how many."""
    values = {
        "start_at": start,
        "end_at": end,
        "archived": archived,
        "resolution": resolution,
        "now": now,
    }
    return tx.run("exception_resolve_range", values).rowcount


def close_packed(tx: Transaction, *, start: datetime, end: datetime, now: datetime) -> None:
    """The watermark passes over `(start, end]`: what was open there is packed or recorded again."""
    for archived in (True, False):
        resolve_range(tx, start=start, end=end, archived=archived, resolution="packed", now=now)


def open_held(tx: Transaction, *, end: datetime) -> int:
    """Open what was held back up to and including `end`; how many."""
    values = {"end_at": end}
    return tx.run("exception_open_held", values).rowcount


def drop_held(tx: Transaction) -> int:
    """Give up what is held back, because its rows will be read again; how many."""
    return tx.run("exception_drop_held").rowcount


def count_open(tx: Transaction) -> list[ReasonCount]:
    """Open exceptions by reason."""
    return [
        ReasonCount(
            reason=row.reason,
            archived=bool(row.archived),
            files=int(row.files),
            oldest=from_stored(row.oldest),
            last_seen=from_stored(row.last_seen),
        )
        for row in tx.run("exception_counts")
    ]


def was_ever_recorded(tx: Transaction) -> bool:
    """Whether the table has any row: one that is closed stays in it."""
    values = {"after_id": 0, "end_at": LATEST, "page_size": 1}
    # Without an open one the first row of the table is a closed one.
    return bool(count_open(tx) or tx.run("migration_exceptions_resolved", values).first())


def iterate_open(config: Database, *, page_size: int = PAGE_SIZE) -> Iterator[list[OpenException]]:
    """All open exceptions, in pages, each read in a short transaction of its own."""
    values = {"after_id": 0, "page_size": page_size}
    for rows in config.pages("exception_page", values, after_id="exception_id"):
        yield [_open_exception(row) for row in rows]


def exception_values(
    items: Iterable[NewException], dialect: Dialect, now: datetime
) -> Iterator[dict[str, Any]]:
    """What `exception_record` binds for each."""
    for item in items:
        tries = item.attempts + item.attempts_before
        due = None if item.attempts == 0 else now + retry_after(tries)
        yield {
            "uid_sha256": uid_digest(item.uid),
            "uid": storable(item.uid),
            "created_at": to_stored(item.created_at, dialect),
            "location": None if item.location is None else storable(item.location),
            "archived": item.archived,
            "reason": item.reason,
            "attempts": item.attempts,
            "error": None if item.error is None else storable(item.error[:2000]),
            "now": to_stored(now, dialect),
            "next_attempt": optional_to_stored(due, dialect),
        }


def _open_exception(row: Row[Any]) -> OpenException:
    return OpenException(
        exception_id=int(row.exception_id),
        uid=recorded_uid(row),
        created_at=from_stored(row.created_at),
        location=row.location,
        archived=bool(row.archived),
        reason=row.reason,
        attempts=int(row.attempts),
        last_error=row.last_error,
        first_seen=from_stored(row.first_seen),
        last_seen=from_stored(row.last_seen),
        next_attempt=optional_from_stored(row.next_attempt),
    )
