"""Moving the watermark by hand: the impact is computed first, then exactly that is done.

Order of execution, which is the safety argument:
1. the lock: no runner is at work, and none can begin;
2. the fence: a runner that was stopped in the middle can commit no more;
3. for a move forward, the skipped rows are read again: not one more or less than was confirmed;
4. one transaction: compare-and-set of the watermark, exceptions, and the event that tells why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from des_core.basics.errors import FenceLost, Refused
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered
from des_core.database.connections import Database
from des_core.database.server_settings import require_primary
from des_core.database.transaction import Transaction
from des_core.ledger.archive_table import require_same_table
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import SKIPPED, NewException, record_exceptions, resolve_range
from des_core.ledger.provenance import read_provenance, refuse_unexplained
from des_core.ledger.watermark import (
    Watermark,
    compute_target,
    move_watermark,
    read_watermark,
    set_lag_days,
    take_fence,
)
from des_core.locks.lock import Lock, hold_lock
from des_core.rows.reader import SourceReader, WindowStats


class MoveKind(StrEnum):
    """Which way the watermark moves; `back` replays files, `forward` skips them."""

    BACK = "back"
    FORWARD = "forward"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class MovePlan:
    """A move of the watermark and what it means. Computed before anybody is asked.

    `files` lie between the two positions and are replayed or skipped. `flipped_exceptions` are
    open exceptions of that range whose meaning would turn around; they are closed in the same
    transaction, because the new watermark alone then tells the truth about them. `shards` are those
    of the days concerned. `target` is where the next cycle ends. `origin` is where the watermark
    was before SQL moved it, which is then what the move counts from.
    """

    before: Watermark
    to: datetime
    kind: MoveKind
    files: WindowStats
    flipped_exceptions: int
    shards: int
    target: datetime
    forget: bool = False
    origin: datetime | None = None

    @property
    def came_from(self) -> datetime:
        return self.origin or self.before.archived_until

    @property
    def start(self) -> datetime:
        return min(self.came_from, self.to)

    @property
    def end(self) -> datetime:
        return max(self.came_from, self.to)

    @property
    def records_skipped(self) -> bool:
        """Whether the files that are skipped become exceptions."""
        return self.kind is MoveKind.FORWARD and not self.forget and self.files.files > 0


@dataclass(frozen=True)
class LagPlan:
    """A change of lag_days. `files` is what the target's move lets in or keeps out."""

    before: Watermark
    lag_days: int
    target_before: datetime
    target_after: datetime
    files: WindowStats


def plan_move(
    config: Database,
    source: SourceReader,
    to: datetime,
    *,
    expect_current: datetime | None = None,
    forget: bool = False,
    max_captured: int,
) -> MovePlan:
    """What moving to `to` would do; every count is bounded by the range between the positions.

    Raises ConfigError for a table that is not the archive's; Refused for a watermark in the
    future, another current value than expected, more skipped files than can be recorded, and one
    that SQL moved forward, unless it goes back to where it was known to be.
    """
    require_primary(source.database)
    require_same_table(source.database, source.settings.table, config)
    with config.read() as tx:
        before = read_watermark(tx)
        found = read_provenance(tx, before)
    _require_expected(before, expect_current)
    if found.known is not None and to > found.known:
        refuse_unexplained(found)
    return _plan(config, source, before, to, None, forget=forget, max_captured=max_captured)


def plan_adoption(
    config: Database, source: SourceReader, *, forget: bool = False, max_captured: int
) -> MovePlan:
    """What recording a move by SQL would do: as that move itself, made by this program."""
    require_primary(source.database)
    require_same_table(source.database, source.settings.table, config)
    with config.read() as tx:
        before = read_watermark(tx)
        found = read_provenance(tx, before)
    to, origin = before.archived_until, found.known or before.archived_until
    return _plan(config, source, before, to, origin, forget=forget, max_captured=max_captured)


def _plan(
    config: Database,
    source: SourceReader,
    before: Watermark,
    to: datetime,
    origin: datetime | None,
    *,
    forget: bool,
    max_captured: int,
) -> MovePlan:
    clock = source.clock()
    if to > clock.now:
        raise Refused(
            "the watermark cannot lie in the future: files not yet written would read as archived",
            to=format_utc(to),
            now=format_utc(clock.now),
        )
    came_from = origin or before.archived_until
    kind = _kind_of(came_from, to)
    start, end = min(came_from, to), max(came_from, to)
    files = source.stats(start, end)
    if kind is MoveKind.FORWARD and not forget and files.files > max_captured:
        raise Refused(
            f"{numbered(files.files, 'file')} skipped: more than can be recorded as exceptions",
            hint="pack them instead: des-admin run; or raise migration.max_captured; or give them "
            "up without a trace: --forget",
            limit=max_captured,
        )
    flips_when = kind is MoveKind.FORWARD
    with config.read() as tx:
        flipped = _count_flipped(tx, config, start, end, archived=flips_when)
        shards = _count_shards(tx, start, end)
    return MovePlan(
        before=before,
        to=to,
        kind=kind,
        files=files,
        flipped_exceptions=flipped,
        shards=shards,
        target=compute_target(clock.now, before.lag_days, clock.oldest_transaction),
        forget=forget,
        origin=origin,
    )


