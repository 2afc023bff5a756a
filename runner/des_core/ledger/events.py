"""The audit trail: who changed what, when and why; append-only, each event sealed onto the last."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from des_core.basics.errors import TransactionConflict, UsageError
from des_core.basics.timestamps import canonical_text
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.locks.leases import TRAIL, serialize

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

NO_HASH = "0" * 64
PAGE_SIZE = 1000
# As many digits as two metrics hold; nobody finds another event with the same.
HEAD_DIGITS = 26
# How the databases name the key that keeps the chain from forking.
_LINK = ("des_archive_event_link", "prev_hash")
_HEAD = re.compile(rf"([0-9]{{1,18}}):([0-9a-f]{{{HEAD_DIGITS},64}})")


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
class Head:
    """An event that was the newest once: what is kept of the trail outside of it.

    `kept_by` says who keeps it: the trail itself, a slice, a file beside the manifests, an auditor.
    """

    event_id: int
    hash: str
    kept_by: str = "the trail"

    def __str__(self) -> str:
        return f"{self.event_id}:{self.hash}"

    def is_of(self, sealed: str) -> bool:
        """Whether this is the hash, or enough of its beginning."""
        return len(self.hash) >= HEAD_DIGITS and sealed.startswith(self.hash)


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """How far the trail holds: `broken_at` is the first event that does not fit, or None.

    `heads` were kept outside of the trail, and compared with it.
    """

    events: int
    broken_at: int | None
    problem: str | None
    heads: int = 0


def parse_head(text: str, kept_by: str) -> Head:
    """`17:9f86d0…`, as `watermark history --head` prints it, or its beginning, as metrics have it.

    UsageError where it is none.
    """
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            "not the head of a trail",
            hint=f"write it like 17:HASH, {HEAD_DIGITS} digits at least",
            value=text[:100],
        )
    return Head(int(match[1]), match[2], kept_by)


def read_head(tx: Transaction) -> Head | None:
    """The newest event; None in an empty trail."""
    row = tx.run("event_last").first()
    return None if row is None else Head(int(row.event_id), str(row.hash).strip())


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
    """Append one event in the caller's transaction: it is there exactly if the change is.

    Transactions that do so come one after another, from here to their ends: let it come late.
    """
    serialize(tx, TRAIL)
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
        if not any(name in str(exc.orig) for name in _LINK):
            raise  # a number that an event has already: its sequence is behind
        raise TransactionConflict(
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


def check_chain(tx: Transaction, kept: Iterable[Head] = ()) -> ChainCheck:
    """Walk the whole trail, compute every seal again, and compare it with heads kept elsewhere.

    Seals alone show what was altered, and not what was cut off at the end: those that every slice
    keeps are always compared, and `kept` as well.
    """
    heads = dict.fromkeys((*_heads_of_slices(tx), *kept))
    wanted: dict[int, list[Head]] = {}
    for head in heads:
        wanted.setdefault(head.event_id, []).append(head)
    previous, count = NO_HASH, 0
    for event in iterate_events(tx):
        problem = None
        if event.prev_hash != previous:
            problem = "an event before it is missing"
        elif event.hash != _seal(canonical_text(event.at), _sealed_fields(event)):
            problem = "its content was changed"
        for head in wanted.pop(event.event_id, ()):
            if problem is None and not head.is_of(event.hash):
                problem = f"it is not the event that {head.kept_by} knows by this number"
        if problem is not None:
            return ChainCheck(count, event.event_id, problem, len(heads))
        previous, count = event.hash, count + 1
    if wanted:
        first = min(wanted)
        problem = f"it is missing, and {wanted[first][0].kept_by} knows it"
        return ChainCheck(count, first, problem, len(heads))
    return ChainCheck(count, None, None, len(heads))


def _heads_of_slices(tx: Transaction) -> Iterator[Head]:
    values = {"after_id": 0, "page_size": PAGE_SIZE}
    for rows in tx.pages("slice_heads", values, after_id="slice_id"):
        for row in rows:
            yield Head(int(row.head_event), str(row.head_hash).strip(), f"slice {row.slice_id}")


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
