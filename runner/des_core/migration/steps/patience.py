"""Waiting for locks without making others wait: short tries, pauses between them, names named.

A statement that waits for a table makes everyone wait who comes after it. So each try gives up
after `migration.lock_timeout`, and the pause before the next one is longer than the try.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from des_core.basics.errors import DesError, Refused
from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.database.errors import is_busy
from des_core.database.transaction import Transaction
from des_core.migration.base.migration import Migration
from des_core.migration.state.blockers import find_blockers

if TYPE_CHECKING:
    from tenacity import RetryCallState

PATIENCE_S = 600.0
LONGEST_PAUSE_S = 15.0
INDEX_LOCK_TIMEOUT_S = 3600.0

T = TypeVar("T")


def patiently(
    migration: Migration,
    database: Database,
    what: str,
    work: Callable[[Transaction], T],
    *,
    in_transaction: bool = True,
    is_ddl: bool = False,
    timeout_s: float | None = None,
    give_up: threading.Event | None = None,
) -> T:
    """`work` in a transaction that proves the lock, tried again while others hold locks.

    `work` may run several times. Refused after ten minutes, with the blockers named. Outside a
    transaction it is tried once: what it leaves when it gives up must be looked at first. Once
    `give_up` is set it is not tried again.
    """
    import tenacity

    limit = timeout_s or migration.settings.migration.lock_timeout

    def hurried(tx: Transaction) -> T:
        set_lock_timeout(tx, limit, in_transaction=in_transaction)
        return work(tx)

    def attempt() -> T:
        if in_transaction:
            return migration.held.write_in(database, hurried, is_ddl=is_ddl)
        migration.held.check()
        with database.autocommit() as tx:
            return hurried(tx)

    def before_sleep(state: RetryCallState) -> None:
        blockers = _describe_blockers(migration, database)
        migration.tell("", what, f"waiting: {blockers}")

    ended = give_up or threading.Event()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_busy),
        wait=tenacity.wait_random_exponential(multiplier=2 * limit, max=LONGEST_PAUSE_S)
        + tenacity.wait_fixed(limit),
        stop=tenacity.stop_after_delay(PATIENCE_S) | tenacity.stop_when_event_set(ended)
        if in_transaction
        else tenacity.stop_after_attempt(1),
        sleep=tenacity.sleep_using_event(ended),
        before_sleep=before_sleep,
        reraise=True,
    )
    try:
        return retrying(attempt)
    except DesError as exc:
        if not is_busy(exc):
            raise
        raise Refused(
            f"{what}: others held the table for too long",
            hint="end what holds it, then run the same command again; what is done stays done",
            blockers=_describe_blockers(migration, database),
            database=database.label,
        ) from exc


def set_lock_timeout(tx: Transaction, timeout_s: float, *, in_transaction: bool) -> None:
    """Bound how long the next statements of this connection wait for a lock.

    Only PostgreSQL sets that for a transaction alone.
    """
    is_of_session = tx.dialect is Dialect.POSTGRES and not in_transaction
    name = "migration_lock_timeout_session" if is_of_session else "migration_lock_timeout"
    values = {"timeout_ms": round(timeout_s * 1000), "timeout_s": max(1, math.ceil(timeout_s))}
    tx.run(name, values)


def _describe_blockers(migration: Migration, database: Database) -> str:
    if database is not migration.source or database.dialect is Dialect.SQLITE:
        return "another connection is writing"
    blockers = find_blockers(migration)
    return "; ".join(map(str, blockers)) or "nobody any more, or a session that is not shown to us"
