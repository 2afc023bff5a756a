"""The nightly job of the guide: the column archived, kept for others to read, gets the formula.

Only what was archived since the last time is written. It holds the lock, so that no window is
closed meanwhile and no second one of it runs; it may be paused, and goes on where it was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from des_core.basics.errors import WrongSchema
from des_core.basics.timestamps import format_utc
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.watermark import read_watermark
from des_core.migration.base.migration import (
    DEFAULT_ACTOR,
    Migration,
    MigrationOptions,
    Notice,
    ignore_notice,
    open_migration,
)
from des_core.migration.flags.throttle import require_lag_is_known
from des_core.migration.flags.writing import write_formula
from des_core.migration.state.flag_jobs import COMPLIANCE_JOB, synced_until
from des_core.migration.state.tables import read_archived_column
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings


@dataclass(frozen=True, slots=True)
class ComplianceReport:
    """How far the column is right now. `since` is None where all of it was looked at."""

    archived_until: datetime
    since: datetime | None
    changed: int


@dataclass(frozen=True, slots=True)
class CompliancePlan:
    """What a sync would look at: the rows from `since` on, all of them where that is None."""

    archived_until: datetime
    since: datetime | None
    rows: int | None


def plan_sync(settings: Settings) -> CompliancePlan:
    """WrongSchema as `sync_flags`; takes no lock and writes nothing."""
    with open_migration(settings, only_look=True) as migration:
        until, since = _scope(migration)
        if since is None:
            return CompliancePlan(until, None, None)
        reader = SourceReader(migration.source, settings.database)
        return CompliancePlan(until, since, reader.count(since, until))


def sync_flags(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    report: Callable[[Notice], None] = ignore_notice,
) -> ComplianceReport:
    """Write what watermark and exceptions say into the column archived.

    WrongSchema where the column is gone or there is no watermark; LockHeld while somebody works.
    """
    with (
        open_migration(
            settings, actor=actor, options=options, report=report, only_rows=True
        ) as migration,
        migration.holding("compliance sync"),
    ):
        return _sync(migration)


def _sync(migration: Migration) -> ComplianceReport:
    require_lag_is_known(migration)
    until, since = _scope(migration)
    changed = write_formula(migration, until, since, COMPLIANCE_JOB)

    def work(tx: Transaction) -> None:
        record_event(
            tx,
            action="compliance.sync",
            actor=migration.actor,
            now=migration.now(),
            from_value=None if since is None else format_utc(since),
            to_value=format_utc(until),
            reason=migration.options.reason,
            details={"changed": changed},
        )

    migration.write(work)
    return ComplianceReport(until, since, changed)


def _scope(migration: Migration) -> tuple[datetime, datetime | None]:
    """The watermark, and up to where the column agrees with it already."""
    migration.schema.require_flag()
    with migration.config.read() as tx:
        until = read_watermark(tx).archived_until
    if read_archived_column(migration) is None:
        raise WrongSchema(
            "files has no column archived to keep in step",
            hint="the watermark alone says what is archived: des-admin progress",
            table=str(migration.settings.database.table),
        )
    seed = read_job(migration.config, SEED_JOB)
    return until, synced_until(migration) or (seed.cursor if seed else None)
