"""Opens a shard and gives back its entries and their content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from des_core.basics.errors import DamagedShard, StorageError, UsageError
from des_core.basics.routing import UnusableUid, encode_uid
from des_core.shard_io.bigfiles import stream_checked
from des_core.shard_io.blobs import Blob, LocalBlob
from des_core.shard_io.codecs import PayloadDecoder
from des_core.shard_io.companions import Companions, directory_companions
from des_core.shard_io.index import Frame, IndexBytes, IndexWalk, read_frame
from des_core.shard_io.layout import ShardEntry
from des_core.shard_io.lookup import Lookup

# One range read usually brings the footer together with the index of a small shard.
TAIL_SIZE = 64 << 10
CHUNK_SIZE = 1 << 20
# From so many uids on, one walk is cheaper than a search for each.
WALK_FROM = 64
MAX_READ_BYTES = 1 << 30


def open_shard(source: str | Path | Blob, companions: Companions | None = None) -> ShardReader:
    """Open a shard by path, or a blob, which the reader then owns.

    Big files and dictionaries are looked for beside a local shard, unless `companions` are given.
    `StorageError` where there is no such file or it cannot be read.
    """
    if not isinstance(source, (str, Path)):
        return ShardReader(source, companions)
    try:
        blob = LocalBlob(source)
    except FileNotFoundError as exc:
        raise StorageError("there is no such shard", shard=source) from exc
    return ShardReader(blob, companions or directory_companions(Path(source).parent))


class ShardReader:
    """One open shard. Whatever its bytes are, faults are `DamagedShard` and memory is bounded.

    Header and footer are checked on opening, entries as they are read, content as it is
    decoded; `verify_shard` checks everything. Not for use by two threads at once.
    """

    def __init__(self, blob: Blob, companions: Companions | None = None) -> None:
        self._blob = blob
        self._companions = companions
        self._decoder = PayloadDecoder(companions.dictionaries if companions else None)
        self._size = blob.size()
        self._tail_start = max(0, self._size - TAIL_SIZE)
        self._tail = b""
        try:
            with self._located():
                self._tail = self.read_range(self._tail_start, self._size - self._tail_start)
                self.frame: Frame = read_frame(self.read_range, self._size)
                index = IndexBytes(self.read_range, self.frame)
                self._walk = IndexWalk(index)
                self._lookup = Lookup(index)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many entries the index declares."""
        return self._walk.count

    @property
    def name(self) -> str:
        """The path or object name that messages show."""
        return self._blob.name

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """The names of the dictionaries that what was read so far was compressed with."""
        return tuple(sorted(self._decoder.used))

    def close(self) -> None:
        """Close the blob; the reader is of no use afterwards."""
        self._blob.close()

    def entries(self) -> Iterator[ShardEntry]:
        """All entries in the order of the index, each checked."""
        with self._located():
            yield from self._walk

    def sound_entries(self, on_fault: Callable[[DamagedShard], None]) -> Iterator[ShardEntry]:
        """The same, but an entry that cannot be true is told and passed over."""

        def located(fault: DamagedShard) -> None:
            self._locate(fault, None)
            on_fault(fault)

        with self._located():
            yield from self._walk.sound_entries(located)

    def find(self, uid: str) -> ShardEntry | None:
        """The first entry of `uid`, or None. Far cheaper than `entries()` in a large index."""
        return self.find_many((uid,)).get(uid)

    def find_many(self, uids: Iterable[str]) -> dict[str, ShardEntry]:
        """The entries of those of the uids that the shard has."""
        wanted = _storable(uids)
        with self._located():
            return self._lookup.find(wanted) if len(wanted) < WALK_FROM else self._walk_for(wanted)

    def read(self, entry: ShardEntry, *, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """The content of one entry, checked. Above `max_bytes` it is refused: use `stream`."""
        if entry.size > max_bytes:
            raise UsageError(
                "the content is too large to be held in memory",
                uid=entry.uid,
                size=entry.size,
                limit=max_bytes,
                hint="write it to a file instead",
            )
        if entry.is_big:
            return b"".join(self.stream(entry))
        stored = self.read_range(entry.offset, entry.stored_size)
        return self.decode(entry, stored)

    def stream(self, entry: ShardEntry) -> Iterator[bytes]:
        """The content in pieces of bounded size.

        Throw away what came if the end is a `DamagedShard`: only the last piece completes
        the check.
        """
        return self.decode_stream(entry, self._stored_pieces(entry))

    def decode(self, entry: ShardEntry, stored: bytes) -> bytes:
        """The content of an entry whose stored bytes were read elsewhere."""
        try:
            return self._decoder.decode(entry.codec, stored, entry.size)
        except DamagedShard as exc:
            self._locate(exc, entry)
            raise

    def decode_stream(self, entry: ShardEntry, stored: Iterable[bytes]) -> Iterator[bytes]:
        """As `stream`, of stored bytes that were read elsewhere; unused for a big file."""
        with self._located(entry):
            if entry.sha256 is None:
                yield from self._decoder.stream(entry.codec, stored, entry.size)
            else:
                yield from self._big_pieces(entry.sha256, entry.size)

    def read_range(self, offset: int, length: int) -> bytes:
        """Bytes of the shard itself, exactly `length` of them."""
        at = offset - self._tail_start
        if at >= 0 and at + length <= len(self._tail):
            return self._tail[at : at + length]
        data = self._blob.read_range(offset, length)
        if len(data) != length:
            raise DamagedShard(
                "the shard ended early", shard=self.name, offset=offset, wanted=length
            )
        return data

    def _walk_for(self, wanted: dict[str, bytes]) -> dict[str, ShardEntry]:
        found: dict[str, ShardEntry] = {}
        for entry in self._walk:
            if entry.uid in wanted:
                found.setdefault(entry.uid, entry)
                if len(found) == len(wanted):
                    break
        return found

    def _stored_pieces(self, entry: ShardEntry) -> Iterator[bytes]:
        end = entry.offset + entry.stored_size
        for offset in range(entry.offset, end, CHUNK_SIZE):
            yield self.read_range(offset, min(CHUNK_SIZE, end - offset))

    def _big_pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        if self._companions is None:
            raise UsageError("nobody said where this shard's big files are", shard=self.name)
        blob = self._companions.open_big(sha256)
        try:
            yield from stream_checked(blob, sha256, size)
        finally:
            blob.close()

    @contextmanager
    def _located(self, entry: ShardEntry | None = None) -> Iterator[None]:
        """Tell a fault which shard and entry it is about."""
        try:
            yield
        except DamagedShard as exc:
            self._locate(exc, entry)
            raise

    def _locate(self, fault: DamagedShard, entry: ShardEntry | None) -> None:
        fault.facts.setdefault("shard", self.name)
        if entry is not None:
            fault.facts.setdefault("uid", entry.uid)
            fault.facts.setdefault("offset", entry.offset)


def _storable(uids: Iterable[str]) -> dict[str, bytes]:
    """The uids with their stored form; one that no shard can hold is in none."""
    wanted = {}
    for uid in uids:
        try:
            wanted[uid] = encode_uid(uid)
        except UnusableUid:
            continue
    return wanted
