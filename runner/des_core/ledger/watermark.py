"""The watermark: one row, read exactly, moved by compare-and-set only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from des_core.basics.errors import FenceLost, WrongSchema
from des_core.basics.timestamps import EARLIEST, LATEST, floor_day, format_utc
from des_core.database.stored_time import from_stored, optional_from_stored
from des_core.database.transaction import Transaction

_EMPTY_HINT = (
    "if the cutover is not finished: des-admin migrate up; if the row was deleted, put it back by "
    "SQL, from a backup or from: des-admin watermark history"
)
# Its target would lie before the calendar begins; SQL by hand can write anything.
MOST_LAG_DAYS = 700_000
_SET_HINT = (
    "set it by SQL: UPDATE des_archive_config SET {} = VALUE WHERE id = 1; the last one that is "
    "known: des-admin watermark history"
)


@dataclass(frozen=True, slots=True)
class Watermark:
    """The row of des_archive_config as one read saw it. `raw` is the stored value, for the CAS."""

    archived_until: datetime
    lag_days: int
    fence: int
    last_updated: datetime | None
    updated_by: str | None
    raw: object


def read_watermark(tx: Transaction, *, statement: str = "watermark_read") -> Watermark:
    """The one row; WrongSchema where there is none, or another one beside it.

    `statement` may be `watermark_lock`, which keeps the row until the transaction ends.
    """
    rows = tx.run(statement).all()
    if not rows:
        raise WrongSchema("des_archive_config is empty: there is no watermark", hint=_EMPTY_HINT)
    if len(rows) > 1 or rows[0].id != 1:
        raise WrongSchema(
            "des_archive_config must hold exactly one row, with id 1",
            hint="remove the others after reading them: SELECT * FROM des_archive_config",
            ids=", ".join(str(row.id) for row in rows),
        )
    row = rows[0]
    return Watermark(
        archived_until=_position(row.archived_until),
        lag_days=_lag_days(row.lag_days),
        fence=int(row.fence),
        last_updated=optional_from_stored(row.last_updated),
        updated_by=row.updated_by,
        raw=row.archived_until,
    )


def _position(value: object) -> datetime:
    """WrongSchema for what is no time, or one beside which no window has room."""
    try:
        moment = from_stored(value)
    except WrongSchema:
        moment = None
    if moment is None or not EARLIEST <= moment <= LATEST:
        raise WrongSchema(
            f"the watermark {str(value)!r} is no time that can be used",
            hint=_SET_HINT.format("archived_until"),
        )
    return moment


def whole_days(value: object) -> int | None:
    """What lag_days says; None for no number of days. A table made by hand may have DECIMAL."""
    try:
        days = int(str(value))
    except ValueError:
        return None
    return days if 0 <= days <= MOST_LAG_DAYS else None


def _lag_days(value: object) -> int:
    days = whole_days(value)
    if days is None:
        raise WrongSchema(
            f"lag_days of the watermark is {value!r}, not a number of days",
            hint=_SET_HINT.format("lag_days"),
        )
    return days


def compute_target(
    now: datetime, lag_days: int, oldest_transaction: datetime | None = None
) -> datetime:
    """Midnight UTC at or before `now - lag_days`, and before the oldest open transaction.

    A transaction that is still open may yet commit rows stamped with the time it began, so the
    window ends just before that.
    """
    target = floor_day(now - timedelta(days=lag_days))
    if oldest_transaction is None:
        return target
    return min(target, oldest_transaction - timedelta(microseconds=1))


def move_watermark(
    tx: Transaction,
    *,
    expected: Watermark,
    to: datetime,
    actor: str,
    now: datetime,
) -> None:
    """Compare-and-set on value and fence, in the caller's transaction.

    FenceLost where the row is no longer what `expected` saw: another writer, or an operator's
    own SQL. The caller's transaction must then roll back.
    """
    _compare_and_set(tx, expected, to, actor=actor, now=now)


def confirm_watermark(tx: Transaction, *, expected: Watermark, actor: str, now: datetime) -> None:
    """Check value and fence by writing the watermark to itself, exactly as it is stored.

    FenceLost as from `move_watermark`. What is written in this transaction is true of that
    watermark, or not written at all.
    """
    _compare_and_set(tx, expected, expected.raw, actor=actor, now=now)


def _compare_and_set(
    tx: Transaction,
    expected: Watermark,
    to_value: object,
    *,
    actor: str,
    now: datetime,
) -> None:
    values = {
        "to_value": to_value,
        "now": now,
        "actor": actor[:100],
        "expected": expected.raw,
        "fence": expected.fence,
    }
    if tx.run("watermark_move", values).rowcount != 1:
        raise _lost(tx, expected)


def set_lag_days(
    tx: Transaction,
    *,
    expected: Watermark,
    lag_days: int,
    actor: str,
    now: datetime,
) -> None:
    """Change lag_days by compare-and-set, in the caller's transaction."""
    values = {
        "lag_days": lag_days,
        "now": now,
        "actor": actor[:100],
        "expected": expected.lag_days,
        "fence": expected.fence,
    }
    if tx.run("watermark_set_lag", values).rowcount != 1:
        raise _lost(tx, expected)


def take_fence(tx: Transaction) -> Watermark:
    """Become the only writer, in a write of the lock's holder; older writers can commit no more.

    Sharded workers are forgotten with what they packed ahead of the watermark: whoever packs that
    range again finds their shards.
    """
    watermark = raise_fence(tx)
    for name in ("worker_forget", "exception_drop_held"):
        tx.run(name)
    return watermark


def raise_fence(tx: Transaction) -> Watermark:
    """A fence above all before, in the caller's transaction, which then has the row locked."""
    read_watermark(tx)
    tx.run("watermark_take_fence")
    return read_watermark(tx)


def _lost(tx: Transaction, expected: Watermark) -> FenceLost:
    found = read_watermark(tx)
    return FenceLost(
        "the watermark was changed by somebody else; nothing was written",
        hint="see who: des-admin watermark history; then run the same command again",
        expected=f"{format_utc(expected.archived_until)}, fence {expected.fence}",
        found=f"{format_utc(found.archived_until)}, fence {found.fence}",
        updated_by=found.updated_by,
    )
