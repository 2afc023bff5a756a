"""Where the watermark came from: the row itself against the newest position that the trail knows.

SQL by hand is allowed, and leaves no event. What it did is told from the two positions:

- moved forward: the files between were skipped, and nobody was asked. Nothing packs on, and nothing
  is written into flags, until somebody says which it is: `watermark set` back to where packing
  ended, or `watermark adopt`.
- moved back: a replay. The next run records it, and closes the exceptions that would flip.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from des_core.basics.errors import Refused, WrongSchema
from des_core.basics.timestamps import format_utc, parse_stored
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored, optional_from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import resolve_range
from des_core.ledger.jobs import SEED_JOB
from des_core.ledger.watermark import Watermark, read_watermark

REPLAY = "watermark replay"
ADOPT_HINT = (
    "if it was a mistake: des-admin watermark set {known}; if it was meant: des-admin watermark "
    "adopt --reason TEXT"
)


class Origin(StrEnum):
    """How the row stands to the trail."""

    EXPLAINED = "explained"
    FORWARD = "moved forward"
    BACK = "moved back"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The watermark, and the position that trail or seed explain. `known_at` is when, by `actor`.

    `known` is None where neither says anything.
    """

    watermark: datetime
    known: datetime | None
    event_id: int | None = None
    action: str | None = None
    actor: str | None = None
    known_at: datetime | None = None

    @property
    def origin(self) -> Origin:
        if self.known is None:
            return Origin.UNKNOWN
        if self.known == self.watermark:
            return Origin.EXPLAINED
        return Origin.FORWARD if self.watermark > self.known else Origin.BACK

    @property
    def is_explained(self) -> bool:
        return self.origin is Origin.EXPLAINED

    @property
    def by(self) -> str:
        """Who put it where it is known to have been; nobody is known for a move by SQL."""
        return "SQL, outside of this program" if self._is_moved else (self.actor or "–")

    @property
    def problem(self) -> str | None:
        """What is wrong, in one line; None where it is explained."""
        if self.known is None:
            return "no record of the trail or the cutover explains the watermark"
        if not self._is_moved:
            return None
        return (
            f"the watermark was {self.origin} by SQL, from {format_utc(self.known)} to "
            f"{format_utc(self.watermark)}: {self._meaning}"
        )

    def future(self, now: datetime) -> str | None:
        """The problem in words where it lies in the future, which nobody can have meant."""
        if self.watermark <= now:
            return None
        at = format_utc(self.watermark)
        return f"the watermark {at} lies in the future: files yet to come would read as archived"

    @property
    def set_hint(self) -> str:
        """How to go back to where packing ended."""
        known = "TIME" if self.known is None else format_utc(self.known)
        return f"set it back to where packing ended: des-admin watermark set {known}"

    @property
    def hint(self) -> str | None:
        """The next command; None where it is explained."""
        if self.origin is Origin.FORWARD and self.known is not None:
            return ADOPT_HINT.format(known=format_utc(self.known))
        if self.origin is Origin.BACK:
            return "the files between are packed again, and the move recorded, by: des-admin run"
        return None if self.is_explained else "des-admin watermark adopt --reason TEXT"

    @property
    def _is_moved(self) -> bool:
        return self.origin in (Origin.FORWARD, Origin.BACK)

    @property
    def _meaning(self) -> str:
        if self.origin is Origin.FORWARD:
            return "files between read as archived, and nobody has packed them"
        return "files between wait again"


def read_provenance(tx: Transaction, watermark: Watermark | None = None) -> Provenance:
    """Compare; changes nothing."""
    found = watermark or read_watermark(tx)
    event = tx.run("event_last_position").first()
    if event is None or event.to_value is None:
        return Provenance(
            found.archived_until,
            _seed_position(tx),
        )
    try:
        known = parse_stored(event.to_value)
    except ValueError:  # somebody wrote into the trail, which then explains nothing
        return Provenance(found.archived_until, None)
    return Provenance(
        found.archived_until,
        known,
        int(event.event_id),
        event.action,
        event.actor,
        from_stored(event.at),
    )


def find_provenance(config: Database) -> Provenance | None:
    """The same, or None where there is no watermark: before the cutover, after a rollback."""
    try:
        with config.read() as tx:
            return read_provenance(tx)
    except WrongSchema:
        return None


def require_explained(config: Database) -> Provenance:
    """Refused where the watermark was moved forward and nobody has said what that means."""
    with config.read() as tx:
        found = read_provenance(tx)
    refuse_unexplained(found)
    return found


def refuse_future(found: Provenance, now: datetime) -> None:
    """Refused for a watermark that lies in the future."""
    problem = found.future(now)
    if problem is not None:
        raise Refused(f"{problem}; nothing was changed", hint=found.set_hint)


def refuse_unexplained(found: Provenance | None) -> None:
    """Refused for a move forward: the rows between would be lost from sight."""
    if found is not None and found.origin is Origin.FORWARD:
        raise Refused(f"{found.problem}; nothing was changed", hint=found.hint)


def record_replay(tx: Transaction, found: Provenance, *, actor: str, now: datetime) -> None:
    """In the transaction of a writer that has confirmed itself: a move back becomes an event.

    Open exceptions above the watermark would read as archived: their rows are plainly pending.
    """
    if found.origin is not Origin.BACK or found.known is None:
        return
    closed = resolve_range(
        tx,
        start=found.watermark,
        end=found.known,
        archived=False,
        resolution="watermark back",
        now=now,
    )
    record_event(
        tx,
        action=REPLAY,
        actor=actor,
        now=now,
        from_value=format_utc(found.known),
        to_value=format_utc(found.watermark),
        reason="found moved back by SQL",
        details={"exceptions_closed": closed},
    )


def _seed_position(tx: Transaction) -> datetime | None:
    """Where a migration without the program (`migrate sql`) left the watermark."""
    row = tx.run("job_read", {"name": SEED_JOB}).first()
    return None if row is None else optional_from_stored(row.cursor_created_at)
