"""Cut, flipped and hostile shards: found, or harmless, or the ledger's sha256 finds them."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from des_core.basics.errors import DamagedShard, UsageError
from des_core.shard_io import (
    BytesBlob,
    Compression,
    ShardWriter,
    directory_companions,
    open_shard,
    verify_shard,
)
from support.shards.builder import RawEntry, build_shard
from support.shards.golden import BIG_SHA256, GOLDEN_DIR, TEXTS, make_worked_example, written
from support.shards.hostile import HOSTILE_SHARDS

BIG_FILES = directory_companions(GOLDEN_DIR)
# The compressed golden shard, but small: two frames, a raw payload, meta, a big file.
SMALL = ("invoice-0001", "12345", "empty", "zażółć gęślą jaźń")


def _small_shard() -> bytes:
    def fill(writer: ShardWriter) -> None:
        for uid in SMALL:
            writer.add(uid, TEXTS[uid], meta={"of": uid} if uid == "empty" else None)
        writer.add_bigfile("big", BIG_SHA256, 40)

    return written(fill, Compression())


def _contents(data: bytes) -> dict[str, bytes]:
    reader = open_shard(BytesBlob(data), BIG_FILES)
    return {entry.uid: reader.read(entry) for entry in reader.entries()}


def _verify(data: bytes) -> str:
    return verify_shard(open_shard(BytesBlob(data), BIG_FILES)).sha256


@pytest.mark.parametrize("make", [_small_shard, make_worked_example])
def test_every_truncation_is_found_on_opening_or_by_verify(make: Callable[[], bytes]) -> None:
    shard = make()
    for length in range(len(shard)):
        with pytest.raises(DamagedShard):
            _verify(shard[:length])


def test_every_missing_or_doubled_byte_is_found() -> None:
    shard = _small_shard()
    for at in range(len(shard)):
        for changed in (shard[:at] + shard[at + 1 :], shard[: at + 1] + shard[at:]):
            with pytest.raises(DamagedShard):
                _verify(changed)


def _uncovered(shard: bytes) -> set[int]:
    """Bytes that the format does not protect: uids, meta, payloads stored raw."""
    positions: set[int] = set()
    for entry in open_shard(BytesBlob(shard)).entries():
        for form, field in (("<H", entry.uid.encode()), ("<I", entry.meta_json)):
            prefix = struct.pack(form, len(field))
            at = shard.rindex(prefix + field) + len(prefix)
            positions.update(range(at, at + len(field)))
        if entry.codec == 0 and not entry.is_big:
            positions.update(range(entry.offset, entry.offset + entry.stored_size))
    return positions


def test_every_flipped_bit_is_found_or_harmless_or_where_the_format_has_no_checksum() -> None:
    shard = _small_shard()
    contents, sha256 = _contents(shard), _verify(shard)
    uncovered = _uncovered(shard)
    silent = []
    for at in range(len(shard)):
        for bit in range(8):
            flipped = bytearray(shard)
            flipped[at] ^= 1 << bit
            try:
                found = _verify(bytes(flipped))
            except DamagedShard:
                continue
            assert found != sha256, "the ledger's sha256 finds every flip"
            if at not in uncovered:
                assert _contents(bytes(flipped)) == contents
                silent.append(at)
    # Harmless are one bit of a frame's descriptor, which decoders ignore, and the offset of
    # an empty payload, where it still points between two others.
    frames = [e.offset + 4 for e in open_shard(BytesBlob(shard)).entries() if e.codec == 1]
    empty = shard.rindex(struct.pack("<H", 5) + b"empty") + 7 + 1
    assert sorted(silent) == [*frames, empty]


@given(st.data())
def test_shards_changed_anyhow_never_raise_anything_else(data: st.DataObject) -> None:
    shard = bytearray(_small_shard())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(shard) - 1))
        shard[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    for act in (_verify, _contents, lambda d: open_shard(BytesBlob(d)).find("12345")):
        try:
            act(bytes(shard))
        except DamagedShard as exc:
            assert exc.facts["shard"] == "bytes"
        except UsageError as exc:  # an entry that claims gigabytes is not read into memory
            assert exc.facts["size"] > exc.facts["limit"]


@given(st.binary(max_size=200))
def test_any_index_bytes_give_entries_or_damage(index: bytes) -> None:
    data = b"DES2\2\0\0\0" + index + b"DESI" + len(index).to_bytes(8, "little")
    try:
        _verify(data)
    except DamagedShard:
        return
    assert index[:4] == bytes(4)


@pytest.mark.parametrize("name", HOSTILE_SHARDS)
def test_hostile_shards_are_damaged(name: str) -> None:
    with pytest.raises(DamagedShard) as caught:
        _verify(HOSTILE_SHARDS[name]())
    assert caught.value.exit_code == 20
    assert caught.value.facts["shard"] == "bytes"


def test_faults_say_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "20241101_5B_0000.des"
    path.write_bytes(build_shard([RawEntry(b"a", b"x"), RawEntry(b"b", b"y", offset=99)]))
    with pytest.raises(DamagedShard) as caught, open_shard(path) as reader:
        list(reader.entries())
    assert caught.value.facts["shard"] == str(path)
    assert caught.value.facts["entry"] == 1
    assert caught.value.facts["offset"] == 8 + 2 + 4 + 41
    damaged = bytearray(_small_shard())
    entry = open_shard(BytesBlob(bytes(damaged))).find(SMALL[0])
    assert entry is not None
    damaged[entry.offset + 20] ^= 1
    reader = open_shard(BytesBlob(bytes(damaged)))
    with pytest.raises(DamagedShard) as caught:
        reader.read(entry)
    assert caught.value.facts["uid"] == SMALL[0]
    assert caught.value.facts["offset"] == entry.offset


def test_the_same_uid_twice_is_damage() -> None:
    shard = build_shard([RawEntry(b"a", b"x"), RawEntry(b"a", b"y")])
    with pytest.raises(DamagedShard, match="twice"):
        _verify(shard)


def test_foreign_frames_without_a_checksum_still_verify() -> None:
    assert _verify((GOLDEN_DIR / "v1_mixed.des").read_bytes())


@pytest.mark.parametrize("name", ["v1_mixed.des", "v2_lz4.des"])
def test_flips_in_foreign_shards_raise_nothing_else(name: str) -> None:
    """Their frames have no checksum, so only the sha256 of the whole is sure to differ."""
    shard = (GOLDEN_DIR / name).read_bytes()
    sha256 = _verify(shard)
    found = 0
    for at in range(len(shard) * 8):
        flipped = bytearray(shard)
        flipped[at // 8] ^= 1 << at % 8
        try:
            assert _verify(bytes(flipped)) != sha256
        except DamagedShard:
            found += 1
    assert found > len(shard) * 4
