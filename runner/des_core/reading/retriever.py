"""Reading back: uid → shard → bytes. Needs the archive and `n_bits`; no database.

With created_at known, the name of the shard follows from the uid. Without it, all days of the
uid's bucket are searched, the newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from des_core.basics.errors import DamagedShard
from des_core.basics.routing import bucket_of, buckets_of, shard_name
from des_core.reading.archive_routing import require_same_routing
from des_core.shard_io import ShardEntry, ShardReader, big_file_name, open_shard
from des_core.shard_io.blobs import Blob
from des_core.storage.directory import Storage


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
    """A file to look for; `created_at` makes it cheap."""

    uid: str
    created_at: datetime | None = None


class StorageBigFiles:
    """The big files of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, sha256: str) -> Blob:
        name = big_file_name(sha256)
        try:
            return self._storage.open(name)
        except FileNotFoundError as exc:
            raise DamagedShard("a big file is missing", file=name) from exc


class Retriever:
    """Finds and reads files. The listing of the archive is read once, when it is first needed."""

    def __init__(self, storage: Storage, n_bits: int) -> None:
        self._storage = storage
        self._n_bits = n_bits
        self._bigfiles = StorageBigFiles(storage)
        self._listing: Mapping[tuple[date, int], tuple[str, ...]] | None = None

    def find(self, uid: str, created_at: datetime | None = None) -> StoredFile | None:
        """Where the file is, or None. DamagedShard only if a damaged shard may have held it."""
        return next(iter(self.find_many([Wanted(uid, created_at)]).values()), None)

    def find_many(self, wanted: Iterable[Wanted]) -> dict[str, StoredFile]:
        """uid → place of those that are there; every shard is opened once for all of them."""
        return {file.uid: file for _, files in self._search(wanted) for file in files}

    def read_many(self, wanted: Iterable[Wanted]) -> Iterator[tuple[StoredFile, Iterator[bytes]]]:
        """Those that are there, each with its content in pieces, to be read before the next.

        They come shard by shard, for every shard is opened once to find and to read.
        """
        for reader, files in self._search(wanted):
            for file in files:
                yield file, reader.stream(file.entry)

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
            for (its_day, its_bucket), names in self._all().items()
            if day in (None, its_day) and bucket in (None, its_bucket)
            for name in names
        )

    def entries(self, shard: str) -> Iterator[StoredFile]:
        """The files of one shard, in its order."""
        with self.opened(shard) as reader:
            for entry in reader.entries():
                yield StoredFile(entry.uid, shard, entry)

    @contextmanager
    def opened(self, shard: str) -> Iterator[ShardReader]:
        """A reader of the shard with that name. FileNotFoundError if there is none."""
        with open_shard(self._storage.open(shard), self._bigfiles) as reader:
            yield reader

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
        places = sorted((place for place in self._all() if place[1] == bucket), reverse=True)
        for place in places:
            if day in (None, place[0]):
                yield from (name for name in self._all()[place] if name not in seen)

    def _search(self, wanted: Iterable[Wanted]) -> Iterator[tuple[ShardReader, list[StoredFile]]]:
        """Each shard that has some of them, open while they are looked at."""
        by_day: dict[tuple[date | None, int], list[str]] = {}
        items = list(wanted)
        buckets = buckets_of((item.uid for item in items), self._n_bits)
        for item, bucket in zip(items, buckets, strict=True):
            day = None if item.created_at is None else item.created_at.astimezone(UTC).date()
            by_day.setdefault((day, bucket), []).append(item.uid)
        missing = {item.uid for item in items}
        for (day, bucket), uids in by_day.items():
            for reader, files in self._search_in(self._candidates(day, bucket), uids):
                missing -= {file.uid for file in files}
                yield reader, files
        if missing:
            # What is not found must not have been looked for in the wrong place.
            require_same_routing(self._storage, self._n_bits)

    def _search_in(
        self, shards: Iterable[str], uids: list[str]
    ) -> Iterator[tuple[ShardReader, list[StoredFile]]]:
        missing = dict.fromkeys(uids)
        damage: DamagedShard | None = None
        for shard in shards:
            if not missing:
                break
            with ExitStack() as stack:
                try:
                    reader = stack.enter_context(self.opened(shard))
                    entries = reader.find_many(missing)
                except FileNotFoundError:
                    continue
                except DamagedShard as exc:
                    damage = damage or exc
                    continue
                for uid in entries:
                    del missing[uid]
                yield reader, [StoredFile(uid, shard, entry) for uid, entry in entries.items()]
        if missing and damage is not None:
            raise damage

    def _all(self) -> Mapping[tuple[date, int], tuple[str, ...]]:
        if self._listing is None:
            self._listing = self._storage.list_shards()
        return self._listing
