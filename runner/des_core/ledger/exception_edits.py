"""Closing exceptions by hand: which ones is decided first, then exactly those are closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from des_core.basics.errors import Refused
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import (
    RESOLVED_BY_HAND,
    OpenException,
    is_named,
    iterate_open,
    resolve_exceptions,
)
from des_core.locks.lock import hold_lock
from des_core.rows.values import storable

EVENT_UIDS = 100


@dataclass(frozen=True)
class ExceptionFilter:
    """Which open exceptions are meant; None means any."""

    reasons: frozenset[str] | None = None
    uids: frozenset[str] | None = None

    def includes(self, item: OpenException) -> bool:
        if self.reasons is not None and item.reason not in self.reasons:
            return False
        return self.uids is None or is_named(item.uid, self.uids)


@dataclass(frozen=True)
class ResolvePlan:
    """The exceptions that will be closed. Below the watermark they then read as archived."""

    items: Sequence[OpenException]

    @property
    def by_reason(self) -> Mapping[str, int]:
        return dict(sorted(Counter(item.reason for item in self.items).items()))

    @property
    def files(self) -> int:
        return len(self.items)


def find_open(config: Database, wanted: ExceptionFilter) -> Iterator[OpenException]:
    """The open exceptions that are meant, oldest entry first."""
    for page in iterate_open(config):
        yield from (item for item in page if wanted.includes(item))


def plan_resolve(config: Database, wanted: ExceptionFilter) -> ResolvePlan:
    """What would be closed."""
    return ResolvePlan(tuple(find_open(config, wanted)))


def execute_resolve(config: Database, plan: ResolvePlan, *, actor: str, reason: str) -> None:
    """Close exactly the planned exceptions and record it, in one transaction, under the lock."""
    keys = [(item.uid, item.created_at) for item in plan.items]
    now = datetime.now(UTC)

    def work(tx: Transaction) -> None:
        resolve_exceptions(tx, keys, resolution=RESOLVED_BY_HAND, now=now)
        record_event(
            tx,
            action="exceptions resolve",
            actor=actor,
            now=now,
            reason=reason,
            details={
                "files": plan.files,
                "by_reason": plan.by_reason,
                "uids": [storable(item.uid) for item in plan.items[:EVENT_UIDS]],
            },
        )

    with hold_lock(config, "exceptions resolve") as lock:
        _require_unchanged(config, plan)
        lock.write(work)


def _require_unchanged(config: Database, plan: ResolvePlan) -> None:
    planned = {item.exception_id: item.reason for item in plan.items}
    found = {
        item.exception_id: item.reason
        for page in iterate_open(config)
        for item in page
        if item.exception_id in planned
    }
    if found != planned:
        raise Refused(
            "exceptions were packed or changed since the plan was made: nothing was changed",
            hint="run the same command again",
        )
