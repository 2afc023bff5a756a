"""Finding one uid: as fast as a search, as exact as a walk."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from des_core.basics.errors import DamagedShard
from des_core.shard_io import BytesBlob, ShardEntry, lookup, open_shard
from des_core.shard_io.index import IndexBytes, IndexWalk, read_frame
from support.shards.builder import RawEntry, build_shard
from support.shards.golden import BIG_SHA256

BIG = {"flags": 1, "sha256": BIG_SHA256.encode(), "size": 40}


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn from two entries, so that a few are enough to skip by shape."""
    monkeypatch.setattr(lookup, "SAMPLE", 2)


def _lookups(shard: bytes) -> Iterator[lookup.Lookup]:
    """Lookups with windows from a few bytes to the whole index."""
    blob = BytesBlob(shard)
    frame = read_frame(blob.read_range, blob.size())
    for window in (1, 7, 50, 200, 1 << 20):
        yield lookup.Lookup(IndexBytes(blob.read_range, frame, window))


def _walk(shard: bytes) -> list[ShardEntry]:
    blob = BytesBlob(shard)
    frame = read_frame(blob.read_range, blob.size())
    return list(IndexWalk(IndexBytes(blob.read_range, frame, 64)))


def _assert_finds_what_a_walk_finds(shard: bytes, absent: list[bytes]) -> None:
    entries = _walk(shard)
    wanted = {entry.uid: entry.uid.encode() for entry in entries}
    missing = {uid.decode(): uid for uid in absent if uid.decode() not in wanted}
    first = {entry.uid: entry for entry in reversed(entries)}
    for search in _lookups(shard):
        assert search.find({**wanted, **missing}) == first
        for uid, name in wanted.items():
            assert search.find({uid: name}) == {uid: first[uid]}
        for uid, name in missing.items():
            assert search.find({uid: name}) == {}


def _entry_bytes(uid: bytes, offset: int, stored: int) -> bytes:
    """An index entry that looks right in every respect."""
    return (
        struct.pack("<H", len(uid))
        + uid
        + struct.pack("<BQQBQQI", 0, offset, stored, 0, stored, stored, 0)
    )


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("victims", [1, 40])
@pytest.mark.parametrize("where", ["uid", "meta", "big meta", "big uid"])
def test_an_entry_forged_inside_another_is_not_believed(where: str, victims: int) -> None:
    forged = b"".join(_entry_bytes(b"target", 8 + n, 1) for n in range(2))
    fields: dict[str, Any] = {"uid": b"innocent" + forged} if "uid" in where else {"meta": forged}
    fields |= BIG if "big" in where else {"stored": b"x"}
    entries = [RawEntry(**({"uid": b"innocent"} | fields))]
    entries += [RawEntry(b"%06d" % n, b"y") for n in range(victims)]
    entries += [RawEntry(b"last" + bytes([65 + n]) * n, b"z") for n in range(4)]
    _assert_finds_what_a_walk_finds(build_shard(entries), [b"target"])
    real = RawEntry(b"target", b"real")
    for order in ([*entries, real], [real, *entries], [*entries[:3], real, *entries[3:]]):
        shard = build_shard(order)
        _assert_finds_what_a_walk_finds(shard, [b"nobody"])
        reader = open_shard(BytesBlob(shard))
        found = reader.find("target")
        assert found is not None
        assert reader.read(found) == b"real"


@pytest.mark.usefixtures("small_sample")
def test_a_forged_tail_that_ends_with_the_index_is_not_believed() -> None:
    """The whole rest of an index, forged inside the meta of the last entry."""
    forged = _entry_bytes(b"target", 8, 1)
    shard = build_shard([RawEntry(b"a", b"x"), RawEntry(b"b", b"y", meta=forged)])
    _assert_finds_what_a_walk_finds(shard, [b"target"])


NAMES = st.text(st.sampled_from("ab\0\1\2\x05ż"), min_size=1, max_size=6).map(str.encode)
PLAIN = st.builds(RawEntry, NAMES, st.binary(max_size=3), meta=st.binary(max_size=60))
BIG_ENTRIES = st.builds(
    lambda uid, meta: RawEntry(uid, meta=meta, **BIG), NAMES, st.binary(max_size=9)
)


@given(st.lists(PLAIN | BIG_ENTRIES, max_size=30), st.lists(NAMES, max_size=4))
def test_any_index_is_searched_as_it_is_walked(
    entries: list[RawEntry], absent: list[bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "SAMPLE", 1)
        _assert_finds_what_a_walk_finds(build_shard(entries), absent)


@given(st.lists(st.builds(RawEntry, NAMES, st.binary(max_size=3)), max_size=30))
def test_version_1_is_searched_as_it_is_walked(entries: list[RawEntry]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "SAMPLE", 1)
        _assert_finds_what_a_walk_finds(build_shard(entries, version=1), [b"b", b"ab"])


def test_more_shapes_than_are_worth_compiling() -> None:
    entries = [RawEntry(b"n" * (1 + n % 300) + b"%d" % n, b"") for n in range(3000)]
    shard = build_shard(entries)
    blob = BytesBlob(shard)
    search = next(_lookups(shard))
    frame = read_frame(blob.read_range, blob.size())
    search = lookup.Lookup(IndexBytes(blob.read_range, frame))
    for entry in entries[::97]:
        assert search.find({"u": entry.uid})["u"].uid.encode() == entry.uid
    assert search.find({"u": b"absent"}) == {}


def test_a_uid_is_absent_only_if_the_index_is_whole() -> None:
    shard = build_shard([RawEntry(b"u%d" % n, b"x") for n in range(9)], after_index=b"\x05")
    with pytest.raises(DamagedShard):
        open_shard(BytesBlob(shard)).find("absent")
    entry = open_shard(BytesBlob(shard)).find("u3")
    assert entry is not None


def test_finding_builds_few_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of a search comes from what it does not parse; so count that."""
    shard = build_shard([RawEntry(b"file-%08d" % n, b"x") for n in range(20_000)])
    reader = open_shard(BytesBlob(shard))
    parsed = []
    parse = lookup.EntryParser.parse

    def count(*args: Any) -> Any:
        parsed.append(1)
        return parse(*args)

    monkeypatch.setattr(lookup.EntryParser, "parse", count)
    for uid in ("file-00000000", "file-00010000", "file-00019999"):
        entry = reader.find(uid)
        assert entry is not None
        assert entry.uid == uid
    assert reader.find("file-00020000") is None
    assert len(parsed) < 1000
