"""Sharded workers: the buckets of an archive shared out among a fixed number of runners.

Worker `i` of `n` owns the buckets `b` with `b % n == i` and records how far it has packed them.
What holds after every transaction of ours:

1. All rows of des_archive_worker are of one layout, that is one `workers_total` and one `n_bits`,
   and there is one for each worker.
2. The watermark is the least `packed_until` of them. Whoever raises the least moves it.

Where that does not hold, somebody moved the watermark by hand: the workers begin at it again.
Each transaction locks the row of the watermark first, so workers commit one after another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from des_core.basics.errors import FenceLost
from des_core.basics.timestamps import format_utc
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored, to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import close_packed, drop_held, open_held
from des_core.ledger.watermark import Watermark, move_watermark, raise_fence, read_watermark
from des_core.rows.share import Share


@dataclass(frozen=True, slots=True)
class WorkerPosition:
    """How far a worker has packed. `raw` is the stored value, for the compare-and-set.

    `watermark` is where it was when this worker last looked.
    """

    share: Share
    packed_until: datetime
    fence: int
    raw: object
    watermark: datetime
    lag_days: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How the archive is shared out, as the table has it."""

    workers_total: int
    n_bits: int
    workers: int
    all_packed_until: datetime

    @property
    def is_complete(self) -> bool:
        return self.workers == self.workers_total

    def fits(self, share: Share) -> bool:
        """Whether a worker with that share belongs to it."""
        return (self.workers_total, self.n_bits) == (share.workers_total, share.n_bits)

    def __str__(self) -> str:
        return f"{self.workers_total} workers over 2**{self.n_bits} buckets"


def recheck_job(share: Share) -> str:
    """Under which name a worker keeps up to where it has looked for late rows."""
    return f"recheck {share}"


def read_layouts(tx: Transaction) -> list[Layout]:
    """What the table says; more than one only if somebody else wrote to it."""
    return [
        Layout(
            workers_total=int(row.workers_total),
            n_bits=int(row.n_bits),
            workers=int(row.workers),
            all_packed_until=from_stored(row.all_packed_until),
        )
        for row in tx.run("worker_layout")
    ]


def find_other_layout(config: Database, share: Share) -> Layout | None:
    """A layout that must be given up before a worker with that share can begin."""
    with config.read() as tx:
        layouts = read_layouts(tx)
    return next((layout for layout in layouts if not layout.fits(share)), None)


def read_position(config: Database, share: Share) -> datetime:
    """Where that worker would begin now; changes nothing."""
    with config.read() as tx:
        watermark = read_watermark(tx)
        layouts = read_layouts(tx)
        row = _read_row(tx, share)
    if row is None or not _holds(layouts, share, watermark):
        return watermark.archived_until
    return from_stored(row.packed_until)


def change_layout(tx: Transaction, share: Share, *, actor: str, now: datetime) -> None:
    """Share the archive out anew, in a write of whoever holds the lock alone.

    Nobody's work is lost: shards stay, and are found by whoever packs their range again.
    """
    watermark = raise_fence(tx)
    if not _holds(read_layouts(tx), share, watermark):
        _begin_anew(tx, share, watermark, actor, now)


def claim_worker(tx: Transaction, share: Share, *, actor: str, now: datetime) -> WorkerPosition:
    """Become that worker, in a write of its lock's holder; its predecessor can commit no more.

    FenceLost where the table now has another layout.
    """
    watermark = raise_fence(tx)
    layouts = read_layouts(tx)
    if any(not layout.fits(share) for layout in layouts):
        raise _other_layout(share, layouts)
    if not _holds(layouts, share, watermark):
        _begin_anew(tx, share, watermark, actor, now)
    tx.run("worker_claim", _claim(share, watermark.fence))
    row = _read_row(tx, share)
    return WorkerPosition(
        share=share,
        packed_until=from_stored(row.packed_until),
        fence=watermark.fence,
        raw=row.packed_until,
        watermark=watermark.archived_until,
        lag_days=watermark.lag_days,
    )


def confirm_worker(tx: Transaction, position: WorkerPosition) -> Watermark:
    """Begin a transaction of that worker: the watermark, locked. FenceLost if it is not ours."""
    watermark = read_watermark(tx, statement="watermark_lock")
    row = _read_row(tx, position.share)
    if row is None or int(row.fence) != position.fence or row.packed_until != position.raw:
        raise _not_mine(position)
    if not _holds(read_layouts(tx), position.share, watermark):
        raise FenceLost(
            "the watermark was changed by somebody else; nothing was written",
            hint="see who: des-admin watermark history; then run the same command again",
            found=format_utc(watermark.archived_until),
            updated_by=watermark.updated_by,
        )
    return watermark


