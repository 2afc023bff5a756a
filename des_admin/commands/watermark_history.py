"""The audit trail on the screen, and whether it holds and explains where the watermark is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from des_admin.context import Context
from des_admin.render.tables import Column, print_table
from des_admin.render.values import count, utc
from des_core.basics.errors import ExitCode
from des_core.basics.wording import numbered, one_or_many

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.ledger.events import ChainCheck, Event, Head
    from des_core.ledger.provenance import Provenance

EVENT_FIELDS = (
    *("event_id", "at", "actor", "action", "from_value", "to_value", "reason", "details"),
    *("prev_hash", "hash"),
)


def show_history(context: Context, *, limit: int, check: bool, kept: Sequence[Head] = ()) -> None:
    """The newest events; with `check` every seal, and the row against the trail. Exit 4 if not."""
    from des_core.ledger.events import check_chain, newest_events
    from des_core.ledger.provenance import find_provenance

    config = context.config_database
    with config.read() as tx:
        events = newest_events(tx, limit=limit)
        chain = check_chain(tx, kept) if check else None
    found = find_provenance(config) if check else None
    payload = {
        "events": [_event_json(e) for e in events],
        "chain": chain,
        "origin": None if found is None else found.origin,
    }
    context.emit("watermark-history", payload, lambda out: _draw_history(out, events, chain, found))
    if len(events) == limit and events[-1].event_id > 1:
        context.say(f"only the newest {count(limit)} are shown: raise --limit to see more")
    is_broken = chain is not None and chain.broken_at is not None
    if is_broken or (found is not None and not found.is_explained):
        context.finish(ExitCode.REFUSED)


def _event_json(event: Event) -> dict[str, Any]:
    """As recorded, with `details` as an object; as text, where somebody made another text of it."""
    details: Any = event.details
    with suppress(ValueError, RecursionError):
        details = None if event.details is None else json.loads(event.details)
    return {name: getattr(event, name) for name in EVENT_FIELDS} | {"details": details}


def _draw_history(
    out: Console, events: list[Event], chain: ChainCheck | None, found: Provenance | None
) -> None:
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
            f"the trail holds: {numbered(chain.events, 'event')}, every seal fits, "
            f"and so {one_or_many(chain.heads, 'does', 'do')} "
            f"{numbered(chain.heads, 'head')} kept elsewhere"
        )
    else:
        out.print(f"the trail is broken at event {chain.broken_at}: {chain.problem}", style="red")
    if found is not None and found.problem is not None:
        out.print(f"but {found.problem}", style="red")
        out.print(f"→ {found.hint}")
