"""Long jobs in chunks: how far each has come is kept, so that a killed one goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from des_core.basics.errors import DamagedData
from des_core.database.connections import Database
from des_core.database.stored_time import optional_from_stored
from des_core.database.transaction import Transaction

JOB_TABLE = "des_archive_job"
SEED_JOB = "seed"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of des_archive_job. Everything up to `cursor` is done; `details` is the job's own."""

    name: str
    state: str
    cursor: datetime | None
    rows_done: int
    rows_total: int | None
    details: Mapping[str, Any]

    @property
    def is_unfinished(self) -> bool:
        return self.state in ("running", "paused")

    def advanced(self, cursor: datetime | None, rows: int) -> Job:
        return replace(self, cursor=cursor, rows_done=self.rows_done + rows)


def read_job(database: Database, name: str) -> Job | None:
    """The job as it was last written, or None."""
    with database.read() as tx:
        row = tx.run("job_read", {"name": name}).first()
    if row is None:
        return None
    return Job(
        name=row.name,
        state=row.state,
        cursor=optional_from_stored(row.cursor_created_at),
        rows_done=int(row.rows_done),
        rows_total=None if row.rows_total is None else int(row.rows_total),
        details=_details(row.name, row.details),
    )


class _Details(dict[str, Any]):
    """What a job keeps of its own; a key that somebody took away is damage."""

    def __missing__(self, key: str) -> Any:
        raise _altered(key=key)


def _details(job: str, text: str | None) -> _Details:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _altered(job=job)
    return _Details(value)


def _altered(**facts: str) -> DamagedData:
    return DamagedData(
        "des_archive_job.details is not what a job wrote there",
        hint="who changed it? Bring the row back from a backup of the config database",
        **facts,
    )


def write_job(tx: Transaction, job: Job, now: datetime) -> None:
    """Record where the job is, in the caller's transaction."""
    values = {
        "name": job.name,
        "state": job.state,
        "cursor_created_at": job.cursor,
        "rows_done": job.rows_done,
        "rows_total": job.rows_total,
        "details": json.dumps(dict(job.details), sort_keys=True),
        "now": now,
    }
    tx.run("job_write", values)


def forget_job(tx: Transaction, name: str) -> None:
    """Drop the row, in the caller's transaction."""
    tx.run("job_forget", {"name": name})


def advance_job(tx: Transaction, job: Job, now: datetime) -> None:
    """Record how far the job is, in the caller's transaction; that somebody paused it stays."""
    values = {
        "name": job.name,
        "cursor_created_at": job.cursor,
        "rows_done": job.rows_done,
        "now": now,
    }
    tx.run("job_advance", values)


def change_state(database: Database, name: str, expected: str, state: str, now: datetime) -> bool:
    """From one state to another; False where the job was in none or in another one.

    Whoever does the job reads it there: so nobody needs the lock to pause it.
    """
    values = {
        "name": name,
        "expected": expected,
        "state": state,
        "now": now,
    }
    with database.write() as tx:
        return tx.run("job_change_state", values).rowcount == 1
