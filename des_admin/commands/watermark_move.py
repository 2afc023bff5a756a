"""A hand-made move of the watermark: plan, show, ask, do, say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from des_admin.context import Context
from des_admin.render.tables import print_facts
from des_admin.render.values import count, duration, size, utc, utc_and_local
from des_core.basics.errors import UsageError
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.ledger.watermark_edits import MovePlan
    from des_core.rows.reader import SourceReader

ADOPT = "adopt"


@dataclass(frozen=True)
class MoveRequest:
    """What was typed. `confirm` is the number of files that a move forward skips."""

    action: str
    to: str
    yes: bool = False
    confirm: int | None = None
    reason: str | None = None
    expect_current: str | None = None
    forget: bool = False
    dry_run: bool = False

    def run(self, context: Context) -> None:
        from des_core.ledger.watermark_edits import MoveKind, execute_move
        from des_core.rows.reader import SourceReader

        source = SourceReader(context.source, context.settings.database)
        plan = self._plan(context, source)
        self._require_wanted(plan)
        if self.dry_run or (plan.kind is MoveKind.NOWHERE and not self._adopts):
            self._report(context, plan, done=False)
            return
        context.show_plan(move_facts(plan), yes=self.yes or self.confirm is not None)
        self._confirm(context, plan)
        reason = self._reason(context)
        execute_move(
            context.config_database,
            source,
            plan,
            action=self.action,
            actor=context.actor,
            reason=reason,
        )
        self._report(context, plan, done=True)

    @property
    def _adopts(self) -> bool:
        return self.action == ADOPT

    def _plan(self, context: Context, source: SourceReader) -> MovePlan:
        from des_core.ledger.watermark_edits import plan_adoption, plan_move

        config, limit = context.config_database, context.settings.migration.max_captured
        if self._adopts:
            return plan_adoption(config, source, forget=self.forget, max_captured=limit)
        return plan_move(
            config,
            source,
            self._moment(context),
            expect_current=self._expected(context),
            forget=self.forget,
            max_captured=limit,
        )

    def _moment(self, context: Context) -> datetime:
        from des_core.basics.timestamps import parse_time
        from des_core.ledger.watermark import read_watermark

        config = context.config_database
        with config.read() as tx:
            base = read_watermark(tx).archived_until
        return parse_time(self.to, now=context.now, base=base)

    def _expected(self, context: Context) -> datetime | None:
        from des_core.basics.timestamps import parse_time

        if self.expect_current is None:
            return None
        return parse_time(self.expect_current, now=context.now)

    def _require_wanted(self, plan: MovePlan) -> None:
        from des_core.ledger.watermark_edits import MoveKind

        wanted = {"rewind": MoveKind.BACK, "advance": MoveKind.FORWARD}.get(self.action)
        if wanted is not None and plan.kind not in (wanted, MoveKind.NOWHERE):
            raise UsageError(
                f"this would move the watermark {plan.kind}",
                hint=f"use: des-admin watermark set {utc(plan.to)}",
                **{"from": utc(plan.before.archived_until), "to": utc(plan.to)},
            )

    def _confirm(self, context: Context, plan: MovePlan) -> None:
        from des_core.ledger.watermark_edits import MoveKind

        files = plan.files.files
        if plan.kind is MoveKind.FORWARD and files:
            context.prompts.confirm_number(
                f"Skip {files:,} files up to {utc(plan.to)}? Type the number of files to go on:",
                files,
                given=self.confirm,
            )
        elif self._adopts:
            context.prompts.confirm(
                f"Record that the watermark is at {utc(plan.to)}?", yes=self.yes
            )
        else:
            context.prompts.confirm(
                f"Move the watermark {plan.kind} to {utc(plan.to)}?", yes=self.yes
            )

    def _reason(self, context: Context) -> str | None:
        if self.reason is None and not self.yes and context.prompts.somebody_is_there:
            return context.prompts.ask("Why (for the audit trail)") or None
        return self.reason

    def _report(self, context: Context, plan: MovePlan, *, done: bool) -> None:
        from des_core.ledger.watermark_edits import MoveKind

        payload = {
            "action": self.action,
            "done": done,
            "from": plan.came_from,
            "to": plan.to,
            "direction": plan.kind,
            "files": plan.files.files,
            "size_bytes": plan.files.size_bytes,
            "shards": plan.shards,
            "exceptions_closed": plan.flipped_exceptions,
            "skipped_recorded": plan.files.files if plan.records_skipped else 0,
            "target": plan.target,
        }

        def draw(out: Console) -> None:
            if done:
                verb = "recorded" if self._adopts else "moved"
                out.print(f"{verb}: {utc(plan.came_from)} → {utc(plan.to)}")
            elif plan.kind is MoveKind.NOWHERE:
                out.print(f"the watermark stands there already: {utc(plan.to)}")
            else:
                print_facts(out, move_facts(plan))

        context.emit("watermark-move", payload, draw)
        if done and plan.kind is MoveKind.BACK:
            context.say("next: des-admin run")
        elif done and self._adopts and plan.records_skipped:
            context.say("to pack them all the same: des-admin exceptions retry --only skipped")


def move_facts(plan: MovePlan) -> list[tuple[str, object]]:
    """The plan in words."""
    from des_core.ledger.watermark_edits import MoveKind

    files = f"{numbered(plan.files.files, 'file')}, {size(plan.files.size_bytes)}"
    facts: list[tuple[str, object]] = [
        ("from", utc_and_local(plan.came_from)),
        ("to", utc_and_local(plan.to)),
        ("moves", f"{plan.kind}, by {duration(plan.end - plan.start)}"),
    ]
    if plan.kind is MoveKind.BACK:
        facts.append(("pending again", f"{files}: they read as not archived until packed again"))
        facts.append(("shards", f"{count(plan.shards)} of these days stay as they are"))
    elif plan.forget:
        facts.append(("forgotten", f"{files}: they will read as archived, with no shard behind it"))
    else:
        facts.append(("skipped", f"{files}: recorded as exceptions, reason skipped"))
    if plan.flipped_exceptions:
        facts.append(("exceptions", _flipped_words(plan)))
    if plan.to > plan.target:
        facts.append(("caution", f"beyond the target {utc(plan.target)}: rows still come in there"))
    return facts


def _flipped_words(plan: MovePlan) -> str:
    from des_core.ledger.watermark_edits import MoveKind

    number = count(plan.flipped_exceptions)
    if plan.kind is MoveKind.BACK:
        return f"{number} open ones above the new watermark are closed: they become plainly pending"
    return f"{number} open ones below the new watermark are closed: it tells the truth about them"


def signed(text: str, sign: str) -> str:
    """`1d` as `-1d` or `+1d`; a sign that contradicts the command is wrong usage."""
    if text[:1] in "+-" and text[:1] != sign:
        other = "advance" if sign == "-" else "rewind"
        raise UsageError(f"{text} goes the other way", hint=f"des-admin watermark {other} …")
    return f"{sign}{text}" if text[:1].isdigit() and text[-1:] in "smhdw" else text
