"""`des-admin lock`: who may write now and until when, and how to take it from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from des_admin.commands.shared_options import ReasonOption, YesOption
from des_admin.context import Context
from des_admin.help_text import examples
from des_admin.render.tables import Column, print_table
from des_admin.render.values import utc
from des_core.basics.durations import ago, spoken
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from des_core.locks.leases import Holder

app = typer.Typer(
    no_args_is_help=True,
    help="Who may write now and until when; take it from somebody who is gone.",
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="lock")


@app.command(epilog=examples("des-admin lock show", "des-admin lock show --output json"))
def show(ctx: typer.Context) -> None:
    """Show who holds the lock, since when, the last heartbeat, and when it expires."""
    from des_core.locks.lock import find_holders

    context = Context.of(ctx)
    holders = find_holders(context.config_database)
    payload = {"holders": [_payload(holder) for holder in holders]}
    context.emit("lock-show", payload, lambda out: _draw(out, holders))


@app.command(
    "break",
    epilog=examples(
        "des-admin lock break",
        "des-admin lock break --worker 3 --yes --reason 'its node is down'",
        note="A dead holder gives way by itself: at once if it ran on this machine, else when its "
        "lease expires, within a minute. A holder that is still alive can commit nothing more, "
        "and ends with exit code 11.",
    ),
)
def break_lock(
    ctx: typer.Context,
    worker: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Only the lock of this sharded worker.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the holders, change nothing.")
    ] = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
) -> None:
    """Take the lock away from whoever holds it."""
    from des_core.ledger.lock_edits import end_leases
    from des_core.locks.leases import worker_lease
    from des_core.locks.lock import find_holders

    context = Context.of(ctx)
    holders = [
        holder
        for holder in find_holders(context.config_database)
        if worker is None or holder.lease.name == worker_lease(worker)
    ]
    if dry_run:
        context.emit("lock-break", {"broken": []}, lambda out: _draw(out, holders))
        return
    if holders:
        if not context.wants_json:
            _draw(context.talk, holders)
        context.prompts.confirm(f"Break {numbered(len(holders), 'lock')}?", yes=yes)
        end_leases(context.config_database, holders, actor=context.actor, reason=reason)
    payload = {"broken": [_payload(holder) for holder in holders]}

    def draw(out: Console) -> None:
        out.print(f"taken away: {len(holders)}" if holders else "free already: nothing was done")

    context.emit("lock-break", payload, draw)


def _payload(holder: Holder) -> dict[str, Any]:
    lease = holder.lease
    return {
        "lease": lease.name,
        "purpose": lease.purpose,
        "host": lease.process.host,
        "pid": lease.process.pid,
        "since": holder.since,
        "heartbeat_at": holder.heartbeat_at,
        "heartbeat_age_s": round(holder.heartbeat_age.total_seconds(), 3),
        "expires_at": holder.expires_at,
        "expires_in_s": round(holder.expires_in.total_seconds(), 3),
        "state": holder.state,
    }


def _draw(out: Console, holders: Sequence[Holder]) -> None:
    if not holders:
        out.print("free: nobody is at work")
        return
    columns = [
        *(Column("lease"), Column("who"), Column("since", wraps=False)),
        *(Column("heartbeat", numeric=True), Column("expires in", numeric=True), Column("state")),
    ]
    rows = [
        (
            holder.lease.name,
            f"{holder.lease.purpose} on {holder.lease.process.host}, "
            f"pid {holder.lease.process.pid}",
            utc(holder.since),
            ago(holder.heartbeat_age),
            spoken(holder.expires_in) if holder.expires_in else "–",
            holder.state,
        )
        for holder in holders
    ]
    print_table(out, columns, rows)
