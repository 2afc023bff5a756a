"""Reads a shard back that has just been written, and decodes every entry of it.

1. Header, index and footer are read from the file anew, and each entry's place is taken
   from there, not from memory.
2. The payloads must follow each other without a gap, from the header to the index.
3. Each compressed payload is decoded: its frame carries a checksum of the content that went in,
   and the size must be the index's.
4. All bytes read must be the bytes written, which proves the rest: raw payloads, uids, order.
   A small shard is compared with what is still in memory, another by its hash.

`verify_shard` does the same for shards of anybody, one entry at a time; here the entries of a
window are decoded by one call.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from struct import error as StructError  # noqa: N812 - struct's own name would hide the module

import zstandard

from des_core.basics.errors import DamagedShard
from des_core.shard_io import Blob, BytesBlob, Codec, ShardStats
from des_core.shard_io.dictionaries import Dictionary
from des_core.shard_io.index import Frame, read_frame
from des_core.shard_io.layout import (
    BIG_V2,
    COUNT_SIZE,
    FLAG_BIG,
    HEADER_SIZE,
    PLAIN_V2,
    U16,
    U32,
    whole_entry,
)

# Offset, length, codec and size.
_Entry = tuple[int, int, int, int]
# Plain numbers: comparing with a member of the enumeration is a call.
_RAW = int(Codec.NONE)
_BIG = -1

# In a zstd frame: the descriptor behind the magic number, and what of it says that an id follows.
DESCRIPTOR_AT = 4
DICTIONARY_FLAGS = 3

# A window is decoded at once: bounded in what is read, in what comes out, and in entries.
WINDOW_STORED = 1 << 20
WINDOW_CONTENT = 8 << 20


@dataclass(slots=True)
class _Window:
    """Neighbouring payloads: their stored bytes from `start` to `end`, and what to decode."""

    start: int
    end: int
    content_bytes: int = 0
    segments: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))

    def parted(self, stored: bytes) -> tuple[_Window, _Window]:
        """The frames that name no dictionary, and those that name one."""
        parts = _Window(self.start, self.end), _Window(self.start, self.end)
        places = iter(self.segments)
        for offset, length, size in zip(places, places, self.sizes, strict=True):
            part = parts[bool(stored[offset + DESCRIPTOR_AT] & DICTIONARY_FLAGS)]
            part.segments.extend((offset, length))
            part.sizes.append(size)
        return parts


class DraftCheck:
    """Checks drafts one after another; what decodes them is kept from one to the next."""

    def __init__(self) -> None:
        self._alone = zstandard.ZstdDecompressor()
        self._dictionary: Dictionary | None = None
        self._with_dictionary = self._alone

    def check(
        self,
        blob: Blob,
        written: ShardStats,
        whole: bytes | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        """`DamagedShard` unless the file is what the writer counted and hashed.

        `whole` is all that was written, if it is still in memory; `dictionary` what its small
        files were compressed with.
        """
        if dictionary is not self._dictionary:
            self._dictionary = dictionary
            if dictionary is not None:
                self._with_dictionary = zstandard.ZstdDecompressor(dict_data=dictionary.zstd())
        try:
            if whole is not None:
                blob = _read_equal(blob, whole)
            self._check(blob, written, is_equal=whole is not None)
        except (StructError, IndexError) as exc:
            raise DamagedShard("the index is cut") from exc

    def _check(self, blob: Blob, written: ShardStats, *, is_equal: bool) -> None:
        frame = read_frame(blob.read_range, blob.size())
        index = blob.read_range(frame.index_start, frame.index_size)
        digest = hashlib.sha256(blob.read_range(0, HEADER_SIZE))
        position = HEADER_SIZE
        for window in _windows(index, frame, written):
            stored = blob.read_range(window.start, window.end - window.start)
            if not is_equal:
                digest.update(stored)
            position = window.end
            self._decode_all(stored, window)
        if position != frame.index_start:
            raise DamagedShard("the payloads do not reach the index", offset=position)
        digest.update(index)
        digest.update(blob.read_range(frame.index_end, frame.size - frame.index_end))
        if not is_equal and digest.hexdigest() != written.sha256:
            raise _not_as_written()

    def _decode_all(self, stored: bytes, window: _Window) -> None:
        if self._dictionary is None:
            _decode(self._alone, stored, window)
            return
        alone, with_dictionary = window.parted(stored)
        _decode(self._alone, stored, alone)
        _decode(self._with_dictionary, stored, with_dictionary)


def _decode(decompressor: zstandard.ZstdDecompressor, stored: bytes, window: _Window) -> None:
    if window.sizes:
        frames = zstandard.BufferWithSegments(stored, window.segments.tobytes())
        try:
            decoded = decompressor.multi_decompress_to_buffer(
                frames, decompressed_sizes=window.sizes.tobytes()
            )
        except (zstandard.ZstdError, ValueError) as exc:
            raise DamagedShard("a payload does not decode", offset=window.start) from exc
        if len(decoded) != len(window.sizes):
            raise DamagedShard("a payload is missing", offset=window.start)


def _read_equal(blob: Blob, whole: bytes) -> BytesBlob:
    """The file, read at once and equal to what was written."""
    found = blob.read_range(0, blob.size())
    if found != whole:
        raise _not_as_written()
    return BytesBlob(found, blob.name)


def _not_as_written() -> DamagedShard:
    return DamagedShard("the bytes are not those that were written")


def _windows(index: bytes, frame: Frame, written: ShardStats) -> list[_Window]:
    """The payloads that the index lists, in windows; refuses an index that we did not write."""
    if U32.unpack_from(index)[0] != written.files:
        raise DamagedShard("the index declares another number of entries", files=written.files)
    position, content_bytes = HEADER_SIZE, 0
    window = _Window(position, position)
    windows = [window]
    entries = _uniform_entries(index, written.files) or _entries(index, written.files)
    for offset, length, codec, size in entries:
        content_bytes += size
        if codec == _BIG:
            continue
        if offset != position or offset + length > frame.index_start:
            raise DamagedShard("payloads overlap or leave a gap", offset=position, next=offset)
        if window.end > window.start and (
            window.end + length - window.start > WINDOW_STORED
            or window.content_bytes + size > WINDOW_CONTENT
        ):
            window = _Window(position, position)
            windows.append(window)
        if codec != _RAW:
            window.segments.extend((offset - window.start, length))
            window.sizes.append(size)
        window.content_bytes += size
        window.end = position = offset + length
    # Before anything is decoded: a false size could ask for more memory than there is.
    if content_bytes != written.content_bytes:
        raise DamagedShard("the index is not the one that was written", offset=frame.index_start)
    return windows


def _uniform_entries(index: bytes, files: int) -> Iterator[_Entry] | None:
    """The entries, where all are of plain files with names of one length; else None.

    So they usually are, and then one call takes them apart.
    """
    name_len = U16.unpack_from(index, COUNT_SIZE)[0] if files else 0
    entry = whole_entry(name_len)
    entries = memoryview(index)[COUNT_SIZE:]
    if len(entries) != files * entry.size:
        return None
    if any(each[0] != name_len or each[2] or each[8] for each in entry.iter_unpack(entries)):
        return None
    return map(itemgetter(3, 4, 5, 7), entry.iter_unpack(entries))


def _entries(index: bytes, files: int) -> Iterator[_Entry]:
    """The entries one by one; refuses an index that is longer than they are."""
    at = COUNT_SIZE
    for _ in range(files):
        at += U16.size + U16.unpack_from(index, at)[0]
        if index[at] == FLAG_BIG:
            yield 0, 0, _BIG, BIG_V2.unpack_from(index, at)[3]
            at += BIG_V2.size
            continue
        _, offset, length, codec, _, size, _ = PLAIN_V2.unpack_from(index, at)
        yield offset, length, codec, size
        at += PLAIN_V2.size
    if at != len(index):
        raise DamagedShard("the index is not the one that was written", bytes=at)
