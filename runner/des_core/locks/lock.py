"""Who may write: a lease in the config database, and the gate through which every write goes.

Either one holder is alone (a single runner, an edit, a migration), or sharded workers are at work,
each index once. The order of a write, which is the safety argument:

1. the lease is looked at: who lost it does no more;
2. the work is done, in one transaction;
3. the last statement of that transaction proves the lease. From then on nobody can take it before
   the transaction has ended; where somebody already has, nothing is committed;
4. a commit that got no answer is looked up in the lease's row.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from des_core.basics.durations import spoken
from des_core.basics.errors import (
    DatabaseUnreachable,
    DesError,
    ExitCode,
    FenceLost,
    LockHeld,
    TransactionConflict,
)
from des_core.basics.identifiers import Dialect
from des_core.database.connections import Database
from des_core.database.retrying import retry_conflicts
from des_core.database.transaction import Transaction
from des_core.locks.leases import (
    HEARTBEAT_S,
    WRITER,
    Holder,
    Lease,
    Taking,
    database_now,
    end_lease,
    give_up,
    prove_lease,
    read_holders,
    read_lease_row,
    renew_lease,
    take_lease,
    worker_lease,
    worker_of,
)
from des_core.locks.lookup import was_committed
from des_core.locks.processes import this_process
from des_core.locks.table import has_lease_table, make_lease_table

POLL_S = 0.2
# How long a worker waits for others that begin at the same moment.
REGISTERING_S = 5.0
# A heartbeat does not wait longer for SQLite's lock: while it waits to commit, no reader begins.
BUSY_HEARTBEAT_S = 0.5

# A connection that was cut off is no reason to keep others waiting for the expiry.
RELEASE_TRIES = 2

T = TypeVar("T")


@dataclass
class Lock:
    """A lease that is held. `write` is the one way to change what it guards."""

    config: Database
    lease: Lease
    _renewed_at: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """FenceLost where the lease is no longer ours: before what no transaction can guard."""
        self.keep()
        with self.config.read() as tx:
            self._require_ours(tx)

    def keep(self) -> None:
        """Renew it where no thread of ours does: on a connection that was handed in."""
        if self.config.shared_connection and time.monotonic() - self._renewed_at >= HEARTBEAT_S:
            self.renew()

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in one transaction that proves the lease; what it returned, once committed.

        `work` may run several times: where another transaction was in the way, all of it was
        undone. FenceLost, and nothing written, where the lease is somebody else's.
        """
        return retry_conflicts(lambda: self._try_write(work))

    def write_in(
        self, database: Database, work: Callable[[Transaction], T], *, is_ddl: bool = False
    ) -> T:
        """Try `work` once, in one transaction of any database; see `write`.

        Two databases cannot commit as one, and MySQL commits DDL by itself. So the lease's row is
        kept by a transaction of its own until that of `work` has ended.
        """
        commits_early = is_ddl and database.dialect is Dialect.MYSQL
        if database is self.config and not commits_early:
            return self._try_write(work)
        with ExitStack() as kept, database.write() as tx:
            if is_ddl:
                kept.enter_context(self.kept())
            result = work(tx)
            if not is_ddl:
                kept.enter_context(self.kept())
        return result

    def renew(self) -> None:
        """One heartbeat. What the database cannot do now, it may do at the next one."""
        with suppress(DesError), self.config.write(busy_timeout_s=BUSY_HEARTBEAT_S) as tx:
            renew_lease(tx, self.lease)
            self._renewed_at = time.monotonic()

    def release(self) -> None:
        """Give it back; where that fails, it expires by itself, and we wait for it no longer."""
        for _ in range(RELEASE_TRIES):
            with suppress(DesError):
                with self.config.write() as tx:
                    end_lease(tx, self.lease, database_now(tx))
                return
        give_up(self.lease)

    def _try_write(self, work: Callable[[Transaction], T]) -> T:
        commit_id = ""
        try:
            with self.config.write() as tx:
                self._require_ours(tx)
                result = work(tx)
                commit_id = self._prove(tx)
        except (FenceLost, TransactionConflict):
            raise
        except DatabaseUnreachable:
            if not commit_id or not was_committed(self.config, self.lease, commit_id):
                raise
        except DesError:
            # What the new holder wrote may have been in the way of what we would have.
            self.check()
            raise
        return result

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Nobody can take the lease while the block lasts: for a write elsewhere. Keep it short."""
        with self.config.write() as tx:
            self._prove(tx)
            yield

    def _prove(self, tx: Transaction) -> str:
        commit_id = uuid.uuid4().hex
        if not prove_lease(tx, self.lease, commit_id):
            self._require_ours(tx)
        return commit_id

    def _require_ours(self, tx: Transaction) -> None:
        row = read_lease_row(tx, self.lease.name)
        if row is None or row.token != self.lease.token:
            raise FenceLost(
                "the lock was lost while the job ran; nothing more was written",
                hint="see who took it: des-admin lock show; then run the same command again",
                lost=self.lease.purpose,
                holder="; ".join(map(str, read_holders(tx))) or None,
                database=self.config.label,
            )


@contextmanager
def hold_lock(config: Database, purpose: str, *, wait_s: float = 0.0) -> Iterator[Lock]:
    """Be the only writer of this config database for the length of the block.

    `purpose` is a short word for others, like `run`. LockHeld (exit 11) names the holder when the
    lock cannot be had within `wait_s` seconds.
    """
    with _held(config, WRITER, purpose, wait_s) as lock:
        yield lock


@contextmanager
def hold_worker_lock(
    config: Database, purpose: str, worker: int, *, wait_s: float = REGISTERING_S
) -> Iterator[Lock]:
    """Be the only worker with this index, beside other workers, and beside nobody else.

    LockHeld as in `hold_lock`, and at once where another process is this worker: `wait_s` is for
    others that begin.
    """
    with _held(config, worker_lease(worker), purpose, wait_s) as lock:
        yield lock


def find_holders(config: Database) -> list[Holder]:
    """Everybody who holds a lease, expired or not; nobody where there is no table yet."""
    if not has_lease_table(config):
        return []
    with config.read() as tx:
        return read_holders(tx)


def lock_holder(config: Database) -> str | None:
    """Who is at work, in words; None where nobody is."""
    return "; ".join(str(one) for one in find_holders(config) if not one.gives_way) or None


@contextmanager
def _held(config: Database, name: str, purpose: str, wait_s: float) -> Iterator[Lock]:
    make_lease_table(config)
    lease = Lease(name, uuid.uuid4().hex, purpose[:200], this_process())
    lock = Lock(config, lease)
    try:
        taken_from = _take(config, lease, wait_s)
    except DatabaseUnreachable:
        lock.release()  # it may have been taken, and only the answer was lost
        raise
    try:
        with _heartbeat(lock):
            for holder in taken_from:
                if not holder.is_given_up:
                    _remember_end(config, holder)
            yield lock
    finally:
        lock.release()


def _take(config: Database, lease: Lease, wait_s: float) -> tuple[Holder, ...]:
    def attempt() -> Taking:
        with config.write() as tx:
            return take_lease(tx, lease)

    deadline = time.monotonic() + wait_s
    while in_the_way := (taking := retry_conflicts(attempt)).in_the_way:
        is_taken = lease.name != WRITER and any(one.lease.name == lease.name for one in in_the_way)
        if is_taken or time.monotonic() >= deadline:
            raise _held_by(config, in_the_way)
        time.sleep(POLL_S)
    return taking.taken_from


def _held_by(config: Database, holders: Sequence[Holder]) -> LockHeld:
    ends = max(one.expires_in for one in holders)
    return LockHeld(
        "somebody else is at work on this archive",
        hint="wait for it to end; if its machine is gone, the lock is free in at most "
        f"{spoken(ends)}; see: des-admin lock show",
        holder="; ".join(map(str, holders)),
        database=config.label,
    )


def _remember_end(config: Database, holder: Holder) -> None:
    """A job that was killed says nothing itself: whoever takes its lock keeps how it ended.

    Where that cannot be kept (before the first migration) nobody is the worse for it.
    """
    process = holder.lease.process
    values = {
        "job": holder.lease.job,
        "worker": worker_of(holder.lease.name),
        "actor": f"{process.host}, pid {process.pid}",
        "started_at": holder.since,
        "ended_at": holder.heartbeat_at,
        "exit_code": int(ExitCode.BUG),
        "files": 0,
        "message": "killed, out of memory, or its machine went down",
        "hint": None,
    }
    with suppress(DesError):
        config.transact(lambda tx: tx.run("outcome_add", values))


@contextmanager
def _heartbeat(lock: Lock) -> Iterator[None]:
    """Renew the lease until the block ends; a connection that was handed in renews at checks."""
    if lock.config.shared_connection:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_S):
            lock.renew()

    thread = threading.Thread(target=beat, name="des-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
