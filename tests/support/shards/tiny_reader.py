"""A second reader of the shard format, written from docs/format.md alone.

It shares no code with the product, so that both cannot be wrong in the same way.
"""

import hashlib
import json
import struct
from pathlib import Path

import zstandard


def read_shard(path: Path) -> dict[str, tuple[bytes, dict | None]]:
    """uid → (content, meta); asserts everything that the format promises."""
    data = path.read_bytes()
    assert data[:4] == b"DES2"
    version = data[4]
    assert version in (1, 2)
    assert data[5:8] == b"\0\0\0"
    assert data[-12:-8] == b"DESI"
    (index_size,) = struct.unpack("<Q", data[-8:])
    index = data[len(data) - 12 - index_size : -12]
    (count,) = struct.unpack("<I", index[:4])
    rest = index[4:]
    files: dict[str, tuple[bytes, dict | None]] = {}
    next_offset = 8
    for _ in range(count):
        name, rest = _take(rest, "<H")
        meta = b""
        if version == 2 and rest[0] & 1:
            digest, rest = _take(rest[1:], "<H")
            (size,) = struct.unpack("<Q", rest[:8])
            meta, rest = _take(rest[8:], "<I")
            content = (path.parent / "_bigFiles" / digest.decode("ascii")).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest.decode("ascii")
        else:
            if version == 2:
                assert rest[0] == 0
                rest = rest[1:]
            offset, length, codec, stored, size = struct.unpack("<QQBQQ", rest[:33])
            rest = rest[33:]
            if version == 2:
                meta, rest = _take(rest, "<I")
            assert length == stored
            assert offset == next_offset
            next_offset += length
            content = _decode(codec, data[offset : offset + length], path.parent)
        assert len(content) == size
        assert name.decode() not in files
        files[name.decode()] = (content, json.loads(meta) if meta else None)
    assert rest == b""
    assert next_offset == len(data) - 12 - index_size
    return files


def _take(data: bytes, prefix: str) -> tuple[bytes, bytes]:
    """A length-prefixed field, and what follows it."""
    at = struct.calcsize(prefix)
    (length,) = struct.unpack(prefix, data[:at])
    assert len(data) >= at + length
    return data[at : at + length], data[at + length :]


def _decode(codec: int, stored: bytes, beside: Path) -> bytes:
    if codec == 0:
        return stored
    if codec == 1:
        dict_id = _dictionary_id(stored)
        dictionary = _dictionary(beside / "_dictionaries", dict_id) if dict_id else None
        return zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj().decompress(stored)
    import lz4.frame

    return lz4.frame.decompress(stored)


def _dictionary_id(frame: bytes) -> int:
    """As RFC 8878 has it: behind the descriptor, and behind the window unless there is none."""
    descriptor = frame[4]
    start = 5 if descriptor & 0x20 else 6
    return int.from_bytes(frame[start : start + (0, 1, 2, 4)[descriptor & 3]], "little")


def _dictionary(directory: Path, dict_id: int) -> zstandard.ZstdCompressionDict:
    """The first copy that agrees with its name."""
    for path in sorted(directory.glob(f"{dict_id:010d}_*")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == path.name[11:75]:
            return zstandard.ZstdCompressionDict(content)
    raise AssertionError(f"no dictionary {dict_id}")
