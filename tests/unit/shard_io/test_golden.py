"""Shards in the repository: their bytes are a promise, and they read back for ever."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from des_core.shard_io import BIG_FILES_DIR, open_shard, verify_shard
from support.shards.golden import (
    BIG_CONTENT,
    BIG_SHA256,
    EXPECTED,
    GOLDEN_DIR,
    GOLDEN_SHARDS,
    ZSTD_RELEASE,
)
from support.shards.tiny_reader import read_shard


@pytest.fixture(scope="module", autouse=True)
def regenerated(regenerate_golden: bool) -> None:
    if not regenerate_golden:
        return
    (GOLDEN_DIR / BIG_FILES_DIR).mkdir(parents=True, exist_ok=True)
    (GOLDEN_DIR / BIG_FILES_DIR / BIG_SHA256).write_bytes(BIG_CONTENT)
    expected = {}
    for name, (make, _) in GOLDEN_SHARDS.items():
        (GOLDEN_DIR / name).write_bytes(make())
        expected[name] = _describe(read_shard(GOLDEN_DIR / name))
    EXPECTED.write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


def _describe(files: dict[str, tuple[bytes, dict | None]]) -> dict[str, object]:
    return {
        uid: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "meta": meta}
        for uid, (content, meta) in files.items()
    }


@pytest.mark.parametrize("name", GOLDEN_SHARDS)
def test_the_same_entries_give_the_same_bytes(name: str) -> None:
    make, depends_on_library = GOLDEN_SHARDS[name]
    if depends_on_library and zstandard.ZSTD_VERSION != ZSTD_RELEASE:
        pytest.skip(f"golden bytes are of libzstd {ZSTD_RELEASE}, not {zstandard.ZSTD_VERSION}")
    assert make() == (GOLDEN_DIR / name).read_bytes()


def _by_product(path: Path) -> dict[str, tuple[bytes, dict | None]]:
    with open_shard(path) as reader:
        verify_shard(reader)
        return {entry.uid: (reader.read(entry), entry.meta) for entry in reader.entries()}


@pytest.mark.parametrize("read", [_by_product, read_shard], ids=["product", "tiny"])
@pytest.mark.parametrize("name", GOLDEN_SHARDS)
def test_golden_shards_read_back(name: str, read: Callable[..., dict]) -> None:
    assert _describe(read(GOLDEN_DIR / name)) == json.loads(EXPECTED.read_text())[name]
