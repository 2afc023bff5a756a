"""Flipped bits, cut files and made-up bytes: all damage is found, nothing crashes a reader."""

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedData, DesError
from des_core.ledger.archive_identity import MARK, look_at_output, read_mark
from des_core.reading.verify import Verdict, is_manifest, verify_one
from des_core.reading.verify_tasks import Task, list_tasks
from des_core.shard_io import open_shard
from support.program.archive import make_archive
from support.program.runner import environment
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.golden import GOLDEN_DIR
from support.shards.hostile import HOSTILE_SHARDS
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import run_cycle

FLIPS_PER_ROUND = 100
FUZZ_S_PER_ROUND = 0.5


@dataclass(frozen=True)
class SmallArchive:
    """Shards, big files and manifests of a few kilobytes, and who verifies them."""

    archive: Archive
    output: Path

    def files(self) -> list[Path]:
        """All but the mark of the archive, which has a test of its own."""
        paths = (path for path in self.output.rglob("*") if path.is_file())
        return sorted(path for path in paths if path.name != MARK)

    def verdicts_with(self, path: Path, content: bytes) -> list[Verdict]:
        """What `verify` says of everything that the file belongs to, were this its content."""
        with self.changed(path, content):
            return [self._verify(name) for name in self.owners(path)]

    def owners(self, path: Path) -> list[str]:
        """The shards or the manifest that a file of the archive is part of."""
        if path.parent.name != "_bigFiles":
            return [str(path.relative_to(self.output))]
        return [shard.name for shard in self.output.glob("*.des") if self._refers(shard, path.name)]

    @contextmanager
    def changed(self, path: Path, content: bytes) -> Iterator[None]:
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            yield
        finally:
            path.write_bytes(before)

    def _verify(self, name: str) -> Verdict:
        task = Task(name, is_known=not is_manifest(name))
        return verify_one(self.archive.storage, self.archive.config, task).verdict

    @staticmethod
    def _refers(shard: Path, sha256: str) -> bool:
        with open_shard(shard) as reader:
            return any(entry.sha256 == sha256 for entry in reader.entries())


@pytest.fixture
def small(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Iterator[SmallArchive]:
    database = make_database("sqlite")
    files_table(database, rows=30, days=2, max_size=300)
    settings = make_archive(database, tmp_path / "out", packer={"big_file_threshold": 280})
    with open_archive(settings) as archive:
        run_cycle(archive)
        assert any((tmp_path / "out" / "_bigFiles").iterdir())
        yield SmallArchive(archive, tmp_path / "out")


def read_without_crash(path: Path) -> None:
    """Everything that a reader can be asked; our own error is an answer."""
    try:
        with open_shard(path) as reader:
            uids = [entry.uid for entry in reader.entries()]
            reader.find_many([*uids, "nobody"])
            for entry in reader.entries():
                reader.read(entry, max_bytes=1 << 20)
    except DesError:
        pass


def test_a_shard_that_left_the_ledger_meanwhile_is_read_all_the_same(small: SmallArchive) -> None:
    """A row that is not found proves nothing: only the shard set aside, and gone here, does."""
    shards = [path.name for path in sorted(small.output.glob("*.des"))]
    aside, cut, lost, sound = shards[:4]
    storage, config = small.archive.storage, small.archive.config
    tasks = {task.name: task for task in list_tasks(storage, config)}
    assert all(tasks[name].is_known for name in shards[:4])
    with config.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM des_archive_shard")
    storage.set_aside(aside)
    # What was set aside once, and is here again, is read.
    shutil.copy(small.output / sound, small.output / "_damaged" / sound)
    (small.output / cut).write_bytes((small.output / cut).read_bytes()[:-3])
    (small.output / lost).unlink()
    found = {name: verify_one(storage, config, tasks[name]) for name in shards[:4]}
    assert {name: item.verdict for name, item in found.items()} == {
        aside: Verdict.SOUND,
        cut: Verdict.DAMAGED,
        lost: Verdict.MISSING,
        sound: Verdict.EXTRA,
    }
    assert "ledger has it" not in str(found[lost].problem)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_every_flipped_bit_is_found(small: SmallArchive, rounds: int) -> None:
    chance = random.Random(rounds)
    files = small.files()
    weights = [path.stat().st_size for path in files]
    found: Counter[str] = Counter()
    for path in chance.choices(files, weights, k=rounds * FLIPS_PER_ROUND):
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        verdicts = small.verdicts_with(path, bytes(data))
        assert set(verdicts) == {Verdict.DAMAGED}, f"{path.name}: {verdicts}"
        found[path.parent.name] += 1
        if path.suffix == ".des":
            with small.changed(path, bytes(data)):
                read_without_crash(path)
    print(f"\n{found.total()} flipped bits, all found: {dict(found)}")


def test_a_damaged_mark_is_never_taken_for_that_of_another_archive(small: SmallArchive) -> None:
    """Each bit and each length: damage, a stranger, or the same mark in other letters."""
    path = small.output / MARK
    content = path.read_bytes()
    mark = read_mark(small.archive.storage)
    flips = [
        content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]
    seen: Counter[str] = Counter()
    for changed in (*flips, *(content[:length] for length in range(len(content)))):
        with small.changed(path, changed):
            try:
                state = look_at_output(small.archive.config, small.archive.storage)
            except DamagedData:
                seen["damaged"] += 1
            else:
                assert state.found == mark or state.is_stranger, changed
                seen["stranger" if state.is_stranger else "same"] += 1
    assert seen["damaged"] > seen["same"]


@pytest.mark.slow
def test_every_truncation_is_found(small: SmallArchive) -> None:
    files = small.files()
    shard = min((p for p in files if p.suffix == ".des"), key=lambda path: path.stat().st_size)
    manifest = min((p for p in files if p.suffix == ".json"), key=lambda p: p.stat().st_size)
    count = 0
    for path in (shard, manifest):
        content = path.read_bytes()
        for length in range(len(content)):
            verdicts = small.verdicts_with(path, content[:length])
            assert set(verdicts) <= {Verdict.DAMAGED, Verdict.UNREADABLE}, (path.name, length)
            count += 1
    print(f"\n{count} truncations, all found")


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(
    find_spec("atheris") is None, reason="needs the extra fuzz: pip install -e .[fuzz]"
)
def test_the_fuzzer_finds_nothing(tmp_path: Path, rounds: int) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in GOLDEN_DIR.glob("*.des"):
        shutil.copy(path, corpus)
    for name, make in HOSTILE_SHARDS.items():
        shard = make()
        if len(shard) < 1 << 16:
            (corpus / name.replace(" ", "-").replace("*", "")).write_bytes(shard)
    seconds = max(5, int(rounds * FUZZ_S_PER_ROUND))
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("fuzz_reader.py")),
            str(corpus),
            f"-max_total_time={seconds}",
            "-rss_limit_mb=1024",
            "-timeout=20",
            "-max_len=65536",
            "-print_final_stats=1",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    assert executed is not None, done.stderr[-5000:]
    print(f"\n{executed[1]} inputs in {seconds} s, {coverage[-1]} edges covered, no crash")
