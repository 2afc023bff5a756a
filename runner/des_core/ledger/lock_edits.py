"""Taking the lock away by hand, and recording who did."""

from __future__ import annotations

from collections.abc import Sequence

from des_core.basics.errors import Refused
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.locks.leases import Holder, database_now, end_lease


def end_leases(
    config: Database, holders: Sequence[Holder], *, actor: str, reason: str | None
) -> None:
    """End exactly these leases. Refused, and nothing done, where one changed hands meanwhile.

    A holder that lives after all finds out at its next write, and writes nothing.
    """

    def work(tx: Transaction) -> None:
        now = database_now(tx)
        for holder in holders:
            record_event(
                tx, action="lock.break", actor=actor, now=now, from_value=str(holder), reason=reason
            )
            if not end_lease(tx, holder.lease, now):
                raise Refused(
                    "the lock changed hands meanwhile: nothing was done",
                    hint="look again: des-admin lock show",
                    lease=holder.lease.name,
                )

    config.transact(work)
