"""Whatever a shard claims, reading it takes little memory: measured against a hard limit."""

import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from des_core.shard_io import BIG_FILES_DIR
from support.shards.builder import RawEntry, build_shard
from support.shards.hostile import GIB, HOSTILE_SHARDS, zstd_frame_of

MIB = 1 << 20
LIMIT = 192 * MIB

_CHILD = """
import sys, resource
from des_core.basics.errors import DamagedShard
from des_core.shard_io import open_shard, verify_shard, copy_hashed
import lz4.frame

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

limit = held() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[2:]:
    try:
        with open_shard(path) as reader:
            reader.find("absent")
            check = verify_shard(reader)
        print("sound", check.content_bytes)
    except DamagedShard as exc:
        print("damaged", exc.message)
"""


def _read_in_little_memory(*paths: Path) -> list[str]:
    command = [sys.executable, "-c", _CHILD, str(LIMIT), *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.fixture(autouse=True)
def product_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))


def test_hostile_shards_take_little_memory(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.des" for number, _ in enumerate(HOSTILE_SHARDS)]
    for path, make in zip(paths, HOSTILE_SHARDS.values(), strict=True):
        path.write_bytes(make())
    for name, line in zip(HOSTILE_SHARDS, _read_in_little_memory(*paths), strict=True):
        assert line.startswith("damaged"), f"{name}: {line}"


def test_a_bomb_that_keeps_its_word_is_verified_in_little_memory(tmp_path: Path) -> None:
    frame = zstd_frame_of(GIB, GIB // (128 << 10))
    path = tmp_path / "zeros.des"
    path.write_bytes(build_shard([RawEntry(b"u", frame, codec=1, size=GIB)]))
    assert path.stat().st_size < 64 << 10
    assert _read_in_little_memory(path) == [f"sound {GIB}"]


def _sparse(path: Path, size: int, index_size: int, index: bytes = b"") -> Path:
    """A file of many zeros that takes no disk: header, `index` where it starts, footer."""
    with path.open("wb") as file:
        file.write(b"DES2\2\0\0\0")
        file.seek(size - 12 - index_size)
        file.write(index)
        file.seek(size - 12)
        file.write(b"DESI" + struct.pack("<Q", index_size))
    return path


def test_huge_sparse_shards_take_little_memory(tmp_path: Path) -> None:
    size = 16 * GIB
    raw = struct.pack("<BQQBQQI", 0, 8, size - 100, 0, size - 100, size - 100, 0)
    meta = struct.pack("<BQQBQQI", 0, 8, 0, 0, 0, 0, (1 << 32) - 1)
    count = struct.pack("<I", 1)
    paths = [
        _sparse(tmp_path / "zeros.des", size, size - 20),
        _sparse(tmp_path / "entries.des", size, size - 20, struct.pack("<I", 1 << 28)),
        _sparse(tmp_path / "meta.des", size, 8 * GIB, count + b"\1\0u" + meta),
        _sparse(tmp_path / "raw.des", size, 200, count + b"\1\0u" + raw),
    ]
    assert all(line.startswith("damaged") for line in _read_in_little_memory(*paths))


def test_a_huge_raw_payload_and_a_huge_big_file_are_verified_in_little_memory(
    tmp_path: Path,
) -> None:
    size = 512 * MIB
    entry = struct.pack("<BQQBQQI", 0, 8, size, 0, size, size, 0)
    index = struct.pack("<I", 1) + b"\1\0u" + entry
    raw = _sparse(tmp_path / "raw.des", 8 + size + len(index) + 12, len(index), index)
    zeros_512_mib = "9acca8e8c22201155389f65abbf6bc9723edc7384ead80503839f49dcc56d767"
    (tmp_path / BIG_FILES_DIR).mkdir()
    with (tmp_path / BIG_FILES_DIR / zeros_512_mib).open("wb") as file:
        file.truncate(size)
    big = tmp_path / "big.des"
    big.write_bytes(
        build_shard([RawEntry(b"u", flags=1, sha256=zeros_512_mib.encode(), size=size)])
    )
    assert _read_in_little_memory(raw, big) == [f"sound {size}"] * 2


def test_the_limit_is_felt() -> None:
    """The measuring itself: a child that takes more than the limit fails."""
    code = _CHILD.replace("for path in", "bytes(2 * int(sys.argv[1]))\nfor path in")
    run = subprocess.run([sys.executable, "-c", code, str(LIMIT)], capture_output=True, check=False)
    assert b"MemoryError" in run.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
