"""A migration asked for on the command line: plan, show, ask, do, say."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from des_admin.context import Context
from des_admin.render.plan import print_plan, summary
from des_admin.render.values import count, duration
from des_core.basics.errors import UsageError
from des_core.basics.wording import numbered
from des_core.ledger.revisions import Direction

if TYPE_CHECKING:
    from des_core.migration.apply import MigrationReport
    from des_core.migration.base.migration import MigrationOptions, Notice
    from des_core.migration.plan import MigrationPlan

PROGRESS_EVERY_S = 2.0
VERSION_ENDS = ("version_begin", "version_move", "version_end")


@dataclass(frozen=True)
class MigrateRequest:
    """What was typed."""

    direction: Direction
    drop_archived: bool = False
    backup: str | None = None
    seed_at: str | None = None
    purge: bool = False
    confirm: int | None = None
    dry_run: bool = False
    yes: bool = False
    plan_hash: str | None = None
    reason: str | None = None
    sleep_s: float = 0.0
    max_lag_s: float | None = None
    max_load: str | None = None
    max_load_limit: float = 0.0
    sessions: int = 1

    def options(self, context: Context) -> MigrationOptions:
        from des_core.basics.timestamps import parse_time
        from des_core.migration.base.migration import MigrationOptions

        seed_at = None if self.seed_at is None else parse_time(self.seed_at, now=context.now)
        if self.backup is not None and not self.backup.strip():
            raise UsageError("--backup wants a name")
        return MigrationOptions(
            drop_archived=self.drop_archived,
            seed_at=seed_at,
            backup=self.backup,
            purge=self.purge,
            reason=self.reason,
            sleep_s=self.sleep_s,
            max_lag_s=self.max_lag_s,
            max_load=self.max_load,
            max_load_limit=self.max_load_limit,
            sessions=self.sessions,
        )

    def make_plan(self, context: Context) -> MigrationPlan:
        from des_core.migration.apply import make_plan

        return make_plan(context.settings, direction=self.direction, options=self.options(context))

    def run(self, context: Context) -> None:
        from des_core.migration.apply import require_hash
        from des_core.migration.gate.checks import require_passed

        if self.confirm is not None and not self.purge:
            raise UsageError("--confirm goes with --purge", hint="add --yes, or --purge")
        plan = self.make_plan(context)
        require_hash(plan, self.plan_hash)
        done: tuple[str, ...] = ()
        while plan.continues and not self.dry_run:
            done += self._carry_out(context, plan)
            plan = self.make_plan(context)
            if self.plan_hash is not None:
                # The hash was of the first part alone; nobody has seen this one yet.
                context.say("the index is there; see what follows: des-admin migrate plan")
                self._report(context, plan, done)
                return
        if self.dry_run:
            self.emit_plan(context, plan)
            require_passed(plan.gate)
            return
        if not plan.is_empty:
            done += self._carry_out(context, plan)
        self._report(context, plan, done)

    def _carry_out(self, context: Context, plan: MigrationPlan) -> tuple[str, ...]:
        """Show it, ask, do it."""
        from des_core.migration.gate.checks import require_passed

        if not context.wants_json and not context.options.quiet:
            if self.yes or self.plan_hash is not None:
                context.say(summary(plan))
            else:
                print_plan(context.talk, plan, every=context.options.verbose)
        require_passed(plan.gate)
        self._confirm(context, plan)
        return self._execute(context, plan).revisions

    def emit_plan(self, context: Context, plan: MigrationPlan) -> None:
        """Print it, with the command that does exactly this."""
        command, every = self.command(context, plan), context.options.verbose
        payload = {"plan": plan, "is_empty": plan.is_empty, "command": command}
        context.emit(
            "migrate-plan",
            payload,
            lambda out: print_plan(out, plan, command=command, every=every),
        )

    def command(self, context: Context, plan: MigrationPlan) -> str | None:
        """What to type so that this very plan is carried out; None where there is nothing to do."""
        if plan.is_empty:
            return None
        words = ["des-admin"]
        if context.options.config is not None:
            words += ["--config", str(context.options.config)]
        if context.options.profile is not None:
            words += ["--profile", context.options.profile]
        words += ["migrate", self.direction.value]
        words += ["--drop-archived"] if self.drop_archived else []
        words += ["--backup", self.backup] if self.backup is not None else []
        words += ["--seed-at", self.seed_at] if self.seed_at is not None else []
        words += ["--purge"] if self.purge else []
        return shlex.join([*words, "--plan", plan.hash])

    def _confirm(self, context: Context, plan: MigrationPlan) -> None:
        """What is forgotten cannot be had back: its number is wanted, also beside --yes."""
        if plan.forgotten_files is None:
            context.prompts.confirm(self._question(context, plan), yes=self.yes)
            return
        files = plan.forgotten_files
        context.prompts.confirm_number(
            f"{self._question(context, plan)} Ledger, exceptions and audit trail will be deleted, "
            "which cannot be undone. "
            f"Type the number of files in the ledger to go on ({count(files)}):",
            files,
            given=self.confirm,
        )

    def _question(self, context: Context, plan: MigrationPlan) -> str:
        from des_core.basics.database_urls import database_name

        table = context.settings.database.table
        where = database_name(context.settings.source_url)
        revisions = numbered(len(plan.revisions), "revision")
        if plan.continues:
            return f"Build the index on {table} in {where}?"
        if self.direction is Direction.UP:
            if self.drop_archived:
                return f"Drop the column archived of {table} in {where}?"
            return f"Apply {revisions} to {where}?"
        return f"Take back {revisions} from {where}?"

    def _execute(self, context: Context, plan: MigrationPlan) -> MigrationReport:
        from des_core.ledger.outcomes import DOWN, UP
        from des_core.migration import apply

        is_up = self.direction is Direction.UP
        work = apply.upgrade if is_up else apply.downgrade
        with context.remembered(UP if is_up else DOWN):
            return work(
                context.settings,
                actor=context.actor,
                options=self.options(context),
                plan=plan,
                report=Talk(context),
            )

    def _report(self, context: Context, plan: MigrationPlan, revisions: tuple[str, ...]) -> None:
        payload = {"direction": self.direction, "revisions": revisions, "plan_hash": plan.hash}

        def draw(out: Any) -> None:
            done = ", ".join(revisions)
            text = f"migrated {self.direction}: {done}" if done else "nothing to do"
            out.print(text, markup=False)

        context.emit(f"migrate-{self.direction}", payload, draw)


@dataclass
class Talk:
    """Tells the operator what happens: a tick for each step, counts of rows every two seconds.

    What changes our own tables is ticked once a revision, which ends with its version.
    """

    context: Context
    _last: float = field(default_factory=time.monotonic)
    _began: float = field(default_factory=time.monotonic)

    def __call__(self, notice: Notice) -> None:
        place = f"{notice.revision} " if notice.revision else ""
        if notice.took_s is not None:
            self._tick(notice, notice.took_s)
        elif notice.is_detail:
            self.context.explain(f"{place}{notice.step}: {notice.text}")
        elif notice.done_rows is None:
            self.context.say(f"{place}{notice.step}: {notice.text}")
        elif time.monotonic() - self._last >= PROGRESS_EVERY_S:
            self._last = time.monotonic()
            share = "" if notice.share is None else f", {notice.share:.0%} of the range"
            eta = "" if notice.eta_s is None else f", about {duration(notice.eta_s)} left"
            self.context.say(f"{place}{notice.text}: {count(notice.done_rows)}{share}{eta}")

    def _tick(self, notice: Notice, took_s: float) -> None:
        if notice.step in VERSION_ENDS:
            now = time.monotonic()
            self.context.say(f"✓ {notice.revision}, {duration(now - self._began)}", style="green")
            self._began = now
        elif notice.is_on_files and not notice.step.startswith("version_"):
            self.context.say(f"  ✓ {notice.step}, {duration(took_s)}", style="green")
        elif notice.text:
            self.context.explain(f"  ✓ {notice.step}, {duration(took_s)}: {notice.text}")
