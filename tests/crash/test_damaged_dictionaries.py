"""Flipped bits in dictionaries and in shards that need them: all found, and never a wrong byte."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedData
from des_core.reading.verify import Verdict, verify_one
from des_core.reading.verify_tasks import Task
from des_core.shard_io import open_shard
from des_core.shard_io.dictionaries import COPY_SUFFIX, other_copy
from support.program.archive import make_archive
from support.rows.documents import add_documents
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import run_cycle

FLIPS_PER_ROUND = 100


@dataclass(frozen=True)
class Documents:
    """An archive whose small files are compressed with dictionaries."""

    archive: Archive
    table: FilesTable
    output: Path

    def dictionaries(self) -> list[Path]:
        return sorted((self.output / "_dictionaries").iterdir())

    def shards(self) -> list[Path]:
        return sorted(self.output.glob("*.des"))

    def verdict(self, path: Path) -> Verdict:
        name = str(path.relative_to(self.output))
        task = Task(name, is_known=path.suffix == ".des")
        return verify_one(self.archive.storage, self.archive.config, task).verdict

    def read(self, shard: Path) -> int:
        """How many files came back; each of them is what was packed."""
        found = 0
        with open_shard(shard) as reader:
            for entry in reader.entries():
                content = reader.read(entry)
                assert content == self.table.expected_content(entry.uid)
                found += 1
        return found


@pytest.fixture
def documents(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Iterator[Documents]:
    database = make_database("sqlite")
    table = files_table(database, rows=1, days=2)
    add_documents(table, a_day=100)
    packer = {"compression": {"dictionary": True}}
    settings = make_archive(database, tmp_path / "out", packer=packer)
    with open_archive(settings) as archive:
        run_cycle(archive)
        yield Documents(archive, table, tmp_path / "out")


@contextmanager
def flipped(path: Path, chance: random.Random) -> Iterator[None]:
    before = path.read_bytes()
    data = bytearray(before)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_every_flipped_bit_is_found(documents: Documents, rounds: int) -> None:
    chance = random.Random(rounds)
    assert len(documents.dictionaries()) == 4
    files = [*documents.dictionaries(), *documents.shards()]
    found: Counter[str] = Counter()
    for path in chance.choices(files, [path.stat().st_size for path in files], k=rounds * 100):
        with flipped(path, chance):
            assert documents.verdict(path) is Verdict.DAMAGED, path
        found[path.parent.name] += 1
    print(f"\n{found.total()} flipped bits, all found: {dict(found)}")


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_no_flipped_dictionary_gives_a_wrong_byte(documents: Documents, rounds: int) -> None:
    """With one copy flipped the other serves; with both, what needs them is refused."""
    chance = random.Random(rounds)
    files = sum(map(documents.read, documents.shards()))
    assert files >= 200
    refused = 0
    for _ in range(rounds * 10):
        path = chance.choice([p for p in documents.dictionaries() if p.suffix != COPY_SUFFIX])
        shard = chance.choice(documents.shards())
        with flipped(path, chance):
            assert documents.read(shard) > 0
            other = documents.output / other_copy(str(path.relative_to(documents.output)))
            with flipped(other, chance):
                try:
                    documents.read(shard)
                except DamagedData as exc:
                    assert "dictionary" in str(exc)
                    refused += 1
    assert refused > rounds
    print(f"\n{rounds * 10} pairs of copies flipped: {refused} shards refused, no wrong byte")
