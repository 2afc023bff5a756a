"""Source against ledger: rows below the watermark that no shard and no exception knows.

1. Each UTC day of the scope is counted in `files`, by the index on created_at, and in the ledger:
   files of its shards and open exceptions. A day whose counts agree is believed, unless all days
   are to be compared.
2. A day with fewer rows than that has lost some: deleted, or an older copy was restored.
   What somebody has accepted as gone is left out.
3. The rows of any other day are read once, parted by bucket in bounded memory, and looked up in
   the shards of that day; what is in none of them is looked up among the exceptions.
4. What is left is late: nobody has packed it, and the watermark says that it is archived.
   Where uids repeat, so are rows that share one file of the shards, until one of them is known to
   be the one that was packed.

Counts can agree by chance, where as many packed rows were deleted from `files` as came late; only
a comparison of all days finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from des_core.basics.errors import DamagedData
from des_core.basics.timestamps import floor_day, from_us
from des_core.database.connections import Database
from des_core.database.stored_time import (
    day_from_stored,
    optional_from_stored,
)
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import RESOLVED_BY_HAND, uid_digest
from des_core.ledger.slices import shards_of_day
from des_core.packing.row_spool import RowSpool, decode_rows
from des_core.records import SourceRow
from des_core.rows.reader import SourceReader
from des_core.rows.share import Share, own_rows
from des_core.storage.companions import companions_of, open_listed
from des_core.storage.directory import Storage
from des_core.storage.layout import ShardsByBucket
from des_core.storage.listing import ShardListing

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scope:
    """`(start, end]`: what the ledger answers for. `begins_at` is where the ledger begins."""

    start: datetime
    end: datetime
    begins_at: datetime | None

    @property
    def is_empty(self) -> bool:
        return self.start >= self.end

    def days(self) -> Iterator[DayScope]:
        """The parts of the scope that lie in one UTC day each, oldest first."""
        midnight = floor_day(self.start + _TICK)
        while midnight <= self.end:
            start, end = max(midnight - _TICK, self.start), min(midnight + _DAY - _TICK, self.end)
            yield DayScope(midnight.date(), start, end)
            midnight += _DAY


@dataclass(frozen=True, slots=True)
class DayScope:
    """`(start, end]` within one UTC day."""

    day: date
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class DayCount:
    """One day: rows in `files`, files in the shards of the ledger, open exceptions."""

    scope: DayScope
    rows: int
    packed: int
    exceptions: int

    @property
    def agrees(self) -> bool:
        return self.rows == self.packed + self.exceptions


@dataclass(frozen=True)
class Reconciler:
    """What is compared: `files`, the ledger, and the shards themselves.

    `listing` is one of `storage`. With a `share`, late rows are looked for in the buckets of one
    sharded worker.
    """

    source: SourceReader
    config: Database
    storage: Storage
    listing: ShardListing
    n_bits: int
    check: Callable[[], None] = lambda: None
    share: Share | None = None

    def count_days(self, scope: Scope) -> Iterator[DayCount]:
        """Every day of the scope, oldest first; each costs one count by index."""
        if scope.is_empty:
            return
        packed = self._packed(scope)
        for part in scope.days():
            self.check()
            yield DayCount(
                scope=part,
                rows=self.source.count(part.start, part.end),
                packed=packed.get(part.day, 0),
                exceptions=self._exceptions(part),
            )

    def count_gone(self, count: DayCount, late: int) -> int:
        """How many rows less there are than shards and exceptions of the ledger account for.

        A part of a day is judged by the rows of the whole day: its shards may hold all of it.
        """
        missing = count.packed + count.exceptions + late - count.rows
        if missing <= 0:
            return 0
        midnight = datetime.combine(count.scope.day, time.min, UTC)
        whole = self.source.count(midnight - _TICK, midnight + _DAY - _TICK)
        return max(missing - (whole - count.rows), 0)

    def find_late(
        self,
        part: DayScope,
        *,
        bucket: int | None = None,
        lost: Collection[str] = (),
    ) -> Iterator[list[SourceRow]]:
        """The late rows of one day, bucket by bucket, or of one bucket only.

        `lost` are shards that are known not to be there. DamagedData where the ledger has
        another one that is not: its files are not late, they are lost or mislaid, and `verify`
        is what tells.
        """
        existing = self._existing_shards(part.day, lost)
        with RowSpool(self.n_bits, self.storage.scratch_dir) as spool:
            for page in self.source.rows(part.start, part.end, share=self.share):
                self.check()
                spool.add(page if self.share is None else own_rows(page, self.share))
            for task in spool.tasks(existing):
                self.check()
                if bucket not in (None, task.bucket):
                    continue
                rows = decode_rows(task.rows)
                missing = self._without_packed(rows, task.existing)
                late = self._without_exceptions(missing)
                if not self.source.schema.uid_is_unique:
                    late += self._rivals(rows, {row.uid for row in missing})
                if late:
                    yield late

    def find_unproved(self, part: DayScope) -> Iterator[list[SourceRow]]:
        """The rows of one day of which no shard has the uid, whatever exceptions say of them.

        Where uids repeat, so are all rows that share one file of the shards.
        """
        existing = self._existing_shards(part.day, ())
        with RowSpool(self.n_bits, self.storage.scratch_dir) as spool:
            for page in self.source.rows(part.start, part.end):
                self.check()
                spool.add(page)
            for task in spool.tasks(existing):
                self.check()
                rows = decode_rows(task.rows)
                missing = self._without_packed(rows, task.existing)
                if not self.source.schema.uid_is_unique:
                    missing += self._rivals(rows, {row.uid for row in missing})
                yield missing

    def _packed(self, scope: Scope) -> dict[date, int]:
        values = {
            "first_day": scope.start.astimezone(UTC).date(),
            "last_day": scope.end.astimezone(UTC).date(),
        }
        with self.config.read() as tx:
            rows = tx.run("shard_files_of_days", values).all()
        return {day_from_stored(row.day): int(row.files) for row in rows}

    def _exceptions(self, part: DayScope) -> int:
        values = {
            "start_at": part.start,
            "end_at": part.end,
            "archived": False,
        }
        with self.config.read() as tx:
            return int(tx.run("exception_count_flipped", values).scalar_one())

    def _existing_shards(self, day: date, lost: Collection[str]) -> ShardsByBucket:
        with self.config.read() as tx:
            known = set(shards_of_day(tx, day))
        existing = self.listing.of_days({day}, known.difference(lost))
        missing = sorted(known.difference(lost, *existing.values()))
        if missing:
            raise DamagedData(
                f"{len(missing)} shards of a day are in the ledger, but not in the archive",
                hint="is the archive mounted at packer.output_dir? Then: des-admin verify",
                day=day,
                example=missing[0],
            )
        return existing

    def _without_packed(self, rows: list[SourceRow], existing: Sequence[str]) -> list[SourceRow]:
        for name in existing:
            if not rows:
                break
            with open_listed(self.storage, name, companions_of(self.storage)) as reader:
                found = reader.find_many({row.uid for row in rows})
            rows = [row for row in rows if row.uid not in found]
        return rows

    def _rivals(self, rows: list[SourceRow], missing: set[str]) -> list[SourceRow]:
        """Rows that all claim the one file which the shards have under their uid.

        The next try compares bytes: one of them has been packed, the others never were.
        """
        groups: dict[str, dict[int, SourceRow]] = {}
        for row in rows:
            if row.uid not in missing:
                groups.setdefault(row.uid, {})[row.created_us] = row
        rivals = [
            self._without_exceptions(list(group.values()))
            for group in groups.values()
            if len(group) > 1
        ]
        return [row for group in rivals if len(group) > 1 for row in group]

    def _without_exceptions(self, rows: list[SourceRow]) -> list[SourceRow]:
        if not rows:
            return []
        with self.config.read() as tx:
            return [row for row in rows if not self._is_accounted_for(tx, row)]

    def _is_accounted_for(self, tx: Transaction, row: SourceRow) -> bool:
        """Whether it is an open exception, or one that somebody closed knowing what it means."""
        values = {
            "uid_sha256": uid_digest(row.uid),
            "created_at": from_us(row.created_us),
        }
        found = tx.run("exception_find", values).first()
        if found is None:
            return False
        if found.resolved_at is None:
            return not found.archived
        return str(found.resolution) == RESOLVED_BY_HAND


def find_scope(
    config: Database,
    watermark: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Scope:
    """From where the ledger begins to the watermark, or less.

    A `since` before the ledger's beginning is obeyed: then days are compared with the shards
    alone that were packed without a ledger.
    """
    begins_at = ledger_begin(config)
    end = watermark if until is None else min(until, watermark)
    start = since if since is not None else begins_at
    return Scope(end if start is None else min(start, end), end, begins_at)


def ledger_begin(config: Database) -> datetime | None:
    """Where the first window of the ledger begins; None for an empty ledger."""
    with config.read() as tx:
        value = tx.run("ledger_begin", {"kind": "window"}).scalar()
    return optional_from_stored(value)
