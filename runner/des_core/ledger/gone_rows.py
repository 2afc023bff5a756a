"""Rows that were packed and are in `files` no more: what somebody has accepted as deleted."""

from __future__ import annotations

from datetime import date

from des_core.database.connections import Database
from des_core.database.stored_time import day_from_stored
from des_core.ledger.jobs import read_job

GONE = "gone rows"


def read_accepted(config: Database) -> dict[str, int]:
    """UTC day of created_at, as text → rows that are accepted as gone."""
    job = read_job(config, GONE)
    return {} if job is None else {day: int(rows) for day, rows in job.details.items()}


def newest_packed_day(config: Database) -> date | None:
    """The newest day that has a shard in the ledger."""
    with config.read() as tx:
        value = tx.run("shard_newest_day").scalar()
    return None if value is None else day_from_stored(value)
