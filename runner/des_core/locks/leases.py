"""Leases: rows of des_archive_lease that say who may write, and until when.

`writer` is the lease of whoever must be alone, `worker-N` that of a sharded worker. All times are
the database's. A lease is taken over at once where its holder is a process of this machine that is
gone, else once it has expired. Nothing hangs on a session, so a pooler, a cluster and a lost host
are all the same.

Every change of a row raises its `beat`. Whoever takes a lease, also a worker's, first keeps the
row `writer` as it was seen: so takers come one after another, on a cluster too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from des_core.basics.durations import ago, spoken
from des_core.basics.errors import TransactionConflict
from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import format_utc
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.locks.processes import Process, is_gone

LEASE_TABLE = "des_archive_lease"
LEASE = timedelta(seconds=60)
HEARTBEAT_S = 10.0
# Heartbeats may fail for a while; after so many seconds somebody should look.
LATE_AFTER = timedelta(seconds=3 * HEARTBEAT_S)
# Nobody is given a lease for longer than LEASE. One that ends later was given by a clock that was
# ahead, before it was set back or another server took over.
CLOCK_SLACK = timedelta(seconds=5)
# How long to wait for others who have changed a row of the table and do not commit.
LONGEST_WAIT_MS = 10_000
WRITER = "writer"
_WORKER = "worker-"
# Leases of this process that it could not give back, by token: their jobs have ended.
_given_up: set[str] = set()
# Nobody holds it: transactions that record an event change it first, so that none forks the chain.
TRAIL = "trail"


@dataclass(frozen=True, slots=True)
class Lease:
    """What somebody takes or holds. `token` is what proves that it is still theirs."""

    name: str
    token: str
    purpose: str
    process: Process

    @property
    def job(self) -> str:
        """The command of that purpose, whichever sharded worker it is."""
        return self.purpose.partition(" worker ")[0]

    def excludes(self, name: str) -> bool:
        """Whether that lease cannot be held beside this one."""
        return WRITER in (self.name, name) or self.name == name


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as one look at the table saw it; `now` is the database's clock then."""

    lease: Lease
    since: datetime
    heartbeat_at: datetime
    expires_at: datetime
    now: datetime
    beat: int

    @property
    def heartbeat_age(self) -> timedelta:
        return self.now - self.heartbeat_at

    @property
    def expires_in(self) -> timedelta:
        return max(min(self.expires_at - self.now, LEASE), timedelta())

    @property
    def is_ahead(self) -> bool:
        """Whether the clock was ahead that gave it, and has been set back since."""
        return self.expires_at - self.now > LEASE + CLOCK_SLACK

    @property
    def is_late(self) -> bool:
        """Whether its heartbeat is overdue, or was the last before the clock was set back."""
        return not -CLOCK_SLACK <= self.heartbeat_age <= LATE_AFTER

    @property
    def is_gone(self) -> bool:
        """Whether it is a process of this machine that has ended."""
        return is_gone(self.lease.process)

    @property
    def is_given_up(self) -> bool:
        """Whether a job of this very process had it, which ended while the database was away."""
        return self.lease.token in _given_up

    @property
    def gives_way(self) -> bool:
        """Whether somebody else may take the lease."""
        return self.expires_at < self.now or self.is_gone or self.is_given_up

    @property
    def state(self) -> str:
        """`alive`, `late` with its heartbeat, `expired`, or `gone`: its process has ended."""
        if self.is_gone:
            return "gone"
        if self.expires_at < self.now:
            return "expired"
        return "late" if self.is_late else "alive"

    def __str__(self) -> str:
        who, process = self.lease, self.lease.process
        worker = "" if who.name == WRITER else f" ({who.name})"
        ends = self.expires_in
        return (
            f"des-admin {who.purpose}{worker} on {process.host}, pid {process.pid}, "
            f"since {format_utc(self.since)}, "
            f"last heartbeat {ago(self.heartbeat_age)}, "
            f"{f'expires in {spoken(ends)}' if ends else 'expired'}"
        )


@dataclass(frozen=True, slots=True)
class Taking:
    """One try to take a lease: who is in the way, or whose lease ended because they are gone."""

    in_the_way: tuple[Holder, ...] = ()
    taken_from: tuple[Holder, ...] = ()


def worker_lease(worker: int) -> str:
    """The name of a sharded worker's lease."""
    return f"{_WORKER}{worker}"


def worker_of(name: str) -> int:
    """The sharded worker with that lease; 0 for whoever is alone."""
    return int(name.removeprefix(_WORKER)) if name.startswith(_WORKER) else 0


