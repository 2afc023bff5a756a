"""The table of leases is there before any migration: the first one holds a lease, too."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from des_core.basics.errors import Refused
from des_core.database.connections import Database
from des_core.database.errors import translate
from des_core.locks.leases import LEASE_TABLE


def has_lease_table(config: Database) -> bool:
    from sqlalchemy import inspect

    with config.read() as tx:
        return bool(inspect(tx.connection).has_table(LEASE_TABLE))


def make_lease_table(config: Database) -> None:
    """Make it where it is missing. Of several who make it at once, one does."""
    if has_lease_table(config):
        return
    try:
        with config.engine.connect() as connection, connection.begin():
            config.transaction(connection).run("lease_prepare")
    except DBAPIError as exc:
        if has_lease_table(config):
            return
        error = translate(exc, config.label)
        if isinstance(error, Refused):
            error.hint = (
                "a DBA makes it: des-admin sql show lease_prepare; or: des-admin migrate up"
            )
        raise error from exc
