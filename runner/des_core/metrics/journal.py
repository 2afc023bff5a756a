"""How cycles ended, kept in the config database: one row per worker, since pods live briefly.

The ledger says what was packed. That a cycle failed, and how often in a row, would be lost with
its process; so the runner keeps it in `des_archive_job` and the exporter reads it there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from des_core.basics.errors import DesError, ExitCode, WrongSchema
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.slices import parse_details
from des_core.metrics.definitions import STATUSES, cycle_status, cycle_succeeded
from des_core.metrics.seam import RunnerMetrics
from des_core.process.logs import get_logger

_PREFIX = "cycle-"
_NO_NEWS = ("locked", "stopped")


@dataclass(frozen=True, slots=True)
class CycleJournal:
    """Every cycle that a worker ended: totals by status, and how it stands. Times are UTC."""

    name: str
    totals: dict[str, int] = field(default_factory=dict)
    failed_in_a_row: int = 0
    last_success: datetime | None = None
    duration_s: float = 0.0

    @property
    def worker(self) -> int:
        """The number of its worker; 0 for the one runner."""
        return int(self.name.removeprefix(_PREFIX))

    def after(self, code: ExitCode, *, now: datetime, duration_s: float) -> CycleJournal:
        """With one more cycle in it. A cycle that was locked out or stopped is no news."""
        status = cycle_status(code)
        succeeded = cycle_succeeded(code)
        failed = self.failed_in_a_row + (status not in _NO_NEWS)
        return CycleJournal(
            name=self.name,
            totals=self.totals | {status: self.totals.get(status, 0) + 1},
            failed_in_a_row=0 if succeeded else failed,
            last_success=now if succeeded else self.last_success,
            duration_s=duration_s,
        )


class JournaledMetrics(RunnerMetrics):
    """RunnerMetrics that write the journal when a cycle ends.

    A database that cannot be reached then is no reason to fail: the exporter sees that itself.
    """

    def __init__(
        self, config: Database, *, worker: int = 0, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._config = config
        self._name = f"{_PREFIX}{worker}"
        self._clock = clock or (lambda: datetime.now(UTC))
        self._began: datetime | None = None

    def cycle_started(self, *, watermark: datetime, target: datetime, lag_days: int) -> None:
        """See RunnerMetrics."""
        self._began = self._clock()

    def cycle_finished(self, code: ExitCode) -> None:
        """See RunnerMetrics."""
        if code == ExitCode.LOCKED:
            return  # the holder of the lock writes; two writers would lose a count
        now = self._clock()
        duration_s = 0.0 if self._began is None else (now - self._began).total_seconds()
        try:
            self._write(code, now, duration_s)
        except DesError as exc:
            if code == ExitCode.WRONG_SCHEMA and isinstance(exc, WrongSchema):
                return  # the cycle failed for want of the same tables, and reported it
            log = get_logger("metrics")
            log.warning("cycle_not_journaled", error=str(exc), code=int(code))

    def _write(self, code: ExitCode, now: datetime, duration_s: float) -> None:
        def work(tx: Transaction) -> None:
            before = _find(tx, self._name)
            journal = before.after(code, now=now, duration_s=duration_s)
            values = {
                "name": self._name,
                "rows_done": sum(journal.totals.values()),
                "now": now,
                "details": _to_json(journal),
            }
            tx.run("metrics_cycle_record", values)

        self._config.transact(work)


def read_journals(tx: Transaction) -> list[CycleJournal]:
    """The journals of all workers."""
    return [_from_row(row) for row in tx.run("metrics_cycles")]


def _find(tx: Transaction, name: str) -> CycleJournal:
    journals = read_journals(tx)
    return next((journal for journal in journals if journal.name == name), CycleJournal(name))


def _to_json(journal: CycleJournal) -> str:
    success = journal.last_success
    details = {
        "totals": journal.totals,
        "failed_in_a_row": journal.failed_in_a_row,
        "last_success": None if success is None else success.isoformat(),
        "duration_s": round(journal.duration_s, 6),
    }
    return json.dumps(details, sort_keys=True)


def _from_row(row: Any) -> CycleJournal:
    details = parse_details(row.details or "{}")
    success = details.get("last_success")
    totals = details.get("totals", {})
    return CycleJournal(
        name=row.name,
        totals={status: int(totals[status]) for status in STATUSES if status in totals},
        failed_in_a_row=int(details.get("failed_in_a_row", 0)),
        last_success=None if success is None else from_stored(success),
        duration_s=float(details.get("duration_s", 0.0)),
    )
