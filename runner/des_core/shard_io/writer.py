"""Writes one shard, front to back, to a file that storage has opened.

The same entries in the same order with the same settings give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from des_core.basics.errors import DesError
from des_core.basics.routing import UnusableUid, encode_uid
from des_core.basics.storage_errors import storage_error
from des_core.shard_io.bigfiles import write_all
from des_core.shard_io.codecs import Compression, Payload, PayloadEncoder
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
    PLAIN_V2,
    SHA256_HEX,
    U16,
    U32,
    WRITTEN_VERSION,
    Codec,
    whole_entry,
)

# Payloads are joined to writes of this size: one system call and one hash update for many.
FLUSH_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class ShardStats:
    """A finished shard. `content_bytes` counts big files too; `sha256` is of the whole file."""

    files: int
    big_files: int
    content_bytes: int
    size_bytes: int
    sha256: str


class ShardWriter:
    """Add entries, then `finish()`. Leaves syncing, closing and publishing to storage.

    An entry that is refused (`UnusableUid`) leaves the shard as it was, so packing goes on.
    `StorageError` means that the file could not be written; the shard is then lost.
    """

    def __init__(
        self,
        file: BinaryIO,
        compression: Compression | None = None,
        *,
        encoder: PayloadEncoder | None = None,
        path: str | None = None,
    ) -> None:
        """`encoder` in place of `compression` lets many shards share one compressor.

        `path` is what errors call the file.
        """
        self._file = file
        self._path = path
        self._encoder = encoder or PayloadEncoder(compression or Compression())
        self._digest = hashlib.sha256()
        self._pending: list[bytes | bytearray] = [
            HEADER.pack(HEADER_MAGIC, WRITTEN_VERSION, bytes(3))
        ]
        self._pending_size = HEADER_SIZE
        self._index = bytearray(COUNT_SIZE)
        self._names: set[bytes] = set()
        self._offset = HEADER_SIZE
        self._content_bytes = 0
        self._big_files = 0
        self._finished = False
        self._writes = 0
        self.whole: bytes | None = None
        """All bytes of a finished shard that was small enough for one write, else None."""

    @property
    def files(self) -> int:
        """Entries so far, until it is finished."""
        return len(self._names)

    @property
    def size_bytes(self) -> int:
        """What the shard would measure if it were finished now."""
        return self._offset + len(self._index) + FOOTER_SIZE

    def add(
        self,
        uid: str,
        payload: Payload,
        *,
        store_raw: bool = False,
        meta: Mapping[str, object] | None = None,
    ) -> None:
        """Add a file with its content; `store_raw` for what is compressed already."""
        name = self._check(uid)
        tail = _encode_meta(meta)
        codec, stored = self._encoder.encode(payload, store_raw=store_raw)
        self._append(name, codec, stored, len(payload), tail)

    def add_many(
        self, uids: Sequence[str], payloads: Sequence[Payload], store_raw: Sequence[bool]
    ) -> None:
        """As `add` of each, faster. What comes before an entry that is refused has been added."""
        self._check_open()
        names = self._new_names(uids)
        if names is None:
            for uid, payload, raw in zip(uids, payloads, store_raw, strict=True):
                self.add(uid, payload, store_raw=raw)
            return
        codecs, stored = self._encoder.encode_many(payloads, store_raw)
        lengths = list(map(len, stored))
        sizes = list(map(len, payloads))
        offsets = accumulate(lengths, initial=self._offset)
        name_lengths = list(map(len, names))
        entries = zip(name_lengths, names, offsets, lengths, codecs, sizes, strict=False)
        pack = {length: whole_entry(length).pack for length in set(name_lengths)}
        self._index += b"".join(
            [
                pack[name_len](name_len, name, 0, offset, length, codec, length, size, 0)
                for name_len, name, offset, length, codec, size in entries
            ]
        )
        self._names.update(names)
        self._pending += stored
        self._count(sum(lengths), sum(sizes))

    def add_bigfile(
        self, uid: str, sha256: str, size: int, *, meta: Mapping[str, object] | None = None
    ) -> None:
        """Add a file whose content storage keeps as `_bigFiles/<sha256>`."""
        if not SHA256_HEX.fullmatch(sha256):
            raise DesError("not a sha256 in lower-case hex", sha256=sha256)
        name = self._check(uid)
        tail = _encode_meta(meta)
        record = BIG_V2.pack(FLAG_BIG, HASH_LEN, sha256.encode(), size, len(tail))
        self._enter(name, record, tail)
        self._big_files += 1
        self._content_bytes += size

    def finish(self) -> ShardStats:
        """Write index and footer, and hand the file back written but neither synced nor closed."""
        self._check_open()
        self._finished = True
        U32.pack_into(self._index, 0, self.files)
        self._pending.append(self._index)
        self._pending.append(FOOTER.pack(FOOTER_MAGIC, len(self._index)))
        last = self._flush()
        if self._writes == 1:
            self.whole = last
        stats = ShardStats(
            files=self.files,
            big_files=self._big_files,
            content_bytes=self._content_bytes,
            size_bytes=self.size_bytes,
            sha256=self._digest.hexdigest(),
        )
        # Several finished shards wait to be synced: none needs to know its names twice.
        self._names.clear()
        self._index.clear()
        return stats

    def _check(self, uid: str) -> bytes:
        self._check_open()
        name = encode_uid(uid)
        if name in self._names:
            raise UnusableUid("the uid is in this shard already", uid=uid)
        return name

    def _new_names(self, uids: Sequence[str]) -> list[bytes] | None:
        """The uids as they are stored, or None if one of them will be refused."""
        try:
            names = list(map(encode_uid, uids))
        except UnusableUid:
            return None
        are_new = self._names.isdisjoint(names) and len(set(names)) == len(names)
        return names if are_new else None

    def _check_open(self) -> None:
        if self._finished:
            raise DesError("the shard is finished")

    def _append(self, name: bytes, codec: Codec, stored: bytes, size: int, meta: bytes) -> None:
        length = len(stored)
        self._enter(
            name, PLAIN_V2.pack(0, self._offset, length, codec, length, size, len(meta)), meta
        )
        self._pending.append(stored)
        self._count(length, size)

    def _count(self, stored_bytes: int, content_bytes: int) -> None:
        """Payloads that were appended to `_pending`."""
        self._offset += stored_bytes
        self._content_bytes += content_bytes
        self._pending_size += stored_bytes
        if self._pending_size >= FLUSH_SIZE:
            self._flush()

    def _enter(self, name: bytes, record: bytes, meta: bytes) -> None:
        self._index += U16.pack(len(name))
        self._index += name
        self._index += record
        self._index += meta
        self._names.add(name)

    def _flush(self) -> bytes:
        chunk = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        self._digest.update(chunk)
        try:
            write_all(self._file, chunk)
        except OSError as exc:
            raise storage_error("cannot write the shard", exc, self._path) from exc
        self._writes += 1
        return chunk


def _encode_meta(meta: Mapping[str, object] | None) -> bytes:
    """Compact JSON with sorted keys, in ASCII: one object has one form."""
    if not meta:
        return b""
    text = json.dumps(meta, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_META_BYTES:
        raise DesError("the meta of an entry is too long", bytes=len(text), limit=MAX_META_BYTES)
    return text
