"""`des-admin compliance sync`: keep the column archived in step, once a night."""

from __future__ import annotations

from typing import Annotated

import typer

from des_admin.commands.migrate_request import Talk
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.options import seconds
from des_admin.render.tables import print_facts
from des_admin.render.values import count, utc

app = typer.Typer(
    no_args_is_help=True, help="Keep the column archived in step, for who must read it."
)

SleepOption = Annotated[
    float,
    typer.Option("--sleep", metavar="LENGTH", parser=seconds(0), help="Pause after each chunk."),
]
LagOption = Annotated[
    float | None,
    typer.Option(
        "--max-lag",
        metavar="LENGTH",
        parser=seconds(0),
        help="PostgreSQL: wait while a replica is further behind. Default: 10s.",
    ),
]
LoadOption = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="A query for one number: wait while it is above the limit."),
]
LimitOption = Annotated[float, typer.Option(metavar="N", help="The limit for --max-load.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="compliance")


@app.command(
    epilog=examples(
        "des-admin compliance sync",
        "des-admin compliance sync --sleep 100ms --max-lag 5s",
        note="Every night, from cron or a Kubernetes CronJob.",
    )
)
def sync(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be looked at, change nothing.")
    ] = False,
    sleep: SleepOption = 0.0,
    max_lag: LagOption = None,
    max_load: LoadOption = None,
    max_load_limit: LimitOption = 0.0,
) -> None:
    """Write into the column archived what watermark and exceptions say, in small chunks.

    Only what changed since the last time is written. `des-admin migrate pause` and `resume` work
    here, too; after a crash, run it again.
    """
    from des_core.ledger.outcomes import COMPLIANCE
    from des_core.migration.base.migration import MigrationOptions
    from des_core.migration.compliance import plan_sync, sync_flags

    context = Context.of(ctx)
    options = MigrationOptions(
        sleep_s=sleep, max_lag_s=max_lag, max_load=max_load, max_load_limit=max_load_limit
    )
    if dry_run:
        plan = plan_sync(context.settings)
        rows = "all" if plan.rows is None else count(plan.rows)
        shown = [
            ("archived up to", utc(plan.archived_until)),
            ("in step up to", utc(plan.since)),
            ("rows to look at", rows),
        ]
        planned = {"archived_until": plan.archived_until, "since": plan.since, "changed": 0}
        context.emit("compliance-sync", planned, lambda out: print_facts(out, shown))
        return
    with context.remembered(COMPLIANCE):
        report = sync_flags(
            context.settings, actor=context.actor, options=options, report=Talk(context)
        )
    facts = [
        ("archived up to", utc(report.archived_until)),
        ("in step before up to", utc(report.since)),
        ("flags changed", count(report.changed)),
    ]
    payload = {
        "archived_until": report.archived_until,
        "since": report.since,
        "changed": report.changed,
    }
    context.emit("compliance-sync", payload, lambda out: print_facts(out, facts))