def execute_move(
    config: Database,
    source: SourceReader,
    plan: MovePlan,
    *,
    action: str,
    actor: str,
    reason: str | None,
) -> Watermark:
    """Do exactly what the plan says; the new watermark. LockHeld while a runner is at work."""
    with hold_lock(config, f"watermark {action}") as lock:
        mine = _take_over(lock, plan.before)
        skipped = _skipped_rows(source, plan) if plan.records_skipped else []
        now = datetime.now(UTC)

        def work(tx: Transaction) -> None:
            move_watermark(tx, expected=mine, to=plan.to, actor=actor, now=now)
            resolve_range(
                tx,
                start=plan.start,
                end=plan.end,
                archived=plan.kind is MoveKind.FORWARD,
                resolution=f"watermark {plan.kind}",
                now=now,
            )
            record_exceptions(tx, skipped, now=now)
            record_event(
                tx,
                action=f"watermark {action}",
                actor=actor,
                now=now,
                from_value=format_utc(plan.came_from),
                to_value=format_utc(plan.to),
                reason=reason,
                details=_details(plan),
            )

        lock.write(work)
        with config.read() as tx:
            return read_watermark(tx)


def plan_lag(config: Database, source: SourceReader, lag_days: int) -> LagPlan:
    """What another lag_days would let in or keep out; ConfigError for another table."""
    require_same_table(source.database, source.settings.table, config)
    with config.read() as tx:
        before = read_watermark(tx)
    clock = source.clock()
    old = compute_target(clock.now, before.lag_days, clock.oldest_transaction)
    new = compute_target(clock.now, lag_days, clock.oldest_transaction)
    start = max(min(old, new), before.archived_until)
    return LagPlan(before, lag_days, old, new, source.stats(start, max(old, new, start)))


def execute_lag(config: Database, plan: LagPlan, *, actor: str, reason: str | None) -> None:
    """Change lag_days and record it; refused while a runner is at work."""
    now = datetime.now(UTC)

    def work(tx: Transaction) -> None:
        set_lag_days(tx, expected=plan.before, lag_days=plan.lag_days, actor=actor, now=now)
        record_event(
            tx,
            action="watermark lag",
            actor=actor,
            now=now,
            from_value=str(plan.before.lag_days),
            to_value=str(plan.lag_days),
            reason=reason,
        )

    with hold_lock(config, "watermark lag") as lock:
        lock.write(work)


def _require_expected(before: Watermark, expected: datetime | None) -> None:
    if expected is not None and before.archived_until != expected:
        raise Refused(
            "the watermark is not where it was expected: nothing was changed",
            hint="see who moved it: des-admin watermark history",
            expected=format_utc(expected),
            found=format_utc(before.archived_until),
        )


def _kind_of(before: datetime, to: datetime) -> MoveKind:
    if to == before:
        return MoveKind.NOWHERE
    return MoveKind.BACK if to < before else MoveKind.FORWARD


def _take_over(lock: Lock, before: Watermark) -> Watermark:
    mine = lock.write(take_fence)
    if (mine.raw, mine.fence) != (before.raw, before.fence + 1):
        raise FenceLost(
            "the watermark was changed since the plan was made: nothing was changed",
            hint="run the same command again",
            planned_from=format_utc(before.archived_until),
            found=format_utc(mine.archived_until),
        )
    return mine


def _skipped_rows(source: SourceReader, plan: MovePlan) -> list[NewException]:
    """The rows to record, in memory: `max_captured` bounds them."""
    rows = list(_iterate_skipped(source, plan))
    if len(rows) != plan.files.files:
        raise Refused(
            "rows came or went since the plan was made: nothing was changed",
            hint="run the same command again",
            planned=plan.files.files,
            found=len(rows),
        )
    return rows


def _iterate_skipped(source: SourceReader, plan: MovePlan) -> Iterator[NewException]:
    for page in source.rows(plan.start, plan.end):
        for row in page:
            yield NewException.of_pending(row, SKIPPED, "skipped by an operator")


def _count_flipped(
    tx: Transaction, config: Database, start: datetime, end: datetime, *, archived: bool
) -> int:
    values = _range(config, start, end) | {"archived": archived}
    return int(tx.run("exception_count_flipped", values).scalar_one())


def _count_shards(tx: Transaction, start: datetime, end: datetime) -> int:

    values = {
        "first_day": start.astimezone(UTC).date(),
        "last_day": end.astimezone(UTC).date(),
    }
    return int(tx.run("shard_count_of_days", values).scalar_one())


def _range(config: Database, start: datetime, end: datetime) -> dict[str, object]:
    return {
        "start_at": start,
        "end_at": end,
    }


def _details(plan: MovePlan) -> dict[str, object]:
    return {
        "direction": str(plan.kind),
        "files": plan.files.files,
        "size_bytes": plan.files.size_bytes,
        "exceptions_closed": plan.flipped_exceptions,
        "skipped_recorded": plan.files.files if plan.records_skipped else 0,
        "forgotten": plan.files.files if plan.kind is MoveKind.FORWARD and plan.forget else 0,
    }
