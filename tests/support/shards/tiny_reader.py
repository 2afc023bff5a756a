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
            content = _decode(codec, data[offset : offset + length])
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


def _decode(codec: int, stored: bytes) -> bytes:
    if codec == 0:
        return stored
    if codec == 1:
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    import lz4.frame

    return lz4.frame.decompress(stored)
