"""Shards that the archive had: with one of them gone, nobody can say that it has no such file.

Besides its own name, the manifest of its slice knows of a shard, and the ledger if it can be
asked. What a repair has set aside is not lost, unless the ledger still counts on it: its files were
packed again, or are open exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from des_core.basics.errors import DamagedData, DamagedShard, DesError, StorageError
from des_core.database.connections import Database
from des_core.ledger.slices import iterate_shards, shards_of_day
from des_core.storage.directory import Storage
from des_core.storage.layout import DAMAGED_DIR, is_set_aside
from des_core.storage.manifests import list_manifests, may_name_shards_of, read_manifest

Shards = dict[str, int]
"""Names of shards, and their buckets."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """How to ask it, and whom to tell if it cannot be asked: then manifests alone decide."""

    open: Callable[[], Database]
    tell: Callable[[DesError], None]


def lost_shard(name: str) -> DamagedShard:
    """The error for a shard that should be there."""
    return DamagedShard(
        "a shard that the archive had is not there, so nobody can tell what it held",
        hint="bring it back from a copy of the output. All that is missing: des-admin verify; "
        "des-admin verify --repair packs the files again whose sources are there",
        shard=name,
    )


@dataclass(slots=True)
class ShardsOnRecord:
    """What manifests and ledger say of shards that are not listed; each is read once a day."""

    storage: Storage
    is_listed: Callable[[str], bool]
    ledger: Ledger | None = None
    _manifests: list[str] | None = None
    _aside: list[str] | None = None
    _claimed: dict[date | None, Shards] = field(default_factory=dict)
    _known: dict[date | None, Shards | None] = field(default_factory=dict)
    _unread: dict[date | None, DamagedShard] = field(default_factory=dict)

    def unlisted(self, day: date | None, bucket: int | None) -> list[str]:
        """Shards of that day and bucket, or of any, that should be there and are not listed."""
        wanted = self._read_manifests(day) | (self._read_ledger(day) or {})
        return [
            name
            for name, its_bucket in sorted(wanted.items(), reverse=True)
            if bucket in (None, its_bucket) and not self.is_set_aside(name, day)
        ]

    def doubt(self, day: date | None) -> DamagedShard | None:
        """Why nobody knows which shards there were, unless one of the two told."""
        return None if self.is_told_by_ledger(day) else self._unread.get(day)

    def is_told_by_ledger(self, day: date | None) -> bool:
        """Whether there is one, and it answered."""
        return self._read_ledger(day) is not None

    def is_set_aside(self, name: str, day: date | None) -> bool:
        """Whether a repair moved it away, and the ledger knows."""
        if name in (self._read_ledger(day) or {}):
            return False
        if self._aside is None:
            self._aside = self.storage.list_names(DAMAGED_DIR)
        return is_set_aside(self._aside, name)

    def _read_ledger(self, day: date | None) -> Shards | None:
        if self.ledger is None:
            return None
        if day not in self._known:
            try:
                self._known[day] = dict(self._ask(self.ledger.open(), day))
            except DesError as exc:
                self._known[day] = None
                self.ledger.tell(exc)
        return self._known[day]

    def _ask(self, config: Database, day: date | None) -> Iterator[tuple[str, int]]:
        if day is not None:
            with config.read() as tx:
                known = shards_of_day(tx, day)
            yield from ((n, known[n].bucket) for n in known if not self.is_listed(n))
            return
        for page in iterate_shards(config):
            for shard in page:
                if not self.is_listed(shard.record.name):
                    yield shard.record.name, shard.record.bucket

    def _read_manifests(self, day: date | None) -> Shards:
        if day not in self._claimed:
            self._claimed[day] = dict(self._claims(day))
        return self._claimed[day]

    def _claims(self, day: date | None) -> Iterator[tuple[str, int]]:
        if self._manifests is None:
            self._manifests = list_manifests(self.storage)
        for name in self._manifests:
            if day is not None and not may_name_shards_of(name, [day]):
                continue
            try:
                shards = read_manifest(self.storage, name).shards
            except (DamagedData, StorageError) as exc:
                self._unread[day] = DamagedShard(
                    "a manifest cannot be read, so nobody knows which shards the archive had",
                    hint="des-admin verify tells what is wrong with it",
                    manifest=name,
                    problem=exc.message,
                )
                continue
            for shard in shards:
                if day in (None, shard.day) and not self.is_listed(shard.name):
                    yield shard.name, shard.bucket
