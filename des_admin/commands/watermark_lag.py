"""What `des-admin watermark lag` does: plan, show, ask, do, say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from des_admin.context import Context
from des_admin.render.tables import print_facts
from des_admin.render.values import count, size, utc
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.ledger.watermark_edits import LagPlan


def change_lag(
    context: Context, days: int, *, yes: bool, reason: str | None, dry_run: bool
) -> None:
    """Show what the new lag lets in or keeps out, ask, and change it."""
    from des_core.ledger.watermark_edits import execute_lag, plan_lag
    from des_core.rows.reader import SourceReader

    source = SourceReader(context.source, context.settings.database)
    plan = plan_lag(context.config_database, source, days)
    changes = plan.before.lag_days != days
    if changes and not dry_run:
        context.show_plan(lag_facts(plan), yes=yes)
        context.prompts.confirm(f"Change lag_days of the archive to {days}?", yes=yes)
        if reason is None and not yes and context.prompts.somebody_is_there:
            reason = context.prompts.ask("Why (for the audit trail)") or None
        execute_lag(context.config_database, plan, actor=context.actor, reason=reason)
    payload = {
        "done": changes and not dry_run,
        "from": plan.before.lag_days,
        "to": days,
        "target_before": plan.target_before,
        "target_after": plan.target_after,
        "files": plan.files.files,
        "size_bytes": plan.files.size_bytes,
    }

    def draw(out: Console) -> None:
        if not changes:
            out.print(f"lag_days is {days} already")
        elif dry_run:
            print_facts(out, lag_facts(plan))
        else:
            out.print(f"changed: lag_days {plan.before.lag_days} → {days}")

    context.emit("watermark-lag", payload, draw)


def lag_facts(plan: LagPlan) -> list[tuple[str, object]]:
    """The plan in words."""
    words = "wait for later" if plan.lag_days > plan.before.lag_days else "may be packed now"
    return [
        ("lag", f"{plan.before.lag_days} → {numbered(plan.lag_days, 'day')}"),
        ("target", f"{utc(plan.target_before)} → {utc(plan.target_after)}"),
        ("files", f"{count(plan.files.files)} ({size(plan.files.size_bytes)}) {words}"),
    ]
