"""Reads a whole shard once, front to back, and checks whatever the format allows to check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_core.basics.errors import DamagedShard
from des_core.shard_io.codecs import ONE_SHOT_LIMIT
from des_core.shard_io.layout import HEADER_SIZE, ShardEntry
from des_core.shard_io.reader import CHUNK_SIZE, ShardReader

if TYPE_CHECKING:
    from hashlib import _Hash

GAP = "payloads overlap or leave a gap"


@dataclass(frozen=True, slots=True)
class ShardCheck:
    """What a sound shard holds. Sizes in bytes; `sha256` is of the whole file, in hex;
    `dictionaries` are the names of those that its frames need.

    Payloads stored raw, uids and meta have no checksum of their own: compare `sha256`
    with the ledger's.
    """

    files: int
    big_files: int
    content_bytes: int
    size_bytes: int
    sha256: str
    dictionaries: tuple[str, ...] = ()


def verify_shard(reader: ShardReader) -> ShardCheck:
    """Check frame, index, coverage of the data area, and the content of every entry.

    Big files are read from where the reader finds them. `DamagedShard` names the first fault.
    """
    try:
        try:
            return _verify_in_order(reader, reader.entries())
        except _OutOfOrderError:
            # Readers need no order, so another writer may have sorted its index.
            return _verify_in_order(reader, sorted(reader.entries(), key=_by_offset))
    except DamagedShard as exc:
        exc.facts.setdefault("shard", reader.name)
        raise


class _OutOfOrderError(DamagedShard):
    """A payload does not follow the one before."""


def _by_offset(entry: ShardEntry) -> tuple[int, int]:
    return entry.offset, entry.stored_size


def _verify_in_order(reader: ShardReader, entries: Iterable[ShardEntry]) -> ShardCheck:
    digest = hashlib.sha256(reader.read_range(0, HEADER_SIZE))
    data = _DataArea(reader, digest)
    uids: set[str] = set()
    content_bytes = big_files = 0
    for entry in entries:
        if entry.is_big:
            big_files += 1
            _exhaust(reader.stream(entry))
        else:
            _check_content(reader, entry, data)
        content_bytes += entry.size
        uids.add(entry.uid)
        if entry.meta_json:
            _ = entry.meta
    if data.position != reader.frame.index_start:
        raise _OutOfOrderError(GAP, offset=data.position, next=reader.frame.index_start)
    if len(uids) != len(reader):
        raise DamagedShard("a uid is in the shard twice", shard=reader.name)
    _hash_rest(reader, digest)
    return ShardCheck(
        files=len(uids),
        big_files=big_files,
        content_bytes=content_bytes,
        size_bytes=reader.frame.size,
        sha256=digest.hexdigest(),
        dictionaries=reader.dictionaries,
    )


def _check_content(reader: ShardReader, entry: ShardEntry, data: _DataArea) -> None:
    if entry.offset != data.position:
        raise _OutOfOrderError(GAP, uid=entry.uid, offset=data.position, next=entry.offset)
    if entry.stored_size <= CHUNK_SIZE and entry.size <= ONE_SHOT_LIMIT:
        reader.decode(entry, data.take(entry.stored_size))
    else:
        _exhaust(reader.decode_stream(entry, data.pieces(entry.stored_size)))


class _DataArea:
    """The payloads of a shard as one sequence, hashed as it is read."""

    def __init__(self, reader: ShardReader, digest: _Hash) -> None:
        self._reader = reader
        self._digest = digest
        self._loaded = HEADER_SIZE
        self._window = b""
        self._at = 0

    @property
    def position(self) -> int:
        """The offset in the shard of what comes next."""
        return self._loaded - len(self._window) + self._at

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._window):
            return b"".join(self.pieces(length))
        piece = self._window[self._at : end]
        self._at = end
        return piece

    def pieces(self, length: int) -> Iterator[bytes]:
        while length:
            if self._at == len(self._window):
                self._load()
            piece = self._window[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def _load(self) -> None:
        size = min(CHUNK_SIZE, self._reader.frame.index_start - self._loaded)
        self._window = self._reader.read_range(self._loaded, size)
        self._digest.update(self._window)
        self._loaded += size
        self._at = 0


def _hash_rest(reader: ShardReader, digest: _Hash) -> None:
    for offset in range(reader.frame.index_start, reader.frame.size, CHUNK_SIZE):
        digest.update(reader.read_range(offset, min(CHUNK_SIZE, reader.frame.size - offset)))


def _exhaust(pieces: Iterable[bytes]) -> None:
    for _ in pieces:
        pass
