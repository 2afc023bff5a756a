"""Shards that a writer in the field has made."""

import hashlib
import json

import pytest

from des_core.shard_io import open_shard, verify_shard
from support.shards.interop import interop_dir
from support.shards.tiny_reader import read_shard

SHARDS = [
    "v1_none.des",
    "v2_bigfile.des",
    "v2_empty.des",
    "v2_lz4.des",
    "v2_meta.des",
    "v2_none.des",
    "v2_skip_ext.des",
    "v2_zstd.des",
]


def test_no_foreign_shard_is_left_out() -> None:
    folder = interop_dir()
    assert sorted(path.name for path in folder.glob("*.des")) == SHARDS
    assert sorted(json.loads((folder / "expected.json").read_text())) == SHARDS


@pytest.mark.parametrize("name", SHARDS)
def test_foreign_shards_read_back(name: str) -> None:
    folder = interop_dir()
    expected = json.loads((folder / "expected.json").read_text())[name]
    with open_shard(folder / name) as reader:
        assert len(reader) == len(expected)
        check = verify_shard(reader)
        assert check.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert {entry.uid for entry in reader.entries()} == expected.keys()
        for uid, facts in expected.items():
            entry = reader.find(uid)
            assert entry is not None
            content = reader.read(entry)
            assert b"".join(reader.stream(entry)) == content
            assert len(content) == entry.size == facts["size"]
            assert hashlib.sha256(content).hexdigest() == facts["sha256"]
            assert entry.meta == facts.get("meta")
        assert reader.find("not there") is None
    tiny = {uid: content for uid, (content, _) in read_shard(folder / name).items()}
    assert {uid: len(content) for uid, content in tiny.items()} == {
        uid: facts["size"] for uid, facts in expected.items()
    }
