"""Who packs: a runner that has the archive for itself, or one sharded worker among others.

Both are values: a commit returns the writer as it is after the transaction, and a transaction
that fails leaves the old one true.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from des_core.database.stored_time import to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import NewException, close_packed, record_exceptions
from des_core.ledger.watermark import Watermark, confirm_watermark, move_watermark, read_watermark
from des_core.ledger.workers import WorkerPosition, advance_worker, confirm_worker
from des_core.rows.share import Share


class Writer(Protocol):
    """Whoever may commit. All methods work in the caller's transaction; FenceLost if too late."""

    @property
    def share(self) -> Share | None:
        """The buckets it owns; None for all."""

    @property
    def packed_until(self) -> datetime:
        """Where its next window begins."""

    @property
    def watermark(self) -> datetime:
        """Where the watermark was when this writer last looked."""

    @property
    def lag_days(self) -> int:
        """How far the target stays behind."""

    @property
    def moved_from(self) -> datetime | None:
        """Where the watermark was before this writer's last commit; None if that left it there."""

    def begin(self, tx: Transaction) -> None:
        """First thing in a transaction: see to it that commits come one after another."""

    def close_window(
        self,
        tx: Transaction,
        end: datetime,
        exceptions: Iterable[NewException],
        *,
        actor: str,
        now: datetime,
    ) -> Writer:
        """Everything of its own up to `end` is packed or in `exceptions`."""

    def confirm(self, tx: Transaction, *, actor: str, now: datetime) -> None:
        """Something else was written; only see that this is still the writer."""


@dataclass(frozen=True, slots=True)
class SoleWriter:
    """Has the archive for itself: what it packs moves the watermark."""

    state: Watermark
    moved_from: datetime | None = None

    @property
    def share(self) -> Share | None:
        return None

    @property
    def packed_until(self) -> datetime:
        return self.state.archived_until

    @property
    def watermark(self) -> datetime:
        return self.state.archived_until

    @property
    def lag_days(self) -> int:
        return self.state.lag_days

    def begin(self, tx: Transaction) -> None:
        """Nobody else commits."""

    def close_window(
        self,
        tx: Transaction,
        end: datetime,
        exceptions: Iterable[NewException],
        *,
        actor: str,
        now: datetime,
    ) -> SoleWriter:
        # Exceptions of this range spoke about a watermark below it. Now each row of it is
        # either packed or recorded again just below.
        close_packed(tx, start=self.packed_until, end=end, now=now)
        record_exceptions(tx, exceptions, now=now)
        move_watermark(tx, expected=self.state, to=end, actor=actor, now=now)
        moved = replace(self.state, archived_until=end, raw=to_stored(end, tx.dialect))
        return SoleWriter(moved, moved_from=self.packed_until)

    def confirm(self, tx: Transaction, *, actor: str, now: datetime) -> None:
        confirm_watermark(tx, expected=self.state, actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class StaticWorker:
    """Owns a share of the buckets; the watermark moves to where all workers have come.

    Its exceptions are held back until then: above the watermark an open one would say that
    the file is archived.
    """

    position: WorkerPosition
    moved_from: datetime | None = None

    @property
    def share(self) -> Share | None:
        return self.position.share

    @property
    def packed_until(self) -> datetime:
        return self.position.packed_until

    @property
    def watermark(self) -> datetime:
        return self.position.watermark

    @property
    def lag_days(self) -> int:
        return self.position.lag_days

    def begin(self, tx: Transaction) -> None:
        read_watermark(tx, statement="watermark_lock")

    def close_window(
        self,
        tx: Transaction,
        end: datetime,
        exceptions: Iterable[NewException],
        *,
        actor: str,
        now: datetime,
    ) -> StaticWorker:
        watermark = confirm_worker(tx, self.position)
        record_exceptions(tx, exceptions, now=now, held=True)
        moved = advance_worker(tx, self.position, watermark, to=end, actor=actor, now=now)
        was_last = moved.watermark > watermark.archived_until
        return StaticWorker(moved, moved_from=watermark.archived_until if was_last else None)

    def confirm(self, tx: Transaction, *, actor: str, now: datetime) -> None:
        confirm_worker(tx, self.position)
