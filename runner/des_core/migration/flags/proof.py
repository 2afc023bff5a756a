"""Flags that were written, read again where the table has something that may keep them from it.

A trigger or a rule may leave a row as it was, and the server calls the statement done. A pending
file whose flag stays TRUE would be packed by nobody, a packed one with FALSE once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from des_core.basics.errors import Refused
from des_core.basics.timestamps import to_us
from des_core.ledger.exceptions import OpenException, iterate_open
from des_core.migration.base.migration import Migration
from des_core.migration.seed.seeding import count_archived_above, count_archived_unseen
from des_core.migration.state.tables import table_values

_MICROSECOND = timedelta(microseconds=1)


def find_unwritten(migration: Migration, watermark: datetime, base: datetime) -> Refused | None:
    """An error with what fires, and a row above `base` or an exception that has another flag."""
    values = table_values(migration) | {"column_name": migration.archived_column}
    with migration.source.read() as tx:
        rows = tx.run(migration.source_catalog.get("migration_update_triggers"), values)
        fires = [f"{row.kind} {row.name}" for row in rows]
    if not fires:
        return None
    found = next(_unwritten(migration, watermark, base), None)
    if found is None:
        return None
    return Refused(
        f"flags were not written: {found}, and {', '.join(fires)} may keep it so",
        hint="switch that off for as long as it takes, then run the same command again",
        table=str(migration.settings.database.table),
    )


def _unwritten(migration: Migration, watermark: datetime, base: datetime) -> Iterator[str]:
    pending: set[tuple[str, int]] = set()
    archived_above = 0
    for page in iterate_open(migration.config):
        for item in page:
            reads_archived = _reads_archived(migration, item)
            if item.archived:
                archived_above += reads_archived and item.created_at > watermark
                continue
            pending.add((item.uid, to_us(item.created_at)))
            if reads_archived:
                yield f"{item.uid[:80]!r} still reads as archived"
    above = count_archived_above(migration, watermark)
    if above.rows > archived_above:
        yield f"{above} rows above the watermark still read as archived"
    unseen = count_archived_unseen(migration, limit=1000)
    if unseen.rows:
        yield f"{unseen} rows without a created_at that is a time still read as archived"
    for rows in migration.reader.rows(base, watermark, statement="pending_rows"):
        for row in rows:
            if (row.uid, row.created_us) not in pending:
                yield f"{row.uid[:80]!r} still reads as not archived"


def _reads_archived(migration: Migration, item: OpenException) -> bool:
    """Whether the row is there and not among those that are pending."""
    there, pending = (
        any(
            row.uid == item.uid
            for page in migration.reader.rows(
                item.created_at - _MICROSECOND, item.created_at, statement=statement
            )
            for row in page
        )
        for statement in ("window_rows", "pending_rows")
    )
    return there and not pending
