"""Between two chunks: pause when asked to, wait for replicas, for the load to sink, or a moment."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from des_core.basics.errors import DatabaseUnreachable, DesError, Refused, UsageError
from des_core.basics.identifiers import Dialect
from des_core.ledger.jobs import read_job
from des_core.migration.base.migration import Migration

if TYPE_CHECKING:
    import sqlalchemy as sa

POLL_S = 1.0
DEFAULT_MAX_LAG_S = 10.0
GRANT_HINT = "grant pg_read_all_stats to this user"


def require_lag_is_known(migration: Migration) -> None:
    """Before the first change: a limit that was asked for must be one that can be kept.

    UsageError where the server cannot know how far replicas are behind; Refused where it does not
    tell this user. A limit that nobody asked for is only said not to be kept.
    """
    is_asked_for = migration.options.max_lag_s is not None
    if migration.source.dialect is not Dialect.POSTGRES:
        if is_asked_for:
            raise UsageError(
                "--max-lag works on PostgreSQL only: this server does not know how far its "
                "replicas are behind",
                hint="ask a heartbeat table instead: --max-load SQL --max-load-limit SECONDS",
                database=migration.source.label,
            )
        return
    _lag_s, hidden = _read_replicas(migration)
    if not hidden:
        return
    if is_asked_for:
        raise Refused(
            "--max-lag cannot be kept: how far replicas are behind is hidden from this user",
            hint=GRANT_HINT,
            replicas=hidden,
            database=migration.source.label,
        )
    text = f"how far {hidden} replicas are behind is hidden from this user: not waiting for them"
    migration.tell("", "replicas", f"{text} ({GRANT_HINT})")


@dataclass
class Turns:
    """When the chunks of one job may be written."""

    migration: Migration
    job_name: str
    _lag_read_at: float = -math.inf

    def wait(self) -> None:
        """Return when the next chunk may be written. Says why, once for each wait."""
        if self.migration.options.sleep_s:
            time.sleep(self.migration.options.sleep_s)
        said = ""
        while reason := self._reason_to_wait():
            kind = reason.partition(" ")[0]
            if kind != said:
                self.migration.tell("", self.job_name, reason)
                said = kind
            time.sleep(POLL_S)

    def _reason_to_wait(self) -> str:
        job = read_job(self.migration.config, self.job_name)
        if job is not None and job.state == "paused":
            return "paused until: des-admin migrate resume"
        options = self.migration.options
        asked_for = options.max_lag_s
        lag_s = self._replica_lag_s()
        if lag_s > (DEFAULT_MAX_LAG_S if asked_for is None else asked_for):
            return f"replicas are {lag_s:.1f} s behind: waiting"
        if options.max_load is not None:
            load = _load(self.migration, options.max_load)
            if load > options.max_load_limit:
                return f"load is {load:g}, above {options.max_load_limit:g}: waiting"
        return ""

    def _replica_lag_s(self) -> float:
        """Asked once in POLL_S: a lag in seconds does not grow faster."""
        now = time.monotonic()
        is_fresh = now - self._lag_read_at < POLL_S
        if is_fresh or self.migration.source.dialect is not Dialect.POSTGRES:
            return 0.0
        lag_s, _hidden = _read_replicas(self.migration)
        self._lag_read_at = now
        return lag_s


def _read_replicas(migration: Migration) -> tuple[float, int]:
    """The greatest lag in seconds, and how many replicas hide theirs."""
    with migration.source.read() as tx:
        row = tx.run(migration.source_catalog.get("migration_replica_lag")).one()
    return float(row.lag_s or 0), int(row.hidden)


def _load(migration: Migration, query: str) -> float:
    """The one number of the operator's own query."""
    options = {"no_parameters": True}
    row: sa.Row[Any] | None = None
    try:
        with migration.source.read() as tx:
            result = tx.connection.exec_driver_sql(query, None, options)
            row = result.first() if result.returns_rows else None
        return float(row[0] or 0) if row is not None else 0.0
    except DatabaseUnreachable:
        raise
    except (TypeError, ValueError, DesError) as exc:
        raise UsageError(
            "--max-load wants a query that returns one number", query=query, problem=str(exc)
        ) from exc
