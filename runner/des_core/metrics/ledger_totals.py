"""Totals over the whole ledger, kept in memory and brought up to date by what is new.

Slices are only ever added, so a scrape reads those after the last one that it knows, not all of
them again. A slice counts as settled some minutes after it was finished: until then a transaction
with a lower id could still commit beside it, and the unsettled tail is read again each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction

PAGE_SIZE = 5000
SETTLED_AFTER = timedelta(minutes=10)
# Clocks of a runner and of a database may differ so far, and nobody has to know.
AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over slices. `last_progress` is when a window was last packed."""

    slices: int = 0
    shards: int = 0
    files: int = 0
    files_failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    last_progress: datetime | None = None

    def plus(self, row: Any, now: datetime) -> Totals:
        """With one more slice; its shards are counted apart.

        A time that is yet to come is no progress: an alert would wait until it has passed.
        """
        finished_at = from_stored(row.finished_at)
        is_window = row.kind == "window" and finished_at < now + AHEAD
        progress = max(self.last_progress or finished_at, finished_at)
        return replace(
            self,
            slices=self.slices + 1,
            files=self.files + int(row.files_out),
            # A second try that fails again is no new exception.
            files_failed=self.files_failed
            + (0 if row.kind == "exceptions" else int(row.files_failed)),
            bytes_in=self.bytes_in + int(row.bytes_in),
            bytes_out=self.bytes_out + int(row.bytes_out),
            last_progress=progress if is_window else self.last_progress,
        )


class TotalsReader:
    """Remembers the settled part of the ledger between reads."""

    def __init__(self) -> None:
        self._settled = Totals()
        self._settled_id = 0

    def read(self, tx: Transaction, *, now: datetime) -> Totals:
        """The totals now. A ledger that was emptied or restored is counted from its beginning."""
        newest = tx.run("metrics_newest_ids").one().slice_id
        if int(newest or 0) < self._settled_id:
            self._settled, self._settled_id = Totals(), 0
        return self._with(tx, self._settle(tx, now), now)

    def _settle(self, tx: Transaction, now: datetime) -> list[Any]:
        """Add up what was finished some time ago, page by page; the slices that were not."""
        border = now - SETTLED_AFTER
        values = {"after_id": self._settled_id, "page_size": PAGE_SIZE}
        for rows in tx.pages("metrics_slices", values, after_id="slice_id"):
            old = list(takewhile(lambda row: from_stored(row.finished_at) < border, rows))
            if old:
                self._settled = self._with(tx, old, now)
                self._settled_id = int(old[-1].slice_id)
            if len(old) < len(rows):
                return list(rows[len(old) :])
        return []

    def _with(self, tx: Transaction, rows: list[Any], now: datetime) -> Totals:
        """The settled totals and these slices, which follow them."""
        if not rows:
            return self._settled
        totals = self._settled
        for row in rows:
            totals = totals.plus(row, now)
        span = {"after_id": self._settled_id, "upto_id": int(rows[-1].slice_id)}
        shards = tx.run("metrics_shards", span).scalar_one()
        return replace(totals, shards=totals.shards + int(shards))
