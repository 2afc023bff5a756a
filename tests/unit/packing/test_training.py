"""Training: the same files give the same dictionary, and one that does not pay is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from des_core.packing.training import SIZES, stored_bytes, train
from des_core.shard_io import Compression
from des_core.shard_io.dictionaries import FIRST_ID, with_id
from support.rows.documents import document
from support.rows.filesdata import content_of

LEVEL_3 = Compression(level=3)
AGAIN = """
import hashlib, sys
from des_core.packing.training import train
from des_core.shard_io import Compression
from support.rows.documents import document
documents = [document(number) for number in range(500)]
print(hashlib.sha256(train(documents, Compression(level=3), 0.01).content).hexdigest())
"""


def run_again() -> str:
    tests = Path(__file__).parents[2]
    command = [sys.executable, "-c", AGAIN]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=tests, timeout=60
    ).stdout


def test_two_processes_train_the_same() -> None:
    assert run_again() == run_again()


@pytest.mark.parametrize("count", [100, 300, 1000])
def test_documents_pay(count: int) -> None:
    documents = [document(number) for number in range(count)]
    trained = train(documents, LEVEL_3, 1.0)
    assert trained.content is not None
    alone = stored_bytes(documents, LEVEL_3)
    together = stored_bytes(documents, LEVEL_3, with_id(trained.content, FIRST_ID))
    assert together + 2 * len(trained.content) < alone


def test_a_larger_slice_pays_for_a_larger_dictionary() -> None:
    lines = Path(__file__).read_bytes().splitlines(keepends=True)
    sources = [b"".join(lines[n % 40 :: 1 + n % 3]) for n in range(400)]
    of_few, of_many = (train(sources, LEVEL_3, share).content for share in (1.0, 0.001))
    assert of_few is not None and of_many is not None
    assert len(of_few) <= len(of_many) <= SIZES[-1]


@pytest.mark.parametrize(
    "contents",
    [
        [],
        [b"x"],
        [document(number) for number in range(15)],
        [b"" for _ in range(100)],
        [b"%d" % number for number in range(1000)],
        [content_of(f"noise-{number}", 2000) for number in range(100)],
        [bytes(1000)] * 100,
    ],
    ids=["none", "one", "few", "empty", "tiny", "half noise", "zeros"],
)
@pytest.mark.parametrize("share", [1.0, 1e-6])
def test_what_does_not_pay_is_left_out(contents: list[bytes], share: float) -> None:
    trained = train(contents, LEVEL_3, share)
    if trained.content is None:
        assert trained.stored == trained.stored_alone
    else:  # of very many such files, a little is much
        assert trained.stored < trained.stored_alone
        assert share < 1
