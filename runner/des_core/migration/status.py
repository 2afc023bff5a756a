"""Where the migration stands: revisions, watermark, exceptions, column, index, jobs, lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from des_core.ledger.exceptions import ReasonCount, count_open
from des_core.ledger.jobs import JOB_TABLE, SEED_JOB, Job, read_job
from des_core.ledger.revisions import REVISIONS, WATERMARK, applied_revisions
from des_core.ledger.watermark import Watermark, read_watermark
from des_core.locks.lock import lock_holder
from des_core.migration.base.migration import Migration, open_migration
from des_core.migration.state.flag_jobs import ROLLBACK_JOB
from des_core.migration.state.heads import all_heads
from des_core.migration.state.tables import (
    CONFIG_TABLE,
    find_created_at_index,
    has_table,
    read_archived_column,
)
from des_core.settings.config import Settings

if TYPE_CHECKING:
    from des_core.database.connections import Database


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """One revision and whether its database is past it."""

    name: str
    branch: str
    database: str
    intent: str
    is_applied: bool


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Everything at one look. `watermark` is None before `up` and after `down`."""

    revisions: tuple[RevisionStatus, ...]
    watermark: Watermark | None
    seed: datetime | None
    exceptions: tuple[ReasonCount, ...]
    has_archived_column: bool
    created_at_index: str | None
    rollback: Job | None
    lock_holder: str | None

    @property
    def is_at_watermark(self) -> bool:
        """Whether everything that `up` does without --drop-archived is done."""
        return self.watermark is not None and all(
            revision.is_applied for revision in self.revisions if revision.name <= WATERMARK.name
        )


def read_status(settings: Settings) -> MigrationStatus:
    """Look at both databases. WrongSchema at a revision that this version does not know."""
    with open_migration(settings, only_look=True) as migration:
        return _read(migration)


def _read(migration: Migration) -> MigrationStatus:
    done = applied_revisions(all_heads(migration))
    config = migration.config
    index = find_created_at_index(migration)
    jobs = has_table(config, JOB_TABLE)
    seed = read_job(config, SEED_JOB) if jobs else None
    return MigrationStatus(
        revisions=tuple(
            RevisionStatus(
                name=revision.name,
                branch=revision.branch,
                database=migration.database(revision.branch).label,
                intent=revision.intent,
                is_applied=revision.name in done,
            )
            for revision in REVISIONS
        ),
        watermark=_watermark(config) if WATERMARK.name in done else None,
        seed=None if seed is None else seed.cursor,
        exceptions=_exceptions(config),
        has_archived_column=read_archived_column(migration) is not None,
        created_at_index=None if index is None else index.name,
        rollback=read_job(config, ROLLBACK_JOB) if jobs else None,
        lock_holder=lock_holder(config),
    )


def _watermark(config: Database) -> Watermark | None:
    if not has_table(config, CONFIG_TABLE):
        return None
    with config.read() as tx:
        return read_watermark(tx)


def _exceptions(config: Database) -> tuple[ReasonCount, ...]:
    if not has_table(config, "des_archive_exception"):
        return ()
    with config.read() as tx:
        return tuple(count_open(tx))
