"""A full or read-only output is an error of the output, never a reason against a file."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.packing.row_spool import RowSpool
from support.shards.packing import Corpus, leftovers, pack_rows, read_archive


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path / "source")
    for number in range(40):
        corpus.add(f"doc-{number}", os.urandom(100_000), name=f"{number}.bin")
    return corpus


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "tiny"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(path)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.splitlines()[0]}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def remount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(corpus: Corpus, tiny_disk: Path, workers: int) -> None:
    with pytest.raises(StorageError) as caught:
        pack_rows(corpus.rows, tiny_disk, workers=workers)
    assert "free space" in (caught.value.hint or "")
    assert str(tiny_disk) in str(caught.value)
    assert leftovers(tiny_disk) == []
    packed_before = read_archive(tiny_disk)
    remount(tiny_disk, "size=16m")
    again = pack_rows(corpus.rows, tiny_disk, workers=workers)
    assert again.failures == []
    assert again.files_present == len(packed_before)
    assert read_archive(tiny_disk) == corpus.contents


def test_a_full_disk_under_a_big_file(corpus: Corpus, tiny_disk: Path) -> None:
    corpus.add("big", os.urandom(2_000_000))
    with pytest.raises(StorageError) as caught:
        pack_rows(corpus.rows[-1:], tiny_disk, big_file_threshold=1000)
    assert "free space" in (caught.value.hint or "")
    assert leftovers(tiny_disk) == []


def test_a_full_disk_under_the_spool(corpus: Corpus, tiny_disk: Path) -> None:
    with (
        RowSpool(8, str(tiny_disk), memory_limit=0) as spool,
        pytest.raises(StorageError) as caught,
    ):
        for _ in range(10_000):
            spool.add(corpus.rows)
    assert "free space" in (caught.value.hint or "")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_read_only_disk(corpus: Corpus, tiny_disk: Path, workers: int) -> None:
    remount(tiny_disk, "ro")
    with pytest.raises(StorageError) as caught:
        pack_rows(corpus.rows, tiny_disk, workers=workers)
    assert "read-only" in (caught.value.hint or "")


_PACK_WITH_A_LIMIT = """
import resource, sys
from pathlib import Path
sys.path[:0] = ["tests"]
from des_core.basics.errors import StorageError
from support.shards.packing import Corpus, leftovers, pack_rows
corpus = Corpus(Path(sys.argv[1]))
corpus.add("doc", bytes(range(256)) * 4000, name="a.zip")
output = Path(sys.argv[1]) / "archive"
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    pack_rows(corpus.rows, output, workers=int(sys.argv[2]))
except StorageError as error:
    print(error.hint, leftovers(output))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_limit_on_file_sizes(tmp_path: Path, workers: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PACK_WITH_A_LIMIT, str(tmp_path), str(workers)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert "ulimit -f" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_an_error_of_fsync(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    output = tmp_path / "archive"

    def fsync(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StorageError):
            pack_rows(corpus.rows, output)
    assert leftovers(output) == []
    assert list(output.glob("*.des")) == []
    assert pack_rows(corpus.rows, output).files_out == 40


def test_what_was_written_is_not_what_is_read(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that flips a bit between writing and reading back publishes nothing."""
    output = tmp_path / "archive"
    true_fsync = os.fsync

    def fsync(fd: int) -> None:
        true_fsync(fd)
        if os.fstat(fd).st_size > 50_000:
            byte = os.pread(fd, 1, 50_000)
            os.pwrite(fd, bytes([byte[0] ^ 1]), 50_000)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError) as caught:
        pack_rows(corpus.rows, output)
    assert "did not read back" in caught.value.message
    assert leftovers(output) == []
    assert list(output.glob("*.des")) == []


def test_the_limit_is_the_tests_own() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
