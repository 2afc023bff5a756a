"""The audit trail: who changed what, when and why; append-only, each event sealed onto the last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from des_core.basics.errors import Refused
from des_core.basics.timestamps import canonical_text
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

NO_HASH = "0" * 64
PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `details` is what the action wanted remembered, as JSON text."""

    event_id: int
    at: datetime
    actor: str
    action: str
    from_value: str | None
    to_value: str | None
    reason: str | None
    details: str | None
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """How far the trail holds: `broken_at` is the first event that does not fit, or None."""

    events: int
    broken_at: int | None
    problem: str | None


def record_event(
    tx: Transaction,
    *,
    action: str,
    actor: str,
    now: datetime,
    from_value: str | None = None,
    to_value: str | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append one event in the caller's transaction: it is there exactly if the change is."""
    last = tx.run("event_last").first()
    values = {
        "actor": actor[:200],
        "action": action,
        "from_value": from_value,
        "to_value": to_value,
        "reason": reason,
        "details": None if details is None else _json(details),
        "prev_hash": NO_HASH if last is None else last.hash,
    }
    values["hash"] = _seal(canonical_text(now), values)
    values["at"] = now
    try:
        tx.run("event_add", values)
    except IntegrityError as exc:
        raise Refused(
            "another event was recorded at the same moment; nothing was changed",
            hint="run the same command again",
            action=action,
        ) from exc


def newest_events(tx: Transaction, *, limit: int) -> list[Event]:
    """The newest `limit` events, newest first."""
    return [_event(row) for row in tx.run("event_newest", {"page_size": limit})]


def iterate_events(tx: Transaction) -> Iterator[Event]:
    """All events, oldest first, in pages."""
    values = {"after_id": 0, "page_size": PAGE_SIZE}
    for rows in tx.pages("event_page", values, after_id="event_id"):
        yield from map(_event, rows)


def check_chain(tx: Transaction) -> ChainCheck:
    """Walk the whole trail and compute every seal again."""
    previous, count = NO_HASH, 0
    for event in iterate_events(tx):
        if event.prev_hash != previous:
            return ChainCheck(count, event.event_id, "an event before it is missing")
        if event.hash != _seal(canonical_text(event.at), _sealed_fields(event)):
            return ChainCheck(count, event.event_id, "its content was changed")
        previous, count = event.hash, count + 1
    return ChainCheck(count, None, None)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _sealed_fields(event: Event) -> dict[str, str | None]:
    names = ("actor", "action", "from_value", "to_value", "reason", "details", "prev_hash")
    return {name: getattr(event, name) for name in names}


def _seal(at: str, fields: Mapping[str, str | None]) -> str:
    return hashlib.sha256(_json({"at": at, **fields}).encode()).hexdigest()


def _event(row: Row[Any]) -> Event:
    fields = dict(row._mapping)
    fields["at"] = from_stored(fields["at"])
    return Event(**fields)