def read_holders(tx: Transaction) -> list[Holder]:
    """Everybody who holds a lease, expired or not."""
    now = database_now(tx)
    return [_holder(row, now) for row in tx.run("lease_rows") if row.token]


def take_lease(tx: Transaction, lease: Lease) -> Taking:
    """Take it, in a transaction of its own, unless somebody is in the way.

    TransactionConflict where somebody else was at it at the same moment: try again.
    """
    now = database_now(tx)
    rows = {row.name: row for row in tx.run("lease_rows")}
    held = [_holder(row, now) for row in rows.values() if row.token and lease.excludes(row.name)]
    in_the_way = tuple(holder for holder in held if not holder.gives_way)
    _bound_wait(tx)
    if in_the_way:
        for holder in in_the_way:
            if holder.is_ahead:  # as if its last heartbeat was now: the next one is due like any
                renew_lease(tx, holder.lease)
        return Taking(in_the_way)
    if TRAIL not in rows:
        keep_row(tx, TRAIL, None, now)
    for name in dict.fromkeys((WRITER, *(holder.lease.name for holder in held), lease.name)):
        keep_row(tx, name, rows.get(name), now)
    for holder in held:
        end_lease(tx, holder.lease, now)
    values = {"purpose": lease.purpose, "token": lease.token, "name": lease.name}
    values |= {"host": lease.process.host, "process": lease.process.mark}
    tx.run("lease_take", {**values, "pid": lease.process.pid, **_times(now)})
    return Taking(taken_from=tuple(held))


def _bound_wait(tx: Transaction) -> None:
    """Whoever stands still with a row of the table is not waited for without end.

    MySQL and SQLite bound the wait for a row by themselves; PostgreSQL does not.
    """
    if tx.dialect is Dialect.POSTGRES:
        tx.run("migration_lock_timeout", {"timeout_ms": LONGEST_WAIT_MS})


def keep_row(tx: Transaction, name: str, row: Any, now: datetime) -> None:
    """Lock a row until the transaction ends, as it was seen; make it where it was not there."""
    if row is None:
        try:
            tx.run("lease_add", {"name": name, "now": now})
        except IntegrityError as exc:
            raise TransactionConflict("somebody else began at the same moment") from exc
    elif tx.run("lease_touch", {"name": name, "beat": row.beat}).rowcount != 1:
        raise TransactionConflict("somebody else took a lease at the same moment", lease=name)


def renew_lease(tx: Transaction, lease: Lease) -> bool:
    """A heartbeat; False where the lease is no longer ours."""
    values = {"name": lease.name, "token": lease.token, **_times(database_now(tx))}
    return tx.run("lease_renew", values).rowcount == 1


def prove_lease(tx: Transaction, lease: Lease, commit_id: str) -> bool:
    """Whether the lease is ours; if so, nobody can take it before this transaction has ended.

    `commit_id` stays in the row exactly if the transaction is committed.
    """
    values = {"name": lease.name, "token": lease.token, "commit_id": commit_id}
    return tx.run("lease_prove", values).rowcount == 1


def end_lease(tx: Transaction, lease: Lease, now: datetime) -> bool:
    """Whether it was still held so, and now is not."""
    values = {"name": lease.name, "token": lease.token, "now": now}
    return tx.run("lease_end", values).rowcount == 1


def give_up(lease: Lease) -> None:
    """Remember that this process has ended its job, and the database could not be told."""
    _given_up.add(lease.token)


def serialize(tx: Transaction, name: str) -> None:
    """Let transactions that do so with one name come one after another, until each has ended."""
    _bound_wait(tx)
    if tx.run("lease_lock", {"name": name}).rowcount:
        return
    try:
        with tx.connection.begin_nested():
            tx.run("lease_add", {"name": name, "now": database_now(tx)})
    except IntegrityError:
        tx.run("lease_lock", {"name": name})


def database_now(tx: Transaction) -> datetime:
    """The database's clock, by which leases expire."""
    return from_stored(tx.run("source_now").scalar_one())


def read_lease_row(tx: Transaction, name: str) -> Any:
    """One row as it is stored; None where there is none."""
    rows: Sequence[Any] = tx.run("lease_rows").all()
    return next((row for row in rows if row.name == name), None)


def _times(now: datetime) -> dict[str, datetime]:
    return {"now": now, "expires_at": now + LEASE}


def _holder(row: Any, now: datetime) -> Holder:
    process = Process(row.host, int(row.pid), row.process)
    return Holder(
        lease=Lease(row.name, row.token, row.purpose, process),
        since=from_stored(row.acquired_at),
        heartbeat_at=from_stored(row.heartbeat_at),
        expires_at=from_stored(row.expires_at),
        now=now,
        beat=int(row.beat),
    )
