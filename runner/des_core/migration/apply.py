"""Carrying out a plan: under the lock, revision by revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from des_core.config import Settings
from des_core.lock import hold_lock
from des_core.migration.environment import all_heads, run_revisions
from des_core.migration.revisions import (
    DROP_ARCHIVED,
    LEDGER,
    REVISIONS,
    Revision,
    applied_revisions,
)
from des_core.migration.run import (
    DEFAULT_ACTOR,
    MigrationOptions,
    MigrationRun,
    Notice,
    ignore_notice,
    open_run,
)


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What was run, in order; empty where everything was in place already."""

    revisions: tuple[str, ...]


def upgrade(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    report: Callable[[Notice], None] = ignore_notice,
) -> MigrationReport:
    """Everything up to the watermark; with `options.drop_archived` also the column goes.

    LockHeld where somebody else is at work; WrongSchema at an unknown revision.
    """
    with (
        open_run(settings, actor=actor, options=options, report=report) as migration,
        hold_lock(migration.config, "migrate up"),
    ):
        pending = pending_revisions(migration)
        run_revisions(migration, pending, upgrade=True)
    return MigrationReport(tuple(revision.name for revision in pending))


def downgrade(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    report: Callable[[Notice], None] = ignore_notice,
) -> MigrationReport:
    """The rollback: back to the column archived. The ledger stays, unless `options.purge`.

    LockHeld where somebody else is at work; WrongSchema at an unknown revision.
    """
    with (
        open_run(settings, actor=actor, options=options, report=report) as migration,
        hold_lock(migration.config, "migrate down"),
    ):
        applied = revisions_to_undo(migration)
        run_revisions(migration, applied, upgrade=False)
    return MigrationReport(tuple(revision.name for revision in applied))


def revisions_to_undo(migration: MigrationRun) -> tuple[Revision, ...]:
    """What `down` has to undo, in order."""
    done = applied_revisions(all_heads(migration))
    return tuple(
        revision
        for revision in reversed(REVISIONS)
        if revision.name in done and (revision is not LEDGER or migration.options.purge)
    )


def pending_revisions(migration: MigrationRun) -> tuple[Revision, ...]:
    """What `up` has to do, in order."""
    done = applied_revisions(all_heads(migration))
    return tuple(
        revision
        for revision in REVISIONS
        if revision.name not in done
        and (revision is not DROP_ARCHIVED or migration.options.drop_archived)
    )
