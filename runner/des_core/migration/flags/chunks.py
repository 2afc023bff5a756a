"""One chunk of rows and its flags: where it ends, how it is written.

PostgreSQL writes a changed row anew. Where the page of the row has room for it, and no index
mentions the column, the new version stays there and no index hears of it (a HOT update); else it
goes to another page and into every index. A full page has no room, until versions that nobody sees
any more are cleared away. So a chunk is written a quarter at a time: the room of the rows before
takes the next ones. A snapshot that is kept open meanwhile only costs what was saved.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import EARLIEST, LATEST
from des_core.database.catalog import Statement
from des_core.database.stored_time import from_stored, to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import recorded_uid
from des_core.ledger.jobs import Job, advance_job
from des_core.migration.base.migration import Migration
from des_core.migration.state.tables import read_indexes
from des_core.migration.steps.patience import patiently

# As `migration_flags_share` has it.
SHARES = 4
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction writes: flags, then the exceptions among them, then how far it is.

    `cursor` is None where the chunk is not done with it.
    """

    statement: Statement
    values: dict[str, Any]
    exceptions: list[tuple[str, datetime, bool]]
    cursor: datetime | None


@dataclass(frozen=True)
class ChunkWriter:
    """Writes the formula into the rows above `start`, one chunk after the other."""

    migration: Migration
    watermark: datetime
    start: datetime

    @cached_property
    def in_shares(self) -> bool:
        """Whether it pays to write a chunk a quarter at a time."""
        return writes_in_shares(self.migration)

    def find_end(self, key: dict[str, Any] | None, size: int) -> dict[str, Any] | None:
        """The key of the last of the next `size` rows after `key`; None where there are none."""
        name = "migration_chunk_first" if key is None else "migration_chunk_next"
        values = {**self._bounds(), **(key or {}), "page_size": size}
        statement = self.migration.source_catalog.get(name)
        with self.migration.source.read() as tx:
            row = tx.run(statement, values).first()
        return None if row is None else dict(row._mapping)

    def parts(self, first: dict[str, Any] | None, last: dict[str, Any]) -> list[Part]:
        """A chunk in the order of (created_at, key), after `first` (None: the first one) to `last`.

        The last part misses no row of it, whatever the shares before it found.
        """
        catalog = self.migration.source_catalog
        low = self.start if first is None else self.time_of(first)
        high = self.time_of(last)
        exceptions = self._exceptions_between(low, high)
        values = {
            **self._bounds(),
            **(first or {"page_created_at": self.migration.schema.to_db(low)}),
            "last_created_at": last["page_created_at"],
            "last_key": last["page_key"],
            "watermark": self.migration.schema.to_db(self.watermark),
        }
        name = "migration_flags_first" if first is None else "migration_flags_next"
        whole = Part(catalog.get(name), values, exceptions, high)
        if not self.in_shares:
            return [whole]
        share = Part(catalog.get("migration_flags_share"), values, exceptions, None)
        shares = [replace(share, values={**values, "share": n}) for n in range(SHARES - 1)]
        return [*shares, whole]

    def commit(self, part: Part, job: Job) -> Job:
        """Write one part, in one transaction where one will do.

        In two databases the flags are committed first: a chunk that is written twice is harmless.
        """
        migration = self.migration

        def advance(tx: Transaction, changed: int) -> Job:
            advanced = job.advanced(part.cursor or job.cursor, changed)
            advance_job(tx, advanced, migration.now())
            return advanced

        def work(tx: Transaction) -> Job | int:
            changed = self._write_flags(tx, part)
            return advance(tx, changed) if migration.shares_database else changed

        done = patiently(migration, migration.source, job.name, work)
        if isinstance(done, Job):
            return done
        return migration.write(lambda tx: advance(tx, done))

    def write(self, part: Part, job_name: str, *, give_up: threading.Event) -> int:
        """Write one part in a transaction of its own; how many rows changed."""
        migration = self.migration
        return patiently(
            migration,
            migration.source,
            job_name,
            lambda tx: self._write_flags(tx, part),
            give_up=give_up,
        )

    def time_of(self, key: dict[str, Any]) -> datetime:
        """created_at of the row that a key is of."""
        return self.migration.schema.from_db(key["page_created_at"])

    def _write_flags(self, tx: Transaction, part: Part) -> int:
        changed = tx.run(part.statement, part.values).rowcount
        for uid, created_at, archived in part.exceptions:
            write_flag(self.migration, tx, uid, created_at, archived=archived)
        return changed

    def _exceptions_between(
        self, low: datetime, high: datetime
    ) -> list[tuple[str, datetime, bool]]:
        config = self.migration.config
        margin = resume_margin(self.migration)
        values = {
            "start_at": to_stored(max(low - margin, EARLIEST), config.dialect),
            "end_at": to_stored(high + margin, config.dialect),
        }
        with config.read() as tx:
            return [
                (recorded_uid(row), from_stored(row.created_at), bool(row.archived))
                for row in tx.run("migration_exceptions_between", values)
            ]

    def _bounds(self) -> dict[str, Any]:
        return self.migration.schema.window(self.start, LATEST - timedelta(days=3))


def writes_in_shares(migration: Migration) -> bool:
    """Whether it pays to write a chunk a quarter at a time: on PostgreSQL, without an index."""
    if migration.source.dialect is not Dialect.POSTGRES:
        return False
    archived = migration.settings.database.archived_column or "archived"
    return not any(archived in (index.definition or "") for index in read_indexes(migration))


def resume_margin(migration: Migration) -> timedelta:
    """Texts are in the order of their letters, which may differ from time by an offset."""
    return timedelta(days=2) if migration.source.dialect is Dialect.SQLITE else _MICROSECOND


def write_flag(
    migration: Migration,
    tx: Transaction,
    uid: str,
    created_at: datetime,
    *,
    archived: bool,
) -> None:
    """The flag of one row, in the caller's transaction; a row that is gone needs none."""
    try:
        key = migration.schema.uid_values(uid)
    except ValueError:
        return
    values = migration.schema.window(created_at - _MICROSECOND, created_at)
    values |= {**key, "archived": archived}
    tx.run(migration.source_catalog.get("migration_flag_one"), values)
