"""Big files: streamed beside the shards, under the hash of their content."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, StorageError
from des_core.packing import big_file_store
from support.crash.file_sizes import file_size_limit
from support.shards.packing import Corpus, archive_bytes, leftovers, pack_rows, read_archive


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "source")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.mark.parametrize("workers", [1, 2])
def test_above_the_threshold_and_only_there(corpus: Corpus, output: Path, workers: int) -> None:
    corpus.add("below", b"b" * 1000)
    corpus.add("above", b"a" * 1001)
    packed = pack_rows(corpus.rows, output, big_file_threshold=1000, workers=workers)
    assert packed.failures == []
    assert packed.files_out == 2
    sha256 = hashlib.sha256(b"a" * 1001).hexdigest()
    assert (output / "_bigFiles" / sha256).read_bytes() == b"a" * 1001
    assert len(list((output / "_bigFiles").iterdir())) == 1
    assert [outcome.bigfiles for outcome in packed.outcomes if outcome.bigfiles] == [(sha256,)]
    assert sum(shard.content_bytes for shard in packed.shards) == 2001
    assert read_archive(output) == corpus.contents


def test_equal_content_is_stored_once(corpus: Corpus, output: Path) -> None:
    for uid in ("one", "two", "three"):
        corpus.add(uid, b"same" * 1000)
    pack_rows(corpus.rows, output, big_file_threshold=1000, workers=2)
    assert len(list((output / "_bigFiles").iterdir())) == 1
    assert read_archive(output) == corpus.contents


def test_bytes_do_not_depend_on_workers(corpus: Corpus, tmp_path: Path) -> None:
    for number in range(40):
        corpus.add(f"doc-{number}", bytes([number]) * (number * 100))
    pack_rows(corpus.rows, tmp_path / "one", big_file_threshold=1000)
    pack_rows(corpus.rows[::-1], tmp_path / "two", big_file_threshold=1000, workers=2)
    assert archive_bytes(tmp_path / "one") == archive_bytes(tmp_path / "two")


def test_an_adopted_shard_names_its_big_files(corpus: Corpus, output: Path) -> None:
    corpus.add("above", b"a" * 2000)
    first = pack_rows(corpus.rows, output, big_file_threshold=1000)
    again = pack_rows(corpus.rows, output, big_file_threshold=1000)
    assert again.adopted == first.shards
    assert [outcome.bigfiles for outcome in again.outcomes] == [
        outcome.bigfiles for outcome in first.outcomes
    ]


def test_a_damaged_file_under_the_name_is_not_touched(corpus: Corpus, output: Path) -> None:
    row = corpus.add("above", b"a" * 2000)
    place = output / "_bigFiles" / hashlib.sha256(b"a" * 2000).hexdigest()
    place.parent.mkdir(parents=True)
    place.write_bytes(b"b" * 2000)
    with pytest.raises(StorageError):
        pack_rows([row], output, big_file_threshold=1000)
    assert archive_bytes(output) == {f"_bigFiles/{place.name}": b"b" * 2000}


def test_a_lost_big_file_is_noticed_when_its_shard_is_adopted(corpus: Corpus, output: Path) -> None:
    corpus.add("above", b"a" * 2000)
    pack_rows(corpus.rows, output, big_file_threshold=1000)
    for path in (output / "_bigFiles").iterdir():
        path.unlink()
    with pytest.raises(DamagedShard):
        pack_rows(corpus.rows, output, big_file_threshold=1000)


def test_a_big_file_that_changes_while_it_is_copied(
    corpus: Corpus, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = corpus.add("above", b"a" * 2000)
    corpus.add("good")
    true_copy = big_file_store._copy

    def copy(source, draft):  # type: ignore[no-untyped-def]
        Path(row.location or "").write_bytes(b"c" * 2000)
        return true_copy(source, draft)

    monkeypatch.setattr(big_file_store, "_copy", copy)
    packed = pack_rows(corpus.rows, output, big_file_threshold=1000)
    assert packed.reasons == {"above": "changed"}
    assert packed.files_out == 1
    assert list((output / "_bigFiles").iterdir()) == []
    assert leftovers(output) == []


def test_a_file_larger_than_the_room_of_the_output_fails_alone(
    corpus: Corpus, output: Path
) -> None:
    """A sparse one costs nobody anything, and would fill the disk in every cycle."""
    row, room = corpus.add("huge", b"h" * 2000), os.statvfs(output.parent)
    size = room.f_blocks * room.f_frsize + (1 << 30)
    os.truncate(row.location or "", size)
    good = corpus.add("good")
    with file_size_limit(8 << 20):
        packed = pack_rows([row._replace(size_bytes=size), good], output, big_file_threshold=1000)
    assert packed.reasons == {"huge": "unreadable"}
    assert "has room for" in packed.failures[0].error
    assert packed.files_out == 1
    assert leftovers(output) == []


def test_a_file_larger_than_the_file_system_takes_fails_alone(corpus: Corpus, output: Path) -> None:
    rows = [corpus.add("huge", b"h" * 3_000_000), corpus.add("big", b"b" * 2000)]
    with file_size_limit(1 << 20):
        packed = pack_rows([*rows, corpus.add("good")], output, big_file_threshold=1000)
    assert packed.reasons == {"huge": "unreadable"}
    assert packed.files_out == 2
    assert leftovers(output) == []


_PACK_IN_LITTLE_MEMORY = """
import resource, sys
from des_core.packing.packer import Packer
from des_core.packer_planner import PackerConfig
from des_core.records import SourceRow
from des_core.packing.row_spool import RowSpool
source, output, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with RowSpool(8, output) as spool, Packer(PackerConfig(output, workers=1)) as packer:
    spool.add([SourceRow("big", 0, source, size)])
    tasks = list(spool.tasks())
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + (64 << 20),) * 2)
    outcome, = packer.pack(tasks)
assert outcome.files_out == 1, outcome
"""


def test_a_file_larger_than_memory(tmp_path: Path) -> None:
    """250 MB of content, while the process may take 64 MB more than it had."""
    source, output = tmp_path / "big", tmp_path / "archive"
    output.mkdir()
    size = 250 << 20
    with source.open("wb") as file:
        file.truncate(size)
    subprocess.run(
        [sys.executable, "-c", _PACK_IN_LITTLE_MEMORY, str(source), str(output), str(size)],
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    stored = list((output / "_bigFiles").iterdir())
    assert [path.stat().st_size for path in stored] == [size]
