"""After a rollback there is no watermark, and who asks for one hears by whom and when."""

from __future__ import annotations

import sqlalchemy as sa

from des_core.basics.errors import WrongSchema
from des_core.basics.timestamps import format_utc
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored

CONFIG_TABLE = "des_archive_config"
EVENT_TABLE = "des_archive_event"
RETIRED_BY = "migrate.down"


def require_not_retired(ledger: Database) -> None:
    """WrongSchema where the trail's last word about the watermark is that it was retired."""
    told = find_retirement(ledger)
    if told is not None:
        raise told


def find_retirement(ledger: Database) -> WrongSchema | None:
    """By whom and when the watermark was retired, as an error; None where it was not."""
    with ledger.translated(), ledger.engine.connect() as connection:
        inspector = sa.inspect(connection)
        if inspector.has_table(CONFIG_TABLE) or not inspector.has_table(EVENT_TABLE):
            return None
    with ledger.read() as tx:
        last = tx.run("event_last_position").first()
    if last is None or last.action != RETIRED_BY:
        return None
    at = format_utc(from_stored(last.at).replace(microsecond=0))
    return WrongSchema(
        f"there is no watermark any more: it was rolled back at {at} by {last.actor}",
        hint="the column archived says again what is archived, and des-retriever reads the shards; "
        "to cut over again: des-admin migrate plan",
    )
