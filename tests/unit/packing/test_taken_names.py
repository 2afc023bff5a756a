"""A name that is taken when a shard is to be published: equal bytes are as good, others stay."""

from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.packer_planner import PackerConfig
from des_core.packing.packer import Packer
from des_core.packing.row_spool import RowSpool
from des_core.packing.tasks import TaskOutcome
from support.shards.packing import Corpus, archive_bytes, leftovers, pack_rows


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path / "source")
    corpus.fill(30)
    return corpus


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def pack_without_looking(corpus: Corpus, output: Path, workers: int) -> list[TaskOutcome]:
    """As if the shards had appeared after the directory was listed."""
    config = PackerConfig(str(output), n_bits=4, workers=workers)
    with RowSpool(4, str(output)) as spool, Packer(config) as packer:
        spool.add(corpus.rows)
        return list(packer.pack(spool.tasks()))


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_shards_are_as_good(corpus: Corpus, output: Path, workers: int) -> None:
    first = pack_rows(corpus.rows, output)
    before = archive_bytes(output)
    outcomes = pack_without_looking(corpus, output, workers)
    assert [shard for outcome in outcomes for shard in outcome.shards] == first.shards
    assert archive_bytes(output) == before
    assert leftovers(output) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_other_shards_stay(corpus: Corpus, output: Path, workers: int) -> None:
    pack_rows(corpus.rows[:15], output)
    before = archive_bytes(output)
    with pytest.raises(StorageError) as caught:
        pack_without_looking(corpus, output, workers)
    assert "there already" in caught.value.message
    assert str(output) in str(caught.value)
    assert before.items() <= archive_bytes(output).items()
    assert leftovers(output) == []
