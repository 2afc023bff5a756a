"""`des-admin migrate`: the plan, the way up and back, where it stands, the SQL for a DBA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.compliance import LagOption, LimitOption, LoadOption, SleepOption
from des_admin.commands.migrate_request import MigrateRequest
from des_admin.commands.shared_options import DryRunOption, ReasonOption, YesOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.migration import print_status
from des_core.basics.errors import ExitCode, UsageError
from des_core.ledger.revisions import Direction

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    help="Move from the column archived to the watermark, and back.",
)


DropOption = Annotated[
    bool,
    typer.Option(
        "--drop-archived", help="Also drop the column archived, after the pre-drop checks."
    ),
]
BackupOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The backup for the pre-drop checks; recorded in the audit trail."
    ),
]
SeedOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="The initial watermark. Default: the newest archived row.",
    ),
]
PurgeOption = Annotated[
    bool,
    typer.Option("--purge", help="Irreversible: also drop ledger, exceptions and audit trail."),
]
ConfirmOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Irreversible: with --purge, the number of files that the ledger forgets."
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        max=8,
        help="Sessions that write flags at once: faster, with more load on others.",
    ),
]
PlanOption = Annotated[
    str | None,
    typer.Option("--plan", metavar="HASH", help="Only if the plan still has this hash."),
]
DownOption = Annotated[bool, typer.Option("--down", help="The plan of the way back.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="migrate")


@app.command(
    epilog=examples(
        "des-admin migrate plan", "des-admin migrate plan --drop-archived --backup NAME"
    )
)
def plan(
    ctx: typer.Context,
    down: DownOption = False,
    drop_archived: DropOption = False,
    backup: BackupOption = None,
    seed_at: SeedOption = None,
    purge: PurgeOption = False,
) -> None:
    """Show every statement that would run, what it locks, what it costs; change nothing."""
    context = Context.of(ctx)
    request = MigrateRequest(
        Direction.DOWN if down else Direction.UP,
        drop_archived,
        backup,
        seed_at,
        purge,
        dry_run=True,
    )
    made = request.make_plan(context)
    request.emit_plan(context, made)
    if any(not finding.is_passed for finding in made.gate):
        context.finish(ExitCode.REFUSED)


@app.command(
    epilog=examples(
        "des-admin migrate up --dry-run",
        "des-admin migrate up --yes",
        "des-admin migrate up --drop-archived --backup dump-2024-12-01",
    )
)
def up(
    ctx: typer.Context,
    drop_archived: DropOption = False,
    backup: BackupOption = None,
    seed_at: SeedOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    plan_hash: PlanOption = None,
    reason: ReasonOption = None,
) -> None:
    """Create ledger, index and watermark; stop before the column archived is dropped.

    Every step looks at what is there: after a crash, run the same command again.
    """
    MigrateRequest(
        Direction.UP,
        drop_archived,
        backup,
        seed_at,
        dry_run=dry_run,
        yes=yes,
        plan_hash=plan_hash,
        reason=reason,
    ).run(Context.of(ctx))


@app.command(epilog=examples("des-admin migrate down --dry-run", "des-admin migrate down --yes"))
def down(
    ctx: typer.Context,
    purge: PurgeOption = False,
    confirm: ConfirmOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    plan_hash: PlanOption = None,
    reason: ReasonOption = None,
    sleep: SleepOption = 0.0,
    max_lag: LagOption = None,
    max_load: LoadOption = None,
    max_load_limit: LimitOption = 0.0,
    jobs: JobsOption = 1,
) -> None:
    """Write what is archived into the column archived, then retire the watermark.

    Ledger, exceptions and audit trail stay, unless --purge, which wants the number of files in the
    ledger, typed or as --confirm N. After a crash, run it again.
    """
    MigrateRequest(
        Direction.DOWN,
        purge=purge,
        confirm=confirm,
        dry_run=dry_run,
        yes=yes,
        plan_hash=plan_hash,
        reason=reason,
        sleep_s=sleep,
        max_lag_s=max_lag,
        max_load=max_load,
        max_load_limit=max_load_limit,
        sessions=jobs,
    ).run(Context.of(ctx))


@app.command(epilog=examples("des-admin migrate pause"))
def pause(ctx: typer.Context) -> None:
    """Let the rollback or the compliance sync that runs elsewhere wait after its next chunk."""
    _change_state(Context.of(ctx), "running", "paused")


@app.command(epilog=examples("des-admin migrate resume"))
def resume(ctx: typer.Context) -> None:
    """Let a paused rollback or compliance sync go on."""
    _change_state(Context.of(ctx), "paused", "running")


def _change_state(context: Context, expected: str, state: str) -> None:
    from des_core.basics.errors import Refused
    from des_core.migration.state.flag_jobs import change_flag_jobs

    changed = change_flag_jobs(context.config_database, expected, state, context.now)
    if not changed:
        raise Refused(
            f"no job is {expected}: nothing was changed",
            hint="see what is at work: des-admin migrate status",
        )
    payload = {"jobs": changed, "state": state}
    text = f"{', '.join(changed)}: {state}"
    context.emit("migrate-job", payload, lambda out: out.print(text, markup=False))


@app.command(epilog=examples("des-admin migrate status", "des-admin migrate status --output json"))
def status(ctx: typer.Context) -> None:
    """Show revisions, watermark, exceptions, and who is at work."""
    from des_core.migration.status import read_status

    context = Context.of(ctx)
    found = read_status(context.settings)

    def draw(out: Console) -> None:
        print_status(out, found)

    payload = {"is_at_watermark": found.is_at_watermark, "status": found}
    context.emit("migrate-status", payload, draw)


@app.command(
    epilog=examples(
        "des-admin migrate sql | psql -X -v ON_ERROR_STOP=1 archive_db",
        "des-admin migrate sql down --drop-archived --database source > back.sql",
    )
)
def sql(
    ctx: typer.Context,
    direction: Annotated[Direction, typer.Argument(help="The way up, or the way back.")] = (
        Direction.UP
    ),
    drop_archived: Annotated[
        bool, typer.Option("--drop-archived", help="With the step that drops the column.")
    ] = False,
    seed_at: SeedOption = None,
    purge: PurgeOption = False,
    database: Annotated[
        str | None, typer.Option(metavar="source|config", help="Only the script of one database.")
    ] = None,
) -> None:
    """Print the migrations as a script for a DBA, for psql, mariadb or sqlite3.

    It has the same result as running them. If the watermark lives in a database of its own,
    there are two scripts, in the order in which to run them.
    """
    from des_core.migration.apply import make_scripts

    context = Context.of(ctx)
    request = MigrateRequest(direction, drop_archived, None, seed_at, purge)
    scripts = make_scripts(
        context.settings,
        direction=direction,
        actor=context.actor,
        options=request.options(context),
    )
    chosen = [script for script in scripts if database is None or database in script.place]
    if not chosen:
        raise UsageError("--database wants source or config")

    def draw(out: Console) -> None:
        for script in chosen:
            # Printed as it is: nothing in SQL may be wrapped, cut or escaped.
            out.file.write(script.text)

    context.emit("migrate-sql", {"direction": direction, "scripts": chosen}, draw)
