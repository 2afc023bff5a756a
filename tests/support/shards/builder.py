"""Builds shards field by field, also such as no writer makes: version 1, lz4, damaged, hostile."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RawEntry:
    """What goes into an entry as it comes; None means what is right."""

    uid: bytes
    stored: bytes = b""
    codec: int = 0
    size: int | None = None
    offset: int | None = None
    length: int | None = None
    stored_size: int | None = None
    meta: bytes = b""
    meta_len: int | None = None
    name_len: int | None = None
    flags: int = 0
    sha256: bytes = b""


def build_shard(
    entries: Sequence[RawEntry],
    *,
    version: int = 2,
    count: int | None = None,
    index_size: int | None = None,
    after_data: bytes = b"",
    after_index: bytes = b"",
) -> bytes:
    """The bytes of a shard with these entries and oddities."""
    data = b"DES2" + bytes((version, 0, 0, 0))
    index = struct.pack("<I", len(entries) if count is None else count)
    for entry in entries:
        index += _encode(entry, len(data), version)
        data += entry.stored
    index += after_index
    size = len(index) if index_size is None else index_size
    return data + after_data + index + b"DESI" + struct.pack("<Q", size)


def _encode(entry: RawEntry, position: int, version: int) -> bytes:
    name = struct.pack("<H", _or(entry.name_len, len(entry.uid))) + entry.uid
    meta = struct.pack("<I", _or(entry.meta_len, len(entry.meta))) + entry.meta
    size = _or(entry.size, len(entry.stored))
    if entry.flags & 1:
        digest = struct.pack("<H", len(entry.sha256)) + entry.sha256
        return name + bytes((entry.flags,)) + digest + struct.pack("<Q", size) + meta
    place = struct.pack(
        "<QQBQQ",
        _or(entry.offset, position),
        _or(entry.length, len(entry.stored)),
        entry.codec,
        _or(entry.stored_size, len(entry.stored)),
        size,
    )
    return name + place if version == 1 else name + bytes((entry.flags,)) + place + meta


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
