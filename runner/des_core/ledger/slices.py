"""The ledger: what was packed. One row per slice, one per shard, committed with the watermark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from des_core.database.connections import Database
from des_core.database.stored_time import (
    day_from_stored,
    from_stored,
    optional_from_stored,
)
from des_core.database.transaction import Transaction
from des_core.ledger.events import read_head
from des_core.records import ShardRecord

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class KnownShard:
    """A shard as the ledger has it."""

    record: ShardRecord
    slice_id: int
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class PackedFor:
    """A shard's bucket, and the window that its slice was packed from."""

    bucket: int
    window_start: datetime
    window_end: datetime


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """One packed slice. `files_in` rows were read; each is in `files_out` or `files_failed`.

    `files_present` of `files_out` had been packed before. `bytes_in` is content, `bytes_out` what
    the shards take on disk.
    """

    run_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    files_in: int
    files_out: int
    files_failed: int
    files_present: int
    bytes_in: int
    bytes_out: int
    started_at: datetime
    finished_at: datetime
    versions: str
    worker: int = 0
    workers: int = 1


@dataclass(frozen=True, slots=True)
class KnownSlice:
    """A slice as the ledger has it."""

    slice_id: int
    record: SliceRecord


def add_slice(tx: Transaction, record: SliceRecord, shards: Iterable[ShardRecord]) -> int:
    """Write one slice and its shards in the caller's transaction; the new slice_id.

    The slice also says how far the audit trail was, so that a trail that was cut is noticed.
    """
    head = read_head(tx)
    heads = {
        "head_event": None if head is None else head.event_id,
        "head_hash": None if head is None else head.hash,
    }
    tx.run("slice_add", _slice_values(record) | heads)
    key = {
        "run_id": record.run_id,
        "kind": record.kind,
        "window_end": record.window_end,
        "worker": record.worker,
    }
    slice_id = int(tx.run("slice_id_of", key).scalar_one())
    tx.run_many("shard_add", (_shard_values(shard, slice_id) for shard in shards))
    return slice_id


def slice_is_recorded(config: Database, record: SliceRecord) -> bool:
    """Whether this very slice reached the ledger: asked when a commit's outcome is unknown."""
    key = {
        "run_id": record.run_id,
        "kind": record.kind,
        "window_start": record.window_start,
        "window_end": record.window_end,
        "worker": record.worker,
    }
    with config.read() as tx:
        found = tx.run("slice_find", key).first()
    return found is not None


def newest_slices(tx: Transaction, *, limit: int) -> list[KnownSlice]:
    """The newest `limit` slices, newest first."""
    return [_known_slice(row) for row in tx.run("slice_newest", {"page_size": limit})]


def iterate_slices_back(tx: Transaction, *, page_size: int = PAGE_SIZE) -> Iterator[KnownSlice]:
    """All slices, newest first, read in pages as far as somebody goes on asking."""
    values = {"before_id": 2**62, "page_size": page_size}
    for rows in tx.pages("slice_page_back", values, before_id="slice_id"):
        yield from map(_known_slice, rows)


def shards_of_day(tx: Transaction, day: date) -> dict[str, PackedFor]:
    """The shards of one UTC day that the ledger knows, by name."""
    return {
        row.name: PackedFor(
            int(row.bucket), from_stored(row.window_start), from_stored(row.window_end)
        )
        for row in tx.run("shard_names_of_day", {"day": day})
    }


def newest_shard_names(tx: Transaction, *, limit: int) -> list[str]:
    """Some shards of the newest slice that made any."""
    return [row.name for row in tx.run("shard_newest", {"page_size": limit})]


def find_shard(config: Database, name: str) -> KnownShard | None:
    """One shard by its name, or None where the ledger does not know it."""
    with config.read() as tx:
        row = tx.run("shard_by_name", {"name": name})
        found = row.first()
    return None if found is None else known_shard(found)


def iterate_shards(config: Database, *, page_size: int = PAGE_SIZE) -> Iterator[list[KnownShard]]:
    """All shards by name, in pages, each read in a short transaction of its own."""
    values = {"after_name": "", "page_size": page_size}
    for rows in config.pages("shard_page", values, after_name="name"):
        yield [known_shard(row) for row in rows]


def _slice_values(record: SliceRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in SliceRecord.__slots__}


def _shard_values(shard: ShardRecord, slice_id: int) -> dict[str, Any]:
    values = {name: getattr(shard, name) for name in ShardRecord.__slots__}
    return values | {"slice_id": slice_id}


def _known_slice(row: Row[Any]) -> KnownSlice:
    fields = dict(row._mapping)
    slice_id = int(fields.pop("slice_id"))
    for name in ("window_start", "window_end", "started_at", "finished_at"):
        fields[name] = from_stored(fields[name])
    return KnownSlice(slice_id, SliceRecord(**fields))


def known_shard(row: Row[Any]) -> KnownShard:
    """A row of des_archive_shard."""
    record = ShardRecord(
        name=row.name,
        day=day_from_stored(row.day),
        bucket=int(row.bucket),
        part=int(row.part),
        files=int(row.files),
        content_bytes=int(row.content_bytes),
        size_bytes=int(row.size_bytes),
        sha256=row.sha256,
    )
    return KnownShard(record, int(row.slice_id), optional_from_stored(row.verified_at))


def dictionary_of_window(tx: Transaction, start: datetime, end: datetime) -> str | None:
    """The dictionary that the window was packed with before, by this worker or by another."""
    rows = tx.run("slice_packings", {"window_start": start, "window_end": end})
    return _first_dictionary(row.versions for row in rows)


def dictionary_of_day(tx: Transaction, day: date) -> str | None:
    """The first dictionary that shards of the UTC day were packed with."""
    return _first_dictionary(row.versions for row in tx.run("day_packings", {"day": day}))


def dictionaries_on_record(tx: Transaction, *, slices: int | None = None) -> set[str]:
    """What the newest `slices`, or all, were packed with, whatever became of it since."""
    newest = islice(iterate_slices_back(tx), slices)
    return {name for known in newest for name in _dictionaries_of(known.record.versions)}


def _first_dictionary(versions: Iterable[str]) -> str | None:
    return next((name for text in versions for name in _dictionaries_of(text)), None)


def _dictionaries_of(versions: str) -> list[str]:
    names = parse_details(versions).get("dictionaries")
    return [str(name) for name in names] if isinstance(names, list) else []


def is_begun(ledger: Database) -> bool:
    """Whether a slice was packed: from then on `n_bits` stays as it is."""
    with ledger.read() as tx:
        return bool(newest_slices(tx, limit=1))


def count_files(ledger: Database) -> int:
    """How many files the ledger has in shards, each counted once."""
    with ledger.read() as tx:
        return int(tx.run("ledger_totals").one().files)


def newest_versions(ledger: Database) -> dict[str, Any]:
    """What the newest slice says of how it was packed; empty where there is none, or nonsense."""
    with ledger.read() as tx:
        newest = newest_slices(tx, limit=1)
    return parse_details(newest[0].record.versions) if newest else {}


def parse_details(text: str) -> dict[str, Any]:
    """What a slice, a job or an event says of itself in JSON; empty where that is nonsense."""
    with suppress(ValueError, RecursionError):
        details = json.loads(text)
        return details if isinstance(details, dict) else {}
    return {}
