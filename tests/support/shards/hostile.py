"""Shards made to crash a reader, or to make it take all memory."""

import struct
from collections.abc import Callable

import zstandard

from support.shards.builder import RawEntry, build_shard
from support.shards.golden import BIG_SHA256

GIB = 1 << 30


def one(**fields: object) -> Callable[[], bytes]:
    """A shard with one entry that is wrong in these fields."""
    values: dict = {"uid": b"u", "stored": b"payload"} | fields
    return lambda: build_shard([RawEntry(**values)])


def zstd_frame_of(declared: int | None, blocks: int, *, last: bool = True) -> bytes:
    """A frame of `blocks` × 128 KiB of zeros in four bytes each."""
    if declared is None:
        header = b"\x28\xb5\x2f\xfd\x00\x58"  # no content size, a window of 2 MiB
    else:
        header = b"\x28\xb5\x2f\xfd\xc0\x58" + struct.pack("<Q", declared)
    block = (128 << 10) << 3 | 1 << 1
    body = (block.to_bytes(3, "little") + b"\0") * (blocks - 1)
    return header + body + (block | last).to_bytes(3, "little") + b"\0"


def lz4_bomb() -> bytes:
    import lz4.frame

    return lz4.frame.compress(bytes(64 << 20), store_size=False)


def _zstd(frame: bytes, size: int) -> Callable[[], bytes]:
    return one(stored=frame, codec=1, size=size)


def _sized_frame() -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(b"content" * 99)


HOSTILE_SHARDS: dict[str, Callable[[], bytes]] = {
    "no bytes at all": lambda: b"",
    "magic only": lambda: b"DES2",
    "another format": lambda: b"PK\x03\x04" + bytes(100),
    "version 0": lambda: build_shard([], version=0),
    "version 3": lambda: build_shard([], version=3),
    "four billion entries": lambda: build_shard([], count=(1 << 32) - 1),
    "more entries than there are": lambda: build_shard([RawEntry(b"u" * 99)], count=2),
    "fewer entries than there are": lambda: build_shard([RawEntry(b"u"), RawEntry(b"v")], count=1),
    "an index of no bytes": lambda: build_shard([], index_size=0),
    "an index larger than the shard": lambda: build_shard([], index_size=1 << 40),
    "an index of 2**64 - 1 bytes": lambda: build_shard([], index_size=(1 << 64) - 1),
    "an index that begins in the header": lambda: build_shard([], index_size=12),
    "bytes after the last entry": lambda: build_shard([RawEntry(b"u")], after_index=b"x"),
    "bytes that no entry has": lambda: build_shard([RawEntry(b"u")], after_data=b"x"),
    "a name beyond the index": one(name_len=65_535),
    "a name into the numbers": one(name_len=3),
    "a uid that is not UTF-8": one(uid=b"\xff\xfe"),
    "an offset in the header": one(offset=0),
    "an offset beyond the data": one(offset=GIB),
    "an offset that overflows": one(offset=(1 << 64) - 1),
    "a length beyond the data": one(length=GIB, stored_size=GIB, size=GIB),
    "a length that overflows": one(length=(1 << 64) - 1, stored_size=(1 << 64) - 1),
    "a payload that reaches into the index": one(length=8, stored_size=8, size=8),
    "two lengths": one(length=3),
    "two sizes of a raw payload": one(size=1 << 62),
    "an unknown codec": one(codec=3),
    "unknown flags": one(flags=2),
    "a meta of four gigabytes": one(meta_len=(1 << 32) - 1),
    "a meta that is cut": one(meta_len=9),
    "a big file outside the directory": one(
        flags=1, sha256=b"../../etc/passwd", size=1, stored=b""
    ),
    "a big file's hash in capitals": one(flags=1, sha256=b"A" * 64, size=1, stored=b""),
    "a big file of 2**64 - 1 bytes": one(
        flags=1, sha256=BIG_SHA256.encode(), size=(1 << 64) - 1, stored=b""
    ),
    "overlapping payloads": lambda: build_shard(
        [RawEntry(b"u", b"ab"), RawEntry(b"v", b"c", offset=9)]
    ),
    "a payload shared by two": lambda: build_shard(
        [RawEntry(b"u", b"ab"), RawEntry(b"v", offset=8, length=2, stored_size=2, size=2)]
    ),
    "a gap between payloads": lambda: build_shard(
        [RawEntry(b"u", b"abc", length=2, stored_size=2, size=2), RawEntry(b"v", b"d")]
    ),
    "zstd that is none": one(codec=1, size=9),
    "zstd of a skippable frame": _zstd(b"\x50\x2a\x4d\x18\x03\0\0\0abc", 3),
    "an empty zstd frame": _zstd(b"", 0),
    "an empty content with a checksum that is wrong": _zstd(
        bytes.fromhex("28b52ffd240001000099e9d850"), 0
    ),
    "an empty content with something after it": _zstd(bytes.fromhex("28b52ffd2000010000ff"), 0),
    "two zstd frames": _zstd(_sized_frame() * 2, 7 * 99),
    "a zstd frame with something after it": _zstd(_sized_frame() + b"x", 7 * 99),
    "a zstd frame that is cut": _zstd(_sized_frame()[:-1], 7 * 99),
    "a zstd frame of another size": _zstd(_sized_frame(), 7 * 98),
    "a zstd bomb that declares little": _zstd(zstd_frame_of(5, 8192), 5),
    "a zstd bomb that declares nothing": _zstd(zstd_frame_of(None, 8192), 5),
    "a zstd bomb of which only the index declares little": _zstd(zstd_frame_of(GIB, 8192), 5),
    "a zstd frame that declares an exabyte": _zstd(zstd_frame_of(1 << 60, 3), 1 << 60),
    "a zstd frame without an end": _zstd(zstd_frame_of(None, 8192, last=False), GIB),
    "a zstd window of two gigabytes": _zstd(b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 0),
    "lz4 that is none": one(codec=2, size=9),
    "an lz4 bomb": lambda: build_shard([RawEntry(b"u", lz4_bomb(), codec=2, size=5)]),
    "an lz4 bomb that declares an exabyte": lambda: build_shard(
        [RawEntry(b"u", lz4_bomb(), codec=2, size=1 << 60)]
    ),
    "an lz4 frame that is cut": lambda: build_shard(
        [RawEntry(b"u", lz4_bomb()[:-9], codec=2, size=64 << 20)]
    ),
    "an lz4 frame with something after it": lambda: build_shard(
        [RawEntry(b"u", lz4_bomb() + b"x", codec=2, size=64 << 20)]
    ),
}
