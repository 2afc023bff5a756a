"""Killed at any moment and started again, packing ends in the archive that it would have made."""

import pickle
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from des_core.storage.directory import DirectoryStorage
from support.shards.packing import Corpus, archive_bytes, leftovers, pack_rows, read_archive

_PACK = """
import pickle, sys
from pathlib import Path
sys.path[:0] = ["tests"]
from support.shards.packing import pack_rows
rows, fields = pickle.loads(Path(sys.argv[1]).read_bytes())
pack_rows(rows, Path(sys.argv[2]), **fields)
"""
FIELDS = {"max_shard_size": 20_000, "big_file_threshold": 30_000}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    corpus = Corpus(tmp_path_factory.mktemp("crash") / "source")
    corpus.fill(1500, days=2, size=3000)
    for number in range(8):
        corpus.add(f"big-{number}", random.Random(number).randbytes(40_000))
    return corpus


@pytest.fixture(scope="module")
def undisturbed(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The archive of a packing that nobody killed."""
    output = tmp_path_factory.mktemp("undisturbed") / "archive"
    pack_rows(corpus.rows, output, **FIELDS)
    assert len(archive_bytes(output)) > 60
    return archive_bytes(output)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("moment", range(5))
def test_killed_and_started_again(
    corpus: Corpus, undisturbed: dict[str, bytes], tmp_path: Path, workers: int, moment: int
) -> None:
    output = tmp_path / "archive"
    job = tmp_path / "job"
    job.write_bytes(pickle.dumps((corpus.rows, {**FIELDS, "workers": workers})))
    process = subprocess.Popen(
        [sys.executable, "-c", _PACK, str(job), str(output)],
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    wanted = moment * len(undisturbed) // 5
    while process.poll() is None and published(output) < wanted:
        time.sleep(0.0005)
    process.kill()
    process.wait()
    settle(output)
    before = archive_bytes(output)
    assert before.items() <= undisturbed.items()
    again = pack_rows(corpus.rows, output, workers=workers, **FIELDS)
    assert again.failures == []
    assert again.files_out == len(corpus.rows)
    assert archive_bytes(output) == undisturbed
    assert read_archive(output) == corpus.contents


def published(output: Path) -> int:
    return sum(not path.name.startswith(".") for path in output.rglob("*") if path.is_file())


def settle(output: Path) -> None:
    """Wait for the workers to notice that their parent died, and clean up after them."""
    output.mkdir(exist_ok=True)
    deadline = time.monotonic() + 60
    while True:
        DirectoryStorage(str(output)).clean_leftovers()
        if not leftovers(output):
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)
