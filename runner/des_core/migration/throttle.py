"""Between two chunks: pause when asked to, wait for replicas, for the load to sink, or a moment."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from des_core.database import run
from des_core.errors import DatabaseUnreachable, DesError, UsageError
from des_core.migration.jobs import read_job
from des_core.migration.run import MigrationRun

POLL_S = 1.0


def wait_for_turn(migration: MigrationRun, job_name: str) -> None:
    """Return when the next chunk may be written. Says why, once for each wait."""
    if migration.options.sleep_s:
        time.sleep(migration.options.sleep_s)
    said = ""
    while reason := _reason_to_wait(migration, job_name):
        kind = reason.partition(" ")[0]
        if kind != said:
            migration.tell("", job_name, reason)
            said = kind
        time.sleep(POLL_S)


def _reason_to_wait(migration: MigrationRun, job_name: str) -> str:
    job = read_job(migration.config, job_name)
    if job is not None and job.state == "paused":
        return "paused until: des-admin migrate resume"
    lag_s = _replica_lag_s(migration)
    if lag_s > migration.options.max_lag_s:
        return f"replicas are {lag_s:.0f} s behind: waiting"
    if migration.options.max_load is not None:
        load = _load(migration, migration.options.max_load)
        if load > migration.options.max_load_limit:
            return f"load is {load:g}, above {migration.options.max_load_limit:g}: waiting"
    return ""


def _replica_lag_s(migration: MigrationRun) -> float:
    with migration.source.read() as connection:
        row = run(connection, migration.source_catalog.get("migration_replica_lag")).one()
    return float(row.lag_s or 0)


def _load(migration: MigrationRun, query: str) -> float:
    """The one number of the operator's own query."""
    options = {"no_parameters": True}
    row: sa.Row[Any] | None = None
    try:
        with migration.source.read() as connection:
            result = connection.exec_driver_sql(query, None, options)
            row = result.first() if result.returns_rows else None
        return float(row[0] or 0) if row is not None else 0.0
    except DatabaseUnreachable:
        raise
    except (TypeError, ValueError, DesError) as exc:
        raise UsageError(
            "--max-load wants a query that returns one number", query=query, problem=str(exc)
        ) from exc