def advance_worker(
    tx: Transaction,
    position: WorkerPosition,
    watermark: Watermark,
    *,
    to: datetime,
    actor: str,
    now: datetime,
) -> WorkerPosition:
    """Record how far the worker has packed; move the watermark if that was what held it back.

    In the transaction that `confirm_worker` began, after its exceptions were recorded as held.
    """
    values = _key(position.share) | {
        "to_value": to,
        "now": now,
        "expected": position.raw,
        "fence": position.fence,
    }
    if tx.run("worker_advance", values).rowcount != 1:
        raise _not_mine(position)
    reached = min(layout.all_packed_until for layout in read_layouts(tx))
    if reached > watermark.archived_until:
        _pass_over(tx, watermark, reached, actor=actor, now=now)
    return replace(position, packed_until=to, raw=to_stored(to, tx.dialect), watermark=reached)


def _pass_over(
    tx: Transaction,
    watermark: Watermark,
    reached: datetime,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Move the watermark, and let the exceptions between tell the truth about its new place."""
    close_packed(tx, start=watermark.archived_until, end=reached, now=now)
    open_held(tx, end=reached)
    move_watermark(tx, expected=watermark, to=reached, actor=actor, now=now)


def _holds(layouts: list[Layout], share: Share, watermark: Watermark) -> bool:
    if len(layouts) != 1:
        return False
    layout = layouts[0]
    is_whole = layout.fits(share) and layout.is_complete
    return is_whole and layout.all_packed_until == watermark.archived_until


def _begin_anew(
    tx: Transaction,
    share: Share,
    watermark: Watermark,
    actor: str,
    now: datetime,
) -> None:
    """Every worker at the watermark. What was held back below it is true and opened."""
    before = read_layouts(tx)
    open_held(tx, end=watermark.archived_until)
    dropped = drop_held(tx)
    tx.run("worker_forget")
    values = {
        "workers_total": share.workers_total,
        "n_bits": share.n_bits,
        "packed_until": watermark.archived_until,
        "fence": watermark.fence,
        "now": now,
    }
    rows: list[dict[str, object]] = [
        values | {"worker_id": worker_id} for worker_id in range(share.workers_total)
    ]
    tx.run_many("worker_add", rows)
    _forget_comparisons(tx, share, watermark, now)
    record_event(
        tx,
        action="workers begin",
        actor=actor,
        now=now,
        from_value="; ".join(map(str, before)) or None,
        to_value=share.layout,
        details={"at": format_utc(watermark.archived_until), "exceptions_dropped": dropped},
    )


def _forget_comparisons(tx: Transaction, share: Share, watermark: Watermark, now: datetime) -> None:
    """Each worker is to look for late rows from here on; what an older layout compared is past."""
    values = {"state": "done", "rows_done": 0, "rows_total": None, "details": "{}"}
    values |= {
        "cursor_created_at": watermark.archived_until,
        "now": now,
    }
    workers = (replace(share, worker_id=worker_id) for worker_id in range(share.workers_total))
    rows = [{**values, "name": recheck_job(worker)} for worker in workers]
    tx.run_many("job_write", rows)


def _read_row(tx: Transaction, share: Share) -> Any:
    return tx.run("worker_read", _key(share)).first()


def _key(share: Share) -> dict[str, object]:
    return {"worker_id": share.worker_id, "workers_total": share.workers_total}


def _claim(share: Share, fence: int) -> dict[str, object]:
    return _key(share) | {"fence": fence}


def _not_mine(position: WorkerPosition) -> FenceLost:
    return FenceLost(
        "somebody else became this worker, or the workers began anew; nothing was written",
        hint="see who: des-admin watermark history; then run the same command again",
        worker=str(position.share),
        packed_until=format_utc(position.packed_until),
    )


def _other_layout(share: Share, layouts: list[Layout]) -> FenceLost:
    return FenceLost(
        "workers of another shards_total began at the same moment",
        hint="give all workers the same database.shards_total and packer.n_bits",
        mine=share.layout,
        found="; ".join(map(str, layouts)),
    )
