"""Reading back what was just written finds every flipped bit and every cut."""

import io
import random

import pytest

from des_core.basics.errors import DamagedShard
from des_core.packing.draft_check import DraftCheck
from des_core.shard_io import BytesBlob, Compression, ShardStats, ShardWriter
from support.rows.filesdata import content_of


def write_shard(contents: dict[str, bytes], big: bool = True) -> tuple[bytes, ShardStats]:
    file = io.BytesIO()
    writer = ShardWriter(file, Compression())
    for uid, content in contents.items():
        writer.add(uid, content, store_raw=uid.startswith("raw"))
    if big:
        writer.add_bigfile("big", "ab" * 32, 1 << 40)
    stats = writer.finish()
    return file.getvalue(), stats


@pytest.fixture(scope="module")
def small() -> tuple[bytes, ShardStats]:
    return write_shard({"raw": b"stored raw", "text": b"text " * 40, "empty": b"", "ż": b"x" * 99})


def test_what_was_written_is_sound(small: tuple[bytes, ShardStats]) -> None:
    data, stats = small
    DraftCheck().check(BytesBlob(data), stats)


@pytest.mark.parametrize("count", [0, 1, 700])
def test_many_windows(count: int) -> None:
    contents = {f"doc-{n}": content_of(f"{n}", n * 37 % 30_000) for n in range(count)}
    data, stats = write_shard(contents, big=False)
    DraftCheck().check(BytesBlob(data), stats)


def test_content_larger_than_a_window() -> None:
    contents = {
        "zeros": bytes(9 << 20),
        "random": random.Random(1).randbytes(3 << 20),
        "more zeros": bytes(9 << 20),
    }
    data, stats = write_shard(contents)
    DraftCheck().check(BytesBlob(data), stats)


@pytest.mark.parametrize("is_in_memory", [True, False])
def test_every_flipped_bit_is_found(small: tuple[bytes, ShardStats], is_in_memory: bool) -> None:
    data, stats = small
    check = DraftCheck()
    whole = data if is_in_memory else None
    check.check(BytesBlob(data), stats, whole)
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedShard):
            check.check(BytesBlob(bytes(flipped)), stats, whole)


def test_every_cut_is_found(small: tuple[bytes, ShardStats]) -> None:
    data, stats = small
    for size in range(len(data)):
        with pytest.raises(DamagedShard):
            DraftCheck().check(BytesBlob(data[:size]), stats)


def test_a_frame_that_does_not_decode_is_found_even_with_a_true_hash() -> None:
    """The hash proves what was written, the decoding that it can be read."""
    import hashlib
    from dataclasses import replace

    data, stats = write_shard({"text": b"text " * 400}, big=False)
    damaged = bytearray(data)
    damaged[30] ^= 1
    stats = replace(stats, sha256=hashlib.sha256(damaged).hexdigest())
    with pytest.raises(DamagedShard):
        DraftCheck().check(BytesBlob(bytes(damaged)), stats)
