"""What came of a commit that got no answer: the lease's row says it."""

from __future__ import annotations

import time
from typing import Any

from des_core.basics.errors import DatabaseUnreachable, FenceLost
from des_core.database.connections import Database
from des_core.locks.leases import Lease, read_lease_row

LOOKUP_S = 15.0
PAUSE_S = 0.2


def was_committed(config: Database, lease: Lease, commit_id: str) -> bool:
    """Whether the transaction with that id was committed.

    The row is read under its lock, which the transaction in question held: it has ended by then.
    DatabaseUnreachable where the database does not come back; FenceLost where somebody else has
    the lease by now, whose own commits may hide the answer, or where an older copy lacks the row.
    """
    row = _read_row(config, lease)
    if row is not None and row.last_commit == commit_id:
        return True
    if row is not None and row.token == lease.token:
        return False
    raise FenceLost(
        "the connection was lost at a commit, and somebody else has the lock by now: "
        "whether it was committed cannot be told",
        hint="see what is recorded: des-admin watermark history; then run the same command again",
        database=config.label,
    )


def _read_row(config: Database, lease: Lease) -> Any:
    deadline = time.monotonic() + LOOKUP_S
    while True:
        try:
            with config.write() as tx:
                tx.run("lease_lock", {"name": lease.name})
                return read_lease_row(tx, lease.name)
        except DatabaseUnreachable as exc:
            # A connection that was handed in cannot be opened again.
            if config.shared_connection or time.monotonic() >= deadline:
                raise DatabaseUnreachable(
                    "the database went away during a commit: whether it was committed is not known",
                    hint="run the same command again: it goes on from what the database says",
                    database=config.label,
                ) from exc
        time.sleep(PAUSE_S)
