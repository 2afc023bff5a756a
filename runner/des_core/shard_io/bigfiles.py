"""Payloads too big for a shard: stored raw in `_bigFiles/`, under the sha256 of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from des_core.basics.errors import DamagedShard
from des_core.shard_io.blobs import Blob

BIG_FILES_DIR = "_bigFiles"
CHUNK_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class BigFile:
    """What was copied: sha256 of the content in hex, size in bytes."""

    sha256: str
    size: int


@runtime_checkable
class ReadsInto(Protocol):
    """A source of bytes that fills a buffer, as unbuffered files do."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """How many bytes came; 0 at the end."""


def big_file_name(sha256: str) -> str:
    """Its name below `output_dir`: `_bigFiles/<sha256>`."""
    return f"{BIG_FILES_DIR}/{sha256}"


def copy_hashed(source: BinaryIO | ReadsInto, destination: BinaryIO) -> BigFile:
    """Copy from where `source` stands to its end, in constant memory, hashing on the way.

    `OSError` of either side passes through: only the caller knows whose fault it is.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_SIZE))
    size = 0
    while True:
        if isinstance(source, ReadsInto):
            chunk = buffer[: source.readinto(buffer) or 0]
        else:
            chunk = memoryview(source.read(CHUNK_SIZE))
        if not chunk:
            return BigFile(digest.hexdigest(), size)
        digest.update(chunk)
        write_all(destination, chunk)
        size += len(chunk)


def write_all(destination: BinaryIO, data: bytes | memoryview) -> None:
    """Write everything, also to an unbuffered file that takes only a part at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[destination.write(rest) :]


def stream_checked(blob: Blob, sha256: str, size: int) -> Iterator[bytes]:
    """The content of a big file in pieces; only after the last one is it known to be whole."""
    facts = {"big_file": blob.name}
    if blob.size() != size:
        raise DamagedShard(
            "a big file has another size than the index says", **facts, size=size, got=blob.size()
        )
    digest = hashlib.sha256()
    for offset in range(0, size, CHUNK_SIZE):
        piece = blob.read_range(offset, min(CHUNK_SIZE, size - offset))
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise DamagedShard(
            "the content of a big file does not match its name", **facts, got=digest.hexdigest()
        )
