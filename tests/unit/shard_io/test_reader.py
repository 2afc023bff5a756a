"""Reading back: every way in gives the same content."""

import builtins
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from des_core.basics.errors import DamagedShard, StorageError, UsageError
from des_core.shard_io import (
    BytesBlob,
    Codec,
    Compression,
    LocalBlob,
    ShardWriter,
    copy_hashed,
    directory_companions,
    open_shard,
    verify_shard,
)
from support.shards.builder import RawEntry, build_shard
from support.shards.golden import GOLDEN_DIR
from support.shards.tiny_reader import read_shard

CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda piece, times: piece * times, st.binary(min_size=1, max_size=9), st.integers(0, 9000)
    ),
)
METAS = st.none() | st.dictionaries(
    st.text(max_size=9), st.integers() | st.text(max_size=9), min_size=1
)
FILES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.tuples(CONTENTS, METAS)
)


@given(FILES, st.sampled_from([Codec.NONE, Codec.ZSTD]), st.integers(1, 19))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, Any], codec: Codec, level: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.des"
    with path.open("wb") as file:
        writer = ShardWriter(file, Compression(codec, level))
        for uid, (content, meta) in files.items():
            writer.add(uid, content, meta=meta)
        stats = writer.finish()
    assert read_shard(path) == files
    with open_shard(path) as reader:
        check = verify_shard(reader)
        assert (check.files, check.content_bytes, check.size_bytes, check.sha256) == (
            stats.files,
            stats.content_bytes,
            stats.size_bytes,
            stats.sha256,
        )
        entries = list(reader.entries())
        assert [entry.uid for entry in entries] == list(files)
        assert reader.find_many([*files, "\ud800", ""]) == {entry.uid: entry for entry in entries}
        for entry in entries:
            content, meta = files[entry.uid]
            assert reader.find(entry.uid) == entry
            assert reader.read(entry) == content
            assert b"".join(reader.stream(entry)) == content
            assert entry.meta == meta


def test_payloads_of_many_windows_are_streamed_and_verified(tmp_path: Path) -> None:
    noise = hashlib.shake_256(b"noise").digest(3_000_000)
    text = b"0123456789abcdef" * (20 << 16)
    path = tmp_path / "large.des"
    with path.open("wb") as file:
        writer = ShardWriter(file)
        writer.add("noise", noise)
        writer.add("text", text)
        writer.add("small", b"small" * 9)
        stats = writer.finish()
    with open_shard(path) as reader:
        assert verify_shard(reader).sha256 == stats.sha256
        for uid, content in (("noise", noise), ("text", text)):
            entry = reader.find(uid)
            assert entry is not None
            pieces = list(reader.stream(entry))
            assert max(map(len, pieces)) <= 16 << 20
            assert b"".join(pieces) == reader.read(entry) == content
            with pytest.raises(UsageError):
                reader.read(entry, max_bytes=len(content) - 1)


def test_many_uids_are_found_by_one_walk() -> None:
    shard = build_shard([RawEntry(str(n).encode(), b"%d" % n) for n in range(500)])
    reader = open_shard(BytesBlob(shard))
    found = reader.find_many(str(n) for n in range(300, 600))
    assert sorted(found) == [str(n) for n in range(300, 500)]
    assert all(reader.read(entry) == uid.encode() for uid, entry in found.items())


def test_an_index_sorted_by_uid_is_verified_too() -> None:
    reader = open_shard(
        BytesBlob(
            build_shard(
                [
                    RawEntry(b"a", b"second", offset=13),
                    RawEntry(b"b", b"", offset=13),
                    RawEntry(b"c", b"first", offset=8),
                ]
            ).replace(b"secondfirst", b"firstsecond")
        )
    )
    assert verify_shard(reader).files == 3
    entry = reader.find("a")
    assert entry is not None
    assert reader.read(entry) == b"second"


def _big_shard(folder: Path, content: bytes) -> Path:
    (folder / "_bigFiles").mkdir()
    with (folder / "copy").open("wb") as destination:
        big = copy_hashed(io.BytesIO(content), destination)
    (folder / "copy").rename(folder / "_bigFiles" / big.sha256)
    with (folder / "s.des").open("wb") as file:
        writer = ShardWriter(file)
        writer.add_bigfile("big", big.sha256, big.size, meta={"a": 1})
        writer.add("small", b"small")
        writer.finish()
    return folder / "s.des"


def test_big_files_are_read_from_beside_the_shard(tmp_path: Path) -> None:
    content = hashlib.shake_256(b"big").digest(2_500_000)
    path = _big_shard(tmp_path, content)
    assert read_shard(path) == {"big": (content, {"a": 1}), "small": (b"small", None)}
    with open_shard(path) as reader:
        check = verify_shard(reader)
        assert (check.files, check.big_files) == (2, 1)
        assert check.content_bytes == len(content) + 5
        entry = reader.find("big")
        assert entry is not None
        assert reader.read(entry) == content
    elsewhere = open_shard(BytesBlob(path.read_bytes()), directory_companions(tmp_path))
    assert elsewhere.read(entry) == content
    nowhere = open_shard(BytesBlob(path.read_bytes()))
    with pytest.raises(UsageError):
        nowhere.read(entry)


@pytest.mark.parametrize("damage", ["missing", "flipped", "longer", "cut"])
def test_damaged_big_files_are_found(tmp_path: Path, damage: str) -> None:
    path = _big_shard(tmp_path, b"big content")
    (big,) = (tmp_path / "_bigFiles").iterdir()
    if damage == "missing":
        big.unlink()
    else:
        changed = {"flipped": b"big Content", "longer": b"big content+", "cut": b"big"}
        big.write_bytes(changed[damage])
    with open_shard(path) as reader:
        with pytest.raises(DamagedShard) as caught:
            verify_shard(reader)
        assert caught.value.facts["uid"] == "big"
        assert caught.value.facts["shard"] == str(path)
        with pytest.raises(DamagedShard):
            reader.read(next(reader.entries()))


class _NoReadinto:
    """A source such as an object store's response: it has `read` only."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 1000))


@pytest.mark.parametrize("make_source", [io.BytesIO, _NoReadinto])
def test_copying_hashes_what_it_copies(make_source: Any) -> None:
    content = hashlib.shake_256(b"copy").digest(2_100_000)
    destination = io.BytesIO()
    big = copy_hashed(make_source(content), destination)
    assert destination.getvalue() == content
    assert (big.sha256, big.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "fifo", "\0"):
        with pytest.raises(StorageError):
            open_shard(path)


def test_a_shard_that_shrinks_while_open_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "s.des"
    path.write_bytes(build_shard([RawEntry(b"u%d" % n, bytes(100_000)) for n in range(3)]))
    with open_shard(LocalBlob(path)) as reader:
        entries = list(reader.entries())
        os.truncate(path, 50)
        with pytest.raises(DamagedShard):
            reader.read(entries[0])


def test_without_the_lz4_package_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("lz4"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with open_shard(GOLDEN_DIR / "v2_lz4.des") as reader, pytest.raises(UsageError) as caught:
        reader.read(next(reader.entries()))
    assert caught.value.hint == "pip install 'des-admin[lz4]'"


@pytest.mark.parametrize("meta", [b"{", b"[1]", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_meta_that_is_not_an_object_is_damage(meta: bytes) -> None:
    reader = open_shard(BytesBlob(build_shard([RawEntry(b"u", b"x", meta=meta)])))
    (entry,) = reader.entries()
    assert reader.read(entry) == b"x"
    with pytest.raises(DamagedShard):
        _ = entry.meta
    with pytest.raises(DamagedShard):
        verify_shard(reader)
