"""Reading back: uid → shard → bytes. Needs the archive and `n_bits`; no database.

With created_at known, the name of the shard follows from the uid. Without it, all days of the
uid's bucket are searched, the newest first. "Not there" is said only if no shard is missing that
may have held it: manifests tell, and the ledger if there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from des_core.basics.errors import DamagedShard, StorageError
from des_core.basics.routing import bucket_of, buckets_of, parse_shard_name, shard_name
from des_core.ledger.archive_identity import MARK
from des_core.reading.archive_routing import require_same_routing
from des_core.reading.lost_shards import Ledger, ShardsOnRecord, lost_shard
from des_core.reading.readable import open_readable
from des_core.shard_io import Blob, Companions, ShardEntry, ShardReader, open_shard
from des_core.storage.directory import Storage
from des_core.storage.layout import ShardsByBucket, place_of


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file found in the archive. `size_bytes` is its content's."""

    uid: str
    shard: str
    entry: ShardEntry

    @property
    def size_bytes(self) -> int:
        return self.entry.size

    @property
    def is_big(self) -> bool:
        return self.entry.is_big


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to look for; `created_at` makes it cheap. Both are the key of the answer."""

    uid: str
    created_at: datetime | None = None

    @property
    def day(self) -> date | None:
        """The UTC day, if it is known."""
        return None if self.created_at is None else self.created_at.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a wanted file is, with its content, to be read before the next hit.

    Without a file, `damage` is the first shard that may have held it and could not be read, or is
    not there.
    """

    wanted: Wanted
    file: StoredFile | None
    pieces: Iterator[bytes]
    damage: DamagedShard | None = None


