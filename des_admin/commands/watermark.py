"""`des-admin watermark`: see it, move it, change the lag, read who did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from des_admin.commands.trail_heads import kept_elsewhere, print_head
from des_admin.commands.watermark_move import MoveRequest, signed
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, duration, utc, utc_and_local
from des_core.basics.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.ledger.events import ChainCheck, Event

app = typer.Typer(
    no_args_is_help=True,
    help="See the watermark, move it by hand, and read who moved it.",
)
EVENT_FIELDS = (
    *("event_id", "at", "actor", "action", "from_value", "to_value", "reason", "details"),
    *("prev_hash", "hash"),
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
    typer.Argument(metavar="AMOUNT|TIME", help="1d, 12h, 2w from the current one, or a time."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ConfirmOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="The number of files that a move forward skips, as confirmation."
    ),
]
ReasonOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Why; goes into the audit trail.")
]
ExpectOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Do it only if the watermark stands exactly here."),
]
ForgetOption = Annotated[
    bool,
    typer.Option(
        "--forget",
        help="Do not record skipped files as exceptions: they then read as archived although no "
        "shard has them.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="watermark")


@app.command(epilog=examples("des-admin watermark show", "des-admin watermark show --output json"))
def show(ctx: typer.Context) -> None:
    """Show the watermark, the target of the next cycle, and what lies between."""
    from des_core.ledger.watermark import compute_target, read_watermark
    from des_core.locks.lock import lock_holder
    from des_core.rows.reader import SourceReader

    context = Context.of(ctx)
    config = context.config_database
    with config.read() as tx:
        now_is = read_watermark(tx)
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
    }

    def draw(out: Console) -> None:
        facts = [
            ("archived until", utc_and_local(now_is.archived_until)),
            ("lag", f"{now_is.lag_days} days"),
            ("target", utc_and_local(target)),
            ("behind", duration(behind) if behind else "nothing: caught up"),
            ("last updated", utc_and_local(now_is.last_updated)),
            ("updated by", now_is.updated_by or "–"),
            ("fence", now_is.fence),
            ("lock", payload["lock_holder"] or "free"),
        ]
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
    """Move the watermark to a time. Back replays files; forward skips them.

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
    """Move the watermark back: the files between are pending again and the next cycle replays them.

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
    `des-admin exceptions retry --reason skipped`.
    """
    to = signed(by, "+")
    request = MoveRequest("advance", to, yes, confirm, reason, expect_current, forget, dry_run)
    request.run(Context.of(ctx))


@app.command(epilog=examples("des-admin watermark lag 14 --reason 'late uploads'"))
def lag(
    ctx: typer.Context,
    days: Annotated[int, typer.Argument(min=0, max=36_500, help="The new lag in days.")],
    yes: YesOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change lag_days: files younger than this are left alone."""
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
        bool, typer.Option("--check", help="Verify the seal of every event; exit 4 if one broke.")
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
    from des_core.ledger.events import check_chain, newest_events, read_head

    context = Context.of(ctx)
    config = context.config_database
    kept = kept_elsewhere(context, expect or ()) if check else []
    with config.read() as tx:
        newest = read_head(tx)
        events = [] if head else newest_events(tx, limit=limit)
        chain = check_chain(tx, kept) if check else None
    if head:
        print_head(context, newest)
        return
    payload: dict[str, Any] = {"events": [_event_json(e) for e in events], "chain": chain}
    context.emit("watermark-history", payload, lambda out: _draw_history(out, events, chain))
    if len(events) == limit and events[-1].event_id > 1:
        context.say(f"only the newest {count(limit)} are shown: raise --limit to see more")
    if chain is not None and chain.broken_at is not None:
        context.finish(ExitCode.REFUSED)


def _event_json(event: Event) -> dict[str, Any]:
    """As recorded, with `details` as an object."""
    details = None if event.details is None else json.loads(event.details)
    return {name: getattr(event, name) for name in EVENT_FIELDS} | {"details": details}


def _draw_history(out: Console, events: list[Event], chain: ChainCheck | None) -> None:
    columns = [
        Column("#", numeric=True),
        Column("when", wraps=False),
        Column("who"),
        Column("what"),
        Column("from"),
        Column("to"),
        Column("why"),
    ]
    rows = [
        (e.event_id, utc(e.at), e.actor, e.action, e.from_value, e.to_value, e.reason)
        for e in events
    ]
    print_table(out, columns, rows)
    if chain is None:
        return
    if chain.broken_at is None:
        out.print(
            f"the trail holds: {count(chain.events)} events, every seal fits, "
            f"and so do {count(chain.heads)} heads that are kept elsewhere"
        )
    else:
        out.print(f"the trail is broken at event {chain.broken_at}: {chain.problem}", style="red")
