"""Workers: stopped within a second, dead with their parent, and honest about their own death."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, DesError, StorageError, Terminated
from des_core.packer_planner import PackerConfig
from des_core.packing.pack_task import TaskPacker
from des_core.packing.packer import Packer, make_batches
from des_core.packing.row_spool import RowSpool
from des_core.packing.tasks import ShardTask
from des_core.packing.worker_pool import WorkerDied
from support.servers.processes import has_ended
from support.shards.packing import (
    DAY,
    Corpus,
    leftovers,
    pack_rows,
    pack_with,
    packer_for,
    read_archive,
)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "source")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


LONG = 64 << 30
HERE_THERE = ("here", "there")
# A second is promised; the others are for a machine that runs other tests meanwhile. None copies
# so much in that time.
A_MOMENT_S = 10.0


def long_source(tmp_path: Path) -> Path:
    """A file so big that copying it takes longer than a test; none gets to its end."""
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(LONG)
    return path


def wait_for_drafts(output: Path, count: int = 1) -> list[str]:
    """The names of the drafts, as soon as there are so many."""
    deadline = time.monotonic() + 120
    while len(names := leftovers(output)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return names


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_in_the_middle_of_a_big_file(corpus: Corpus, output: Path, workers: int) -> None:
    corpus.root.mkdir()
    corpus.add_row("long", str(long_source(corpus.root)), LONG)
    config = PackerConfig(str(output), workers=workers)
    with packer_for(config) as packer:

        def cancel_when_under_way() -> None:
            wait_for_drafts(output)
            moments.append(time.monotonic())
            packer.cancel(Terminated("stop"))

        moments: list[float] = []
        canceller = threading.Thread(target=cancel_when_under_way)
        canceller.start()
        with pytest.raises(Terminated):
            pack_with(packer, corpus.rows)
        assert time.monotonic() - moments[0] < A_MOMENT_S
        canceller.join()
        with pytest.raises(Terminated):
            pack_with(packer, corpus.rows)
    assert leftovers(output) == []
    assert list(output.glob("*.des")) == []


def test_a_killed_worker(corpus: Corpus, output: Path) -> None:
    corpus.root.mkdir()
    corpus.add_row("long", str(long_source(corpus.root)), LONG)
    with packer_for(PackerConfig(str(output), workers=2)) as packer:

        def kill_when_under_way() -> None:
            os.kill(int(wait_for_drafts(output)[0].split("-")[2]), signal.SIGKILL)

        killer = threading.Thread(target=kill_when_under_way)
        killer.start()
        with pytest.raises(WorkerDied) as caught:
            pack_with(packer, corpus.rows)
        killer.join()
    assert "SIGKILL" in str(caught.value)
    assert leftovers(output) == []


def test_the_packer_works_again_after_a_failure(corpus: Corpus, output: Path) -> None:
    corpus.fill(20)
    with packer_for(PackerConfig(str(output), workers=2)) as packer:
        broken = ShardTask(DAY, 0, b"\0\0\0\0\0\0\0\1?")
        with pytest.raises((DesError, ValueError, EOFError)):
            list(packer.pack([broken]))
        assert pack_with(packer, corpus.rows).files_out == 20
    assert read_archive(output) == corpus.contents


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_shard_stops_everything(corpus: Corpus, output: Path, workers: int) -> None:
    corpus.fill(20)
    pack_rows(corpus.rows, output)
    shard = sorted(output.glob("*.des"))[0]
    damaged = shard.read_bytes()[:-5]
    shard.write_bytes(damaged)
    with pytest.raises(DamagedShard) as caught:
        pack_rows(corpus.rows, output, workers=workers)
    assert shard.name in str(caught.value)
    assert shard.read_bytes() == damaged


@pytest.mark.parametrize("workers", [1, 2])
def test_an_output_that_goes_away(corpus: Corpus, output: Path, workers: int) -> None:
    corpus.fill(20)
    with packer_for(PackerConfig(str(output), workers=workers)) as packer:
        tasks = spooled(corpus, output)
        output.rmdir()
        with pytest.raises(StorageError) as caught:
            list(packer.pack(tasks))
    assert caught.value.hint


def spooled(corpus: Corpus, output: Path) -> list[ShardTask]:
    with RowSpool(8, str(output)) as spool:
        spool.add(corpus.rows)
        return list(spool.tasks())


_PACK_FOR_LONG = """
import sys
from des_core.packing.packer import Packer
from des_core.packer_planner import PackerConfig
from des_core.records import SourceRow
from des_core.packing.row_spool import RowSpool
source, output, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with RowSpool(8, output) as spool, Packer(PackerConfig(output, workers=2)) as packer:
    spool.add([SourceRow(str(n), 0, source, size) for n in range(2)])
    print("ready", flush=True)
    list(packer.pack(spool.tasks()))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, output: Path, number: int) -> None:
    output.mkdir()
    source = str(long_source(tmp_path))
    parent = subprocess.Popen(
        [sys.executable, "-c", _PACK_FOR_LONG, source, str(output), str(LONG)],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_for_drafts(output, 2)
        workers = children_of(parent.pid)
        assert len(workers) == 2
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        started = time.monotonic()
        parent.communicate(timeout=60)
        while not all(has_ended(pid) for pid in workers):
            assert time.monotonic() - started < A_MOMENT_S
            time.sleep(0.01)
    finally:
        parent.kill()
        parent.communicate()
    with packer_for(PackerConfig(str(output))) as packer:
        packer.storage.clean_leftovers()
    assert leftovers(output) == []
    assert list(output.glob("*.des")) == []


def test_outcomes_come_in_the_order_of_tasks(corpus: Corpus, output: Path) -> None:
    corpus.fill(400, days=8)
    packed = pack_rows(corpus.rows, output, workers=4)
    places = [(shard.day, shard.bucket) for shard in packed.shards]
    assert places == sorted(places)
    assert read_archive(output) == corpus.contents


def test_batches_neither_lose_nor_reorder(corpus: Corpus) -> None:
    tasks = [ShardTask(DAY, n, bytes(n % 7 * 50_000)) for n in range(200)]
    batches = list(make_batches(tasks, 2))
    assert [task for batch in batches for task in batch] == tasks
    assert [len(batch) for batch in batches[:4]] == [1, 1, 2, 2]
    assert max(len(batch) for batch in batches) <= 64


def test_few_rows_are_packed_without_workers(
    corpus: Corpus, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes, whoever packs; a number of workers that was asked for is there."""
    monkeypatch.setattr("des_core.packing.packer.usable_processors", lambda: 2)
    corpus.fill(300, days=3)
    for name, workers, expected in zip(HERE_THERE, (None, 2), (0, 2), strict=True):
        config = PackerConfig(str(tmp_path / name), n_bits=4, workers=workers)
        before = set(children_of(os.getpid()))
        with packer_for(config) as packer, RowSpool(4, config.output_dir) as spool:
            spool.add(corpus.rows)
            list(packer.pack(spool.tasks(), spool.rows, spool.content_bytes))
            assert len(set(children_of(os.getpid())) - before) == expected
        assert leftovers(Path(config.output_dir)) == []
    here, there = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in HERE_THERE)
    assert here == there


@pytest.mark.parametrize(("rows", "content_bytes"), [(501, 0), (500, (8 << 20) + 1), (None, 0)])
def test_more_rows_are_worth_workers(
    corpus: Corpus,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int | None,
    content_bytes: int,
) -> None:
    monkeypatch.setattr("des_core.packing.packer.usable_processors", lambda: 2)
    corpus.fill(40)
    before = set(children_of(os.getpid()))
    with packer_for(PackerConfig(str(output))) as packer:
        list(packer.pack(spooled_rows(corpus, output), rows, content_bytes))
        assert set(children_of(os.getpid())) - before


def test_tasks_are_taken_only_as_they_are_needed(corpus: Corpus, output: Path) -> None:
    corpus.fill(1)
    rows = spooled_rows(corpus, output)
    taken = []

    def tasks():  # type: ignore[no-untyped-def]
        for number in range(5000):
            taken.append(number)
            yield ShardTask(DAY, number % 256, rows[0].rows if number == 0 else b"")

    with packer_for(PackerConfig(str(output), workers=2)) as packer:
        outcomes = packer.pack(tasks())
        next(outcomes)
        assert len(taken) < 1000
        assert sum(1 for _ in outcomes) == 4999


def spooled_rows(corpus: Corpus, output: Path) -> list[ShardTask]:
    output.mkdir(exist_ok=True)
    return spooled(corpus, output)


def test_abandoning_the_outcomes_leaves_no_draft(corpus: Corpus, output: Path) -> None:
    corpus.fill(300, days=20)
    with packer_for(PackerConfig(str(output), workers=2)) as packer:
        with RowSpool(8, str(output)) as spool:
            spool.add(corpus.rows)
            outcomes = packer.pack(spool.tasks())
            next(outcomes)
            outcomes.close()  # type: ignore[attr-defined]
        assert leftovers(output) == []
        assert pack_with(packer, corpus.rows).files_out == 300
    assert read_archive(output) == corpus.contents


def test_a_task_packer_that_fails_discards_what_waits_for_its_name(
    corpus: Corpus, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.fill(40)
    calls = []
    true_pack = TaskPacker._pack_task

    def pack_task(self: TaskPacker, task: ShardTask):  # type: ignore[no-untyped-def]
        calls.append(task)
        if len(calls) == 5:
            raise StorageError("the disk is gone")
        return true_pack(self, task)

    monkeypatch.setattr(TaskPacker, "_pack_task", pack_task)
    with pytest.raises(StorageError):
        pack_rows(corpus.rows, output)
    assert leftovers(output) == []


def test_a_packer_in_a_script_without_a_main_guard(tmp_path: Path, output: Path) -> None:
    corpus = Corpus(tmp_path / "source")
    corpus.fill(5)
    output.mkdir()
    script = tmp_path / "script.py"
    script.write_text(
        "from des_core.packing.packer import Packer\n"
        "from des_core.packer_planner import PackerConfig\n"
        "from des_core.records import SourceRow\n"
        "from des_core.packing.row_spool import RowSpool\n"
        f"rows = {[tuple(row) for row in corpus.rows]!r}\n"
        f"with RowSpool(8, {str(output)!r}) as spool:\n"
        "    spool.add([SourceRow(*row) for row in rows])\n"
        f"    with Packer(PackerConfig({str(output)!r}, workers=2)) as packer:\n"
        "        print(sum(outcome.files_out for outcome in packer.pack(spool.tasks())))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_packer_wants_an_output_directory(output: Path) -> None:
    with pytest.raises(StorageError):
        Packer(PackerConfig(str(output)))