class Retriever:
    """Finds and reads files. A day is listed once, and all days are, when they are first needed."""

    def __init__(self, storage: Storage, n_bits: int, ledger: Ledger | None = None) -> None:
        self.output_dir = storage.output_dir
        self._storage = storage
        self._n_bits = n_bits
        self._companions = Companions(self._open, storage.list_names)
        self._listing = storage.listing()
        self._days: dict[date, ShardsByBucket] = {}
        self._every_day: ShardsByBucket | None = None
        self._record = ShardsOnRecord(storage, self._is_listed, ledger)

    def find(self, uid: str, created_at: datetime | None = None) -> StoredFile | None:
        """Where the file is, or None. DamagedShard if a damaged or lost shard may have held it."""
        wanted = Wanted(uid, created_at)
        return self.find_many([wanted]).get(wanted)

    def find_many(self, wanted: Iterable[Wanted]) -> dict[Wanted, StoredFile]:
        """The place of each that is there; every shard is opened once for all of them."""
        found = {}
        for hit in self.read_many(wanted):
            if hit.file is None:
                raise hit.damage or DamagedShard("a shard cannot be read")
            found[hit.wanted] = hit.file
        return found

    def read_many(self, wanted: Iterable[Wanted], *, every_day: bool = False) -> Iterator[Hit]:
        """Those that are there, shard by shard: every shard is opened once to find and to read.

        With `every_day`, a uid without created_at has a hit for each day that has it, the newest
        first.
        """
        items = list(dict.fromkeys(wanted))
        buckets = buckets_of((item.uid for item in items), self._n_bits)
        groups: dict[tuple[date | None, int], list[Wanted]] = {}
        for item, bucket in zip(items, buckets, strict=True):
            groups.setdefault((item.day, bucket), []).append(item)
        missing = len(items)
        for (day, bucket), group in groups.items():
            found: set[Wanted] = set()
            names = self._candidates(day, bucket)
            for hit in self._search(names, group, day, all_days=every_day and day is None):
                if hit.file is None:
                    require_same_routing(self._storage, self._n_bits)
                found.add(hit.wanted)
                yield hit
            missing -= len(found)
        if missing:
            # What is not found must not have been looked for in the wrong place.
            require_same_routing(self._storage, self._n_bits)
            self._require_something()

    def stream(self, file: StoredFile) -> Iterator[bytes]:
        """The content in pieces; only after the last one is it known to be whole."""
        with self.opened(file.shard) as reader:
            yield from reader.stream(file.entry)

    def read(self, file: StoredFile) -> bytes:
        """The whole content, checked; for files that fit into memory."""
        return b"".join(self.stream(file))

    def shards(self, day: date | None = None, uid: str | None = None) -> list[str]:
        """Names of the shards, by name; of one day, and of the bucket of one uid."""
        if uid is not None:
            require_same_routing(self._storage, self._n_bits)
        bucket = None if uid is None else bucket_of(uid, self._n_bits)
        return sorted(
            name
            for (its_day, its_bucket), names in self._listed(day).items()
            if day in (None, its_day) and bucket in (None, its_bucket)
            for name in names
        )

    def lost(self, day: date | None = None) -> list[str]:
        """Shards of a day, or of all, that should be there and are not."""
        self._listed(day)
        names = self._record.unlisted(day, None)
        return sorted(name for name in names if not self._storage.exists(name))

    def entries(self, shard: str) -> Iterator[StoredFile]:
        """The files of one shard, in its order."""
        with self.opened(shard) as reader:
            for entry in reader.entries():
                yield StoredFile(entry.uid, shard, entry)

    @contextmanager
    def opened(self, shard: str) -> Iterator[ShardReader]:
        """A reader of the shard with that name. FileNotFoundError if there is none."""
        with open_shard(self._open(shard), self._companions) as reader:
            yield reader

    def _open(self, name: str) -> Blob:
        return open_readable(self._storage, name)

    def _candidates(self, day: date | None, bucket: int) -> Iterator[str]:
        """Shards that may hold a file, the likeliest first, none twice."""
        seen: set[str] = set()
        if day is not None:
            # Parts are numbered without gaps unless somebody took one away.
            part = 0
            while self._storage.exists(name := shard_name(day, bucket, part, self._n_bits)):
                seen.add(name)
                yield name
                part += 1
        listed = self._listed(day)
        for place in sorted((place for place in listed if place[1] == bucket), reverse=True):
            if day in (None, place[0]):
                yield from (name for name in listed[place] if name not in seen)
        # A shard that was published since is found after all; one that is gone is damage.
        yield from (name for name in self._record.unlisted(day, bucket) if name not in seen)

    def _search(
        self, shards: Iterable[str], wanted: list[Wanted], day: date | None, *, all_days: bool
    ) -> Iterator[Hit]:
        """Each file in the first shard that has it, with `all_days` the first of each day."""
        by_uid: dict[str, list[Wanted]] = {}
        for item in wanted:
            by_uid.setdefault(item.uid, []).append(item)
        missing: dict[str, None] = dict.fromkeys(by_uid)
        days: dict[str, set[str]] = {uid: set() for uid in by_uid}
        damage: DamagedShard | None = None
        for shard in shards:
            looked_for: Collection[str] = by_uid if all_days else missing
            if not looked_for:
                break
            its_day = shard.partition("_")[0]
            with ExitStack() as stack:
                try:
                    reader = stack.enter_context(self.opened(shard))
                    entries = reader.find_many(looked_for)
                except FileNotFoundError:
                    if damage is None and not self._record.is_set_aside(shard, day):
                        damage = lost_shard(shard)
                    continue
                except DamagedShard as exc:
                    damage = damage or exc.as_value()
                    continue
                for uid, entry in entries.items():
                    missing.pop(uid, None)
                    if its_day in days[uid]:
                        continue  # a later part of what was found
                    days[uid].add(its_day)
                    file = StoredFile(uid, shard, entry)
                    for item in by_uid[uid]:
                        yield Hit(item, file, reader.stream(entry))
        damage = damage or (self._record.doubt(day) if missing else None)
        if damage is not None:
            for uid in missing:
                yield from (Hit(item, None, iter(()), damage) for item in by_uid[uid])

    def _require_something(self) -> None:
        """StorageError for a place without anything in it: not mounted, rather than empty."""
        if self._every_day or any(self._days.values()):
            return
        if self._storage.exists(MARK) or self._listed(None):
            return
        if self._record.is_told_by_ledger(None) and not self._record.unlisted(None, None):
            return
        raise StorageError(
            "there is not one shard, and no mark of an archive: nothing can be said",
            hint="is it mounted? Does packer.output_dir, or --output-dir, name the archive?",
            place=self._storage.output_dir,
        )

    def _is_listed(self, name: str) -> bool:
        parsed = parse_shard_name(name)
        return parsed is not None and name in self._listed(parsed.day).get(place_of(parsed), ())

    def _listed(self, day: date | None) -> ShardsByBucket:
        """The shards of that day, perhaps among others; those of all days for None."""
        if self._every_day is None and day is None:
            self._every_day = self._storage.list_shards()
        if self._every_day is not None or day is None:
            return self._every_day or {}
        if day not in self._days:
            self._days[day] = self._listing.of_days({day})
        return self._days[day]
