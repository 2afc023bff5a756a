"""The index of a shard: where it lies, and its entries one after another, each checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import error as StructError  # noqa: N812 - struct's own name would hide the module

from des_core.basics.errors import DamagedShard
from des_core.shard_io.layout import (
    BIG_V2,
    COUNT_SIZE,
    FLAG_BIG,
    FOOTER,
    FOOTER_MAGIC,
    FOOTER_SIZE,
    HASH_LEN,
    HEADER,
    HEADER_MAGIC,
    HEADER_SIZE,
    MAX_META_BYTES,
    MIN_ENTRY_SIZE,
    PLAIN_V1,
    PLAIN_V2,
    READ_VERSIONS,
    SHA256_HEX,
    U16,
    U32,
    Codec,
    ShardEntry,
)

WINDOW = 1 << 20

ReadRange = Callable[[int, int], bytes]
# As `EntryParser.parse`; without an entry, where the next one starts all the same.
Parse = Callable[[bytes, int, int], tuple[ShardEntry | None, int] | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """The outline of a shard: its version, where its index starts, and both sizes in bytes."""

    version: int
    size: int
    index_start: int
    index_size: int

    @property
    def entries_start(self) -> int:
        """Where the first entry lies in the file."""
        return self.index_start + COUNT_SIZE

    @property
    def index_end(self) -> int:
        """Where the footer starts."""
        return self.index_start + self.index_size


def read_frame(read: ReadRange, size: int) -> Frame:
    """Check header and footer of a shard of `size` bytes."""
    if size < HEADER_SIZE + COUNT_SIZE + FOOTER_SIZE:
        raise DamagedShard("too short for a shard", size=size)
    magic, version, zeros = HEADER.unpack(read(0, HEADER_SIZE))
    if magic != HEADER_MAGIC:
        raise DamagedShard("not a shard: the header is not DES2", offset=0)
    if version not in READ_VERSIONS:
        raise DamagedShard("unknown version of the shard format", version=version, offset=4)
    if any(zeros):
        raise DamagedShard("the reserved bytes of the header are not zero", offset=5)
    footer_start = size - FOOTER_SIZE
    magic, index_size = FOOTER.unpack(read(footer_start, FOOTER_SIZE))
    if magic != FOOTER_MAGIC:
        raise DamagedShard("the footer is not DESI; the end is missing", offset=footer_start)
    if not COUNT_SIZE <= index_size <= footer_start - HEADER_SIZE:
        raise DamagedShard(
            "the size of the index does not fit the shard",
            index_size=index_size,
            offset=footer_start + 4,
        )
    return Frame(version, size, footer_start - index_size, index_size)


class DamagedEntry(DamagedShard):
    """One entry cannot be true, but where the next one starts is known: `length` bytes on."""

    length = 0


class EntryParser:
    """Takes one entry at a time from bytes of the index, and refuses what cannot be true."""

    def __init__(self, version: int, data_end: int, *, is_strict: bool = True) -> None:
        """Unless it `is_strict`, a uid that is no Unicode text comes with lone surrogates."""
        self.version = version
        self._data_end = data_end
        self._errors = "strict" if is_strict else "surrogateescape"

    def parse(self, buffer: bytes, at: int, base: int) -> tuple[ShardEntry, int] | None:
        """The entry at `buffer[at:]` and where the next one starts; None if the buffer is short.

        `base` is the buffer's own offset in the shard, for messages.
        """
        try:
            name_end = at + 2 + U16.unpack_from(buffer, at)[0]
            if self.version == 1:
                offset, length, codec, stored, size = PLAIN_V1.unpack_from(buffer, name_end)
                end = name_end + PLAIN_V1.size
                meta = b""
            else:
                if buffer[name_end]:
                    return self._parse_flagged(buffer, at, name_end, base)
                _, offset, length, codec, stored, size, meta_size = PLAIN_V2.unpack_from(
                    buffer, name_end
                )
                meta_at = name_end + PLAIN_V2.size
                end = meta_at + meta_size
                if end > len(buffer):
                    _check_meta_size(meta_size, base + at)
                    return None
                meta = buffer[meta_at:end]
        except (StructError, IndexError):
            return None
        if (
            length != stored
            or offset < HEADER_SIZE
            or offset + length > self._data_end
            or codec > Codec.LZ4
            or (codec == Codec.NONE and stored != size)
        ):
            fault = _implausible(offset, length, codec, stored, size, base + at)
            fault.length = end - at
            raise fault
        uid = self._decode_uid(buffer[at + 2 : name_end], base + at)
        return ShardEntry(uid, size, codec, offset, stored, None, meta), end

    def _parse_flagged(
        self, buffer: bytes, at: int, name_end: int, base: int
    ) -> tuple[ShardEntry, int] | None:
        if buffer[name_end] != FLAG_BIG:
            raise DamagedShard(
                "an index entry has unknown flags", flags=buffer[name_end], offset=base + at
            )
        _, hash_size, digest, size, meta_size = BIG_V2.unpack_from(buffer, name_end)
        sha256 = digest.decode("ascii", "replace")
        if hash_size != HASH_LEN or not SHA256_HEX.fullmatch(sha256):
            raise DamagedShard("a big file's hash is not a sha256", offset=base + at)
        meta_at = name_end + BIG_V2.size
        end = meta_at + meta_size
        if end > len(buffer):
            _check_meta_size(meta_size, base + at)
            return None
        uid = self._decode_uid(buffer[at + 2 : name_end], base + at)
        return ShardEntry(uid, size, Codec.NONE, 0, 0, sha256, buffer[meta_at:end]), end

    def _decode_uid(self, name: bytes, offset: int) -> str:
        try:
            return name.decode("utf-8", self._errors)
        except UnicodeDecodeError as exc:
            raise DamagedShard("a uid is not UTF-8", offset=offset) from exc


class IndexBytes:
    """Loads an index in windows, so that its size costs no memory."""

    def __init__(self, read: ReadRange, frame: Frame, window: int = WINDOW) -> None:
        self._read = read
        self.frame = frame
        self._window = window

    def read_count(self) -> int:
        """How many entries the index declares."""
        count: int = U32.unpack(self._read(self.frame.index_start, COUNT_SIZE))[0]
        return count

    def load(self, offset: int, at_least: int = 0) -> bytes:
        """A window from `offset` in the shard on; empty at the end of the index."""
        left = self.frame.index_end - offset
        return self._read(offset, min(left, max(self._window, at_least))) if left else b""

    def extend(self, buffer: bytes, at: int, base: int) -> bytes:
        """`buffer[at:]` and what follows it, where the buffer ends inside the entry at `at`."""
        # As much again as is left of the buffer keeps re-reading a long entry linear.
        more = self.load(base + len(buffer), at_least=len(buffer) - at)
        if not more:
            raise DamagedShard("the index ends inside an entry", offset=base + at)
        return buffer[at:] + more


class IndexWalk:
    """All entries of an index, in their order. Checks the count at once, the rest on the way."""

    def __init__(self, index: IndexBytes) -> None:
        frame = index.frame
        self._index = index
        self._parser = EntryParser(frame.version, frame.index_start)
        self.count = index.read_count()
        if self.count * MIN_ENTRY_SIZE[frame.version] > frame.index_size - COUNT_SIZE:
            raise DamagedShard(
                "the index is too small for its entries",
                entries=self.count,
                index_size=frame.index_size,
                offset=frame.index_start,
            )

    def __iter__(self) -> Iterator[ShardEntry]:
        return self._entries(self._parser.parse)

    def sound_entries(self, on_fault: Callable[[DamagedShard], None]) -> Iterator[ShardEntry]:
        """All that can be read, also of a writer that breaks the rules: faults are only told."""
        frame = self._index.frame
        parse = EntryParser(frame.version, frame.index_start, is_strict=False).parse

        def tolerant(buffer: bytes, at: int, base: int) -> tuple[ShardEntry | None, int] | None:
            try:
                return parse(buffer, at, base)
            except DamagedEntry as exc:
                on_fault(exc)
                return None, at + exc.length

        return self._entries(tolerant)

    def _entries(self, parse: Parse) -> Iterator[ShardEntry]:
        index = self._index
        base, at = index.frame.entries_start, 0
        buffer = index.load(base)
        for number in range(self.count):
            try:
                while (parsed := parse(buffer, at, base)) is None:
                    buffer, base, at = index.extend(buffer, at, base), base + at, 0
            except DamagedShard as exc:
                exc.facts.setdefault("entry", number)
                raise
            entry, at = parsed
            if entry is not None:
                yield entry
        if base + at != index.frame.index_end:
            raise DamagedShard("there are bytes after the last index entry", offset=base + at)


def _check_meta_size(meta_size: int, offset: int) -> None:
    if meta_size > MAX_META_BYTES:
        raise DamagedShard("the meta of an entry is too long", bytes=meta_size, offset=offset)


def _implausible(
    offset: int, length: int, codec: int, stored: int, size: int, at: int
) -> DamagedEntry:
    """Say which field of an entry cannot be true."""
    if length != stored:
        what = "length and compressed size of an entry differ"
    elif codec > Codec.LZ4:
        what = "an entry has an unknown codec"
    elif codec == Codec.NONE and stored != size:
        what = "an uncompressed entry has two sizes"
    else:
        what = "an entry's payload lies outside the data area"
    return DamagedEntry(
        what,
        payload=offset,
        length=length,
        codec=codec,
        compressed_size=stored,
        uncompressed_size=size,
        offset=at,
    )
