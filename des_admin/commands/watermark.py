"""`des-admin watermark`: see it, move it, change the lag, read who did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from des_admin.commands.shared_options import DryRunOption, ReasonOption, YesOption
from des_admin.commands.watermark_move import ADOPT, MoveRequest, signed
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import print_facts
from des_admin.render.values import behind_words, utc_and_local
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    no_args_is_help=True,
    help="See the watermark, move it by hand, and read who moved it.",
)
MINUS_IS_NO_OPTION = {"ignore_unknown_options": True}

TimeArgument = Annotated[
    str,
    typer.Argument(
        metavar="TIME",
        help="2024-11-01, 2024-11-01T12:30:00Z, or -1d / +12h from the current watermark.",
    ),
]
AmountArgument = Annotated[
    str,
    typer.Argument(metavar="LENGTH|TIME", help="1d, 12h, 2w from the current one, or a time."),
]
ConfirmOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Confirm a move forward with the number of files that it skips."
    ),
]
ExpectOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only if the watermark is exactly this time."),
]
ForgetOption = Annotated[
    bool,
    typer.Option(
        "--forget",
        help="Irreversible: record no exceptions for skipped files. They count as archived, and "
        "no shard has them.",
    ),
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="watermark")


@app.command(epilog=examples("des-admin watermark show", "des-admin watermark show --output json"))
def show(ctx: typer.Context) -> None:
    """Show the watermark, the target of the next cycle, and the pending files."""
    from des_core.ledger.provenance import read_provenance
    from des_core.ledger.watermark import compute_target, read_watermark
    from des_core.locks.lock import lock_holder
    from des_core.progress.health import judge
    from des_core.rows.reader import SourceReader

    context = Context.of(ctx)
    config = context.config_database
    with config.read() as tx:
        now_is = read_watermark(tx)
        found = read_provenance(tx, now_is)
    clock = SourceReader(context.source, context.settings.database).clock()
    target = compute_target(clock.now, now_is.lag_days, clock.oldest_transaction)
    behind = max(target - now_is.archived_until, target - target)
    payload = {
        "archived_until": now_is.archived_until,
        "lag_days": now_is.lag_days,
        "target": target,
        "behind_seconds": behind,
        "fence": now_is.fence,
        "last_updated": now_is.last_updated,
        "updated_by": now_is.updated_by,
        "oldest_transaction": clock.oldest_transaction,
        "lock_holder": lock_holder(config),
        "origin": found.origin,
        "known": found.known,
        "beyond_target_seconds": max(now_is.archived_until - target, target - target),
    }

    def draw(out: Console) -> None:
        facts = [
            ("archived until", utc_and_local(now_is.archived_until)),
            ("lag", numbered(now_is.lag_days, "day")),
            ("target", utc_and_local(target)),
            ("behind", behind_words(now_is.archived_until, target)),
            ("last updated", utc_and_local(now_is.last_updated)),
            ("updated by", (now_is.updated_by or "–") if found.is_explained else found.by),
            ("fence", now_is.fence),
            ("lock", payload["lock_holder"] or "free"),
        ]
        for remark in judge(found, target, clock.now):
            facts += [("caution", remark.text), ("next", remark.hint)]
        print_facts(out, facts)

    context.emit("watermark-show", payload, draw)


@app.command(
    "set",
    context_settings=MINUS_IS_NO_OPTION,
    epilog=examples(
        "des-admin watermark set 2024-11-01 --reason 'restored backup'",
        "des-admin watermark set 2024-11-01 --dry-run",
    ),
)
def set_to(
    ctx: typer.Context,
    to: TimeArgument,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    reason: ReasonOption = None,
    expect_current: ExpectOption = None,
    forget: ForgetOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Move the watermark to a time. Back: the files are packed again; forward: they are skipped.

    Shows from, to and the files concerned, then asks. Refused while a runner is at work.
    """
    request = MoveRequest("set", to, yes, confirm, reason, expect_current, forget, dry_run)
    request.run(Context.of(ctx))


