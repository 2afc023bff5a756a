"""Carrying out a plan: under the lock, revision by revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from des_core.basics.errors import Refused
from des_core.ledger.revisions import WATERMARK, Direction
from des_core.migration.base.migration import (
    DEFAULT_ACTOR,
    Migration,
    MigrationOptions,
    Notice,
    ignore_notice,
    open_migration,
    require_able_servers,
)
from des_core.migration.execution import carry_out
from des_core.migration.flags.sessions import require_sessions_are_possible
from des_core.migration.flags.throttle import require_lag_is_known
from des_core.migration.gate.checks import require_passed
from des_core.migration.plan import (
    MigrationPlan,
    plan_downgrade,
    plan_upgrade,
    require_current,
    require_no_views,
    revisions_down,
)
from des_core.migration.script import MigrationScript, render_scripts
from des_core.settings.config import Settings


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What was run, in order; empty where everything was in place already."""

    revisions: tuple[str, ...]


def make_plan(
    settings: Settings, *, direction: Direction, options: MigrationOptions | None = None
) -> MigrationPlan:
    """The plan for `up` or `down`, from the state that is found; nothing is changed."""
    with open_migration(settings, options=options, only_look=True) as migration:
        require_able_servers(migration.source, migration.config)
        if direction is Direction.UP:
            return plan_upgrade(migration)
        require_lag_is_known(migration)
        require_sessions_are_possible(migration)
        return plan_downgrade(migration)


def make_scripts(
    settings: Settings,
    *,
    direction: Direction,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
) -> list[MigrationScript]:
    """The scripts for a DBA, in the order in which they are to be run; nothing is changed."""
    with open_migration(settings, actor=actor, options=options, only_look=True) as migration:
        return render_scripts(migration, direction)


def upgrade(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    plan: MigrationPlan | None = None,
    report: Callable[[Notice], None] = ignore_notice,
) -> MigrationReport:
    """Everything up to the watermark; with `options.drop_archived` also the column goes.

    `plan` is what the operator has seen; Refused where the databases have moved on since. One
    that `continues` is carried out as far as it goes; without a plan, all of them are.
    LockHeld where somebody else is at work; WrongSchema at an unknown revision.
    """
    with open_migration(settings, actor=actor, options=options, report=report) as migration:
        migration.schema.require_flag()  # before the lock, which makes a table
        with migration.holding("migrate up"):
            migration.forget_schema()  # somebody else may have changed it meanwhile
            return _upgrade(migration, plan)


def _upgrade(migration: Migration, plan: MigrationPlan | None) -> MigrationReport:
    if plan is not None:
        require_current(migration, plan)
        return _carry_out(migration, plan)
    done: tuple[str, ...] = ()
    while True:
        plan = plan_upgrade(migration)
        done += _carry_out(migration, plan).revisions
        if not plan.continues:
            return MigrationReport(done)


def _carry_out(migration: Migration, plan: MigrationPlan) -> MigrationReport:
    require_passed(plan.gate)
    migration.seed_plan = plan.seed
    carry_out(migration, plan.todo, Direction.UP)
    return MigrationReport(plan.revisions)


def downgrade(
    settings: Settings,
    *,
    actor: str = DEFAULT_ACTOR,
    options: MigrationOptions | None = None,
    plan: MigrationPlan | None = None,
    report: Callable[[Notice], None] = ignore_notice,
) -> MigrationReport:
    """The rollback: back to the column archived. The ledger stays, unless `options.purge`.

    Raises as `upgrade` does.
    """
    with (
        open_migration(settings, actor=actor, options=options, report=report) as migration,
        migration.holding("migrate down"),
    ):
        require_lag_is_known(migration)
        require_sessions_are_possible(migration)
        if plan is not None:
            require_current(migration, plan)
        todo = revisions_down(migration) if plan is None else plan.todo
        if WATERMARK in todo:
            require_no_views(migration)
        carry_out(migration, todo, Direction.DOWN)
    return MigrationReport(tuple(revision.name for revision in todo))


def require_hash(plan: MigrationPlan, wanted: str | None) -> None:
    """Refused where the plan is not the one that was approved."""
    if wanted is not None and wanted != plan.hash:
        raise Refused(
            "this is not the plan that was approved; nothing was done",
            hint="compare them: des-admin migrate plan",
            approved=wanted,
            found=plan.hash,
        )