@app.command(
    context_settings=MINUS_IS_NO_OPTION,
    epilog=examples(
        "des-admin watermark rewind 1d --reason 'shards of the 7th lost'",
        "des-admin watermark rewind 2024-11-07 --yes",
    ),
)
def rewind(
    ctx: typer.Context,
    by: AmountArgument,
    yes: YesOption = False,
    reason: ReasonOption = None,
    expect_current: ExpectOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Move the watermark back: the files between are pending again, and the next cycle packs them.

    What shards already hold is found there and not packed twice.
    """
    to = signed(by, "-")
    request = MoveRequest("rewind", to, yes, None, reason, expect_current, dry_run=dry_run)
    request.run(Context.of(ctx))


@app.command(
    context_settings=MINUS_IS_NO_OPTION,
    epilog=examples(
        "des-admin watermark advance 1d --dry-run",
        "des-admin watermark advance 2024-11-08 --confirm 1234 --reason 'packed elsewhere'",
    ),
)
def advance(
    ctx: typer.Context,
    by: AmountArgument,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    reason: ReasonOption = None,
    expect_current: ExpectOption = None,
    forget: ForgetOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Move the watermark forward without packing. Dangerous: the files between are skipped.

    They become exceptions with the reason `skipped`, which nothing packs until
    `des-admin exceptions retry --only skipped`.
    """
    to = signed(by, "+")
    request = MoveRequest("advance", to, yes, confirm, reason, expect_current, forget, dry_run)
    request.run(Context.of(ctx))


@app.command(
    epilog=examples(
        "des-admin watermark adopt --dry-run",
        "des-admin watermark adopt --confirm 400 --reason 'packed elsewhere'",
        note="If SQL moved it by mistake, go back instead: des-admin watermark set TIME, with the "
        "time that `watermark show` calls known.",
    )
)
def adopt(
    ctx: typer.Context,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    reason: ReasonOption = None,
    forget: ForgetOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Say that a move of the watermark by SQL was meant, and record it.

    Files that were jumped over become exceptions with the reason `skipped`, as after `advance`.
    """
    request = MoveRequest(ADOPT, "", yes, confirm, reason, None, forget, dry_run)
    request.run(Context.of(ctx))


@app.command(epilog=examples("des-admin watermark lag 14 --reason 'late uploads'"))
def lag(
    ctx: typer.Context,
    days: Annotated[int, typer.Argument(min=0, max=36_500, help="The new lag in days.")],
    yes: YesOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change lag_days: files newer than this are not packed yet."""
    from des_admin.commands.watermark_lag import change_lag

    change_lag(Context.of(ctx), days, yes=yes, reason=reason, dry_run=dry_run)


@app.command(
    epilog=examples(
        "des-admin watermark history",
        "des-admin watermark history --check",
        "des-admin watermark history --head >> /somewhere/else/heads",
        note="A head, the number and hash of the newest event, is also kept beside the manifests, "
        "by each slice and in the log; --check compares all of them.",
    )
)
def history(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many events.")] = 20,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Verify every seal, and that the trail explains the watermark; exit 4 if not.",
        ),
    ] = False,
    head: Annotated[
        bool, typer.Option("--head", help="Print only number and hash of the newest event.")
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="HEAD", help="With --check: a head that was kept elsewhere."),
    ] = None,
) -> None:
    """Show who changed what, when and why, the newest first."""
    from des_admin.commands.trail_heads import kept_elsewhere, print_head
    from des_admin.commands.watermark_history import show_history
    from des_core.ledger.events import read_head

    context = Context.of(ctx)
    kept = kept_elsewhere(context, expect or ()) if check else []
    if head:
        with context.config_database.read() as tx:
            newest = read_head(tx)
        print_head(context, newest)
        return
    show_history(context, limit=limit, check=check, kept=kept)
