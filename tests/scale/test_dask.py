"""A Dask cluster packs what one machine would have packed, whatever dies on the way."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import (
    ConfigError,
    Interrupted,
    SchedulerUnreachable,
    StorageError,
    Terminated,
    UsageError,
)
from des_core.packer_planner import PackerConfig
from des_core.packing.packer import Packer
from des_core.packing.remote_claims import RemoteClaims
from des_core.packing.row_spool import RowSpool
from des_core.packing.tasks import ShardTask, TaskOutcome
from des_core.records import FileFailure, Reason, ShardRecord
from des_core.settings.config import Settings
from des_core.storage.directory import DirectoryStorage
from scale.conftest import ObjectArchive
from support.crash.truth import archive_bytes as archive_digests
from support.crash.truth import check_truth, read_watermark_value
from support.pages.endpoints import wait_until
from support.program.archive import make_archive, make_settings
from support.program.dask_cluster import DaskCluster, dask_cluster
from support.program.runner import environment, run_runner, write_config
from support.program.scale import as_worker, run_alone, shards_only
from support.rows.filesdata import FilesSpec, FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.packing import DAY, Corpus, archive_bytes, leftovers, pack_rows
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.stopping import StopRequest

pytestmark = pytest.mark.slow

MakeDatabase = Callable[[str], TestDatabase]
PACKER = {"n_bits": 5, "max_shard_size": 1 << 16, "big_file_threshold": 15_000}
BACK = "UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'"
# The first death is one too many.
IMPATIENT = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Three workers; whoever kills one starts another."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


@pytest.fixture
def some_kills(rounds: int) -> int:
    """Two in CI; `make soak` has as many as it was told to, and no more than is of use."""
    return min(rounds, 20) if "DES_TEST_ROUNDS" in os.environ else 2


def on(cluster: DaskCluster, settings: Settings) -> Settings:
    packer = settings.packer.model_copy(update={"engine": "dask", "scheduler": cluster.address})
    return settings.model_copy(update={"packer": packer})


def into(settings: Settings, output_dir: Path) -> Settings:
    output_dir.mkdir()
    packer = settings.packer.model_copy(update={"output_dir": str(output_dir)})
    return settings.model_copy(update={"packer": packer})


def pack_again(database: TestDatabase) -> None:
    for name in ("exception", "shard", "slice", "job"):
        database.execute(f"DELETE FROM des_archive_{name}")
    database.execute(BACK)


def run(settings: Settings, **options: Any) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive, **options)


class Killer:
    """Kills a worker at the event number `fatal`, while all are at work, and starts another."""

    def __init__(self, cluster: DaskCluster, chance: random.Random, fatal: int | None) -> None:
        self.cluster, self.chance, self.fatal = cluster, chance, fatal
        self.events = 0

    def watch(self, event: ProgressEvent) -> None:
        if event.kind != "files_packed":
            return
        self.events += 1
        if self.events == self.fatal:
            self.cluster.kill_worker(self.chance.randrange(len(self.cluster.workers)))
            self.cluster.start_worker()


def test_a_cluster_makes_the_archive_of_one_machine_though_its_workers_are_killed(
    cluster: DaskCluster,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
    some_kills: int,
) -> None:
    database = make_database("postgres")
    table = files_table(database, rows=500, days=3, max_size=20_000, bad={"missing": 5, "fifo": 2})
    settings = make_archive(database, tmp_path / "alone", packer=PACKER)
    run_alone(settings)
    expected = shards_only(archive_digests(tmp_path / "alone"))
    chance = random.Random(8)
    for number in range(some_kills + 1):
        pack_again(database)
        output_dir = tmp_path / f"cluster-{number}"
        killer = Killer(cluster, chance, fatal=chance.randrange(1, 40) if number else None)
        report = run(on(cluster, into(settings, output_dir)), progress=killer.watch)
        assert (report.files_out, report.files_failed) == (493, 7)
        assert shards_only(archive_digests(output_dir)) == expected
        assert set(check_truth(table, database, output_dir)) == set(table.bad)
        DirectoryStorage(str(output_dir)).clean_leftovers()  # as the next run does at its beginning
        assert leftovers(output_dir) == []
        assert killer.events > 40, "progress comes while it goes on"


def test_static_workers_may_each_use_the_cluster(
    cluster: DaskCluster,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    database = make_database("mariadb")
    table = files_table(database, rows=80, days=2)
    settings = on(cluster, make_archive(database, tmp_path / "out"))
    for shard_id in range(2):
        config = write_config(as_worker(settings, shard_id, 2), tmp_path / f"{shard_id}.yaml")
        done = run_runner(config)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert check_truth(table, database, tmp_path / "out") == {}


def test_the_scheduler_never_holds_a_large_part_of_a_window(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    from distributed import Client

    corpus = Corpus(tmp_path / "source")
    corpus.fill(3000, days=60, size=60)
    held: list[int] = []
    with Client(cluster.address, set_as_default=False) as client:

        def count(dask_scheduler: Any) -> int:
            return len(dask_scheduler.tasks)

        output_dir = tmp_path / "out"
        output_dir.mkdir()
        config = PackerConfig(str(output_dir), n_bits=4, scheduler=cluster.address)
        with Packer(config) as packer, RowSpool(4, str(output_dir)) as spool:
            spool.add(corpus.rows)
            tasks = list(spool.tasks())
            for number, _ in enumerate(packer.pack(iter(tasks))):
                if number % 100 == 0:
                    held.append(client.run_on_scheduler(count))
    assert len(tasks) > 800
    # Two batches for each worker, and those whose end the scheduler has not heard of yet: few
    # as a rule, and more where a busy machine is late in telling it.
    assert sorted(held)[len(held) // 2] <= 2 * len(cluster.workers) + 3
    assert max(held) < len(tasks) / 20
    assert sum(len(read) for read in archive_bytes(output_dir).values()) > 0


def test_a_lost_scheduler_stops_the_run_where_the_watermark_is(
    files_table: FilesTableFactory, make_database: MakeDatabase, tmp_path: Path
) -> None:
    database = make_database("postgres")
    table = files_table(database, rows=400, days=8, max_size=2000)
    settings = make_archive(database, tmp_path / "out", packer=PACKER)
    with dask_cluster(tmp_path / "dask", 2) as cluster:
        committed: list[Any] = []

        def lose(event: ProgressEvent) -> None:
            if event.kind == "slice_committed":
                committed.append(read_watermark_value(database))
            elif event.kind == "files_packed" and len(committed) == 3 and cluster.scheduler:
                cluster.kill_scheduler()

        with pytest.raises(SchedulerUnreachable) as error:
            run(on(cluster, settings), progress=lose)
        assert error.value.exit_code == 10
        assert "the watermark is where it was" in str(error.value)
        # What the client held already when the scheduler went may finish one more slice.
        assert len(committed) in (3, 4)
        assert read_watermark_value(database) == committed[-1]
        check_truth(table, database, tmp_path / "out")
        cluster.start_scheduler()
        cluster.start_worker()
        report = run(on(cluster, settings))
    assert report.files_out + 50 * len(committed) >= 400 > report.files_out
    assert check_truth(table, database, tmp_path / "out") == {}


def test_files_that_kill_their_workers_become_exceptions(
    files_table: FilesTableFactory, make_database: MakeDatabase, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    table = files_table(database, rows=200, days=2, max_size=400)
    settings = make_archive(database, tmp_path / "out", packer={"n_bits": 4})
    poisoned = sorted(table.rows)[77]
    location = Path(table.rows[poisoned].location)
    location.rename(location.with_suffix(".poison"))
    rename = "UPDATE files SET file_location = '{}' WHERE uid = '{}'"
    database.execute(rename.format(location.with_suffix(".poison"), poisoned))
    preload = str(Path(__file__).parents[1] / "support" / "program" / "poison.py")
    with dask_cluster(tmp_path / "dask", 0, **IMPATIENT) as cluster:
        for _ in range(2):
            cluster.start_worker("--preload", preload)
        report = run(on(cluster, settings))
    reasons = check_truth(table, database, tmp_path / "out")
    assert set(reasons.values()) == {"worker_killed"}
    assert poisoned in reasons
    assert report.files_failed == len(reasons) < 40, "those of a shard or two, not of all"
    error = database.value("SELECT MIN(last_error) FROM des_archive_exception")
    assert "was killed, again and again" in error
    database.execute(rename.format(location, poisoned))
    location.with_suffix(".poison").rename(location)
    database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
    assert run_alone(settings).retried.packed == len(reasons)
    assert check_truth(table, database, tmp_path / "out") == {}


def test_a_cluster_packs_from_bucket_to_bucket(
    object_archive: Callable[[str, FilesSpec], ObjectArchive], tmp_path: Path
) -> None:
    archived = object_archive("sqlite", FilesSpec(rows=90, days=2))
    settings = archived.settings
    with dask_cluster(tmp_path / "dask", 2) as cluster:
        with open_archive(on(cluster, settings)) as archive:
            dead = tmp_path / "scratch" / f".tmp-{'b' * 32}-1-{'f' * 16}"
            events: list[ProgressEvent] = []

            def leave_a_draft(event: ProgressEvent) -> None:
                if not events:
                    dead.write_bytes(b"of a worker that was killed")
                events.append(event)

            report = run_cycle(archive, progress=leave_a_draft)
        assert report.files_out == 90
        assert not dead.exists(), "the first batch of a worker removes what the dead left there"
        assert run(on(cluster, settings)).files_in == 0
    assert archived.check_truth() == {}


def test_a_stop_reaches_the_workers(
    cluster: DaskCluster,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    from distributed import Client

    database = make_database("sqlite")
    table = files_table(database, rows=300, days=1, max_size=4000)
    settings = on(cluster, make_archive(database, tmp_path / "out", packer=PACKER))
    stop = StopRequest()

    def ask(event: ProgressEvent) -> None:
        if event.kind == "files_packed":
            stop.set()

    with pytest.raises(Terminated):
        run(settings, stop=stop, progress=ask)
    with Client(cluster.address, set_as_default=False) as client:
        wait_until(lambda: client.run_on_scheduler(lambda dask_scheduler: not dask_scheduler.tasks))
    run_alone(settings)
    assert check_truth(table, database, tmp_path / "out") == {}


def test_the_runners_code_is_sent_along(tmp_path: Path) -> None:
    """A worker whose own copy is of another version packs with the runner's."""
    old = tmp_path / "old" / "des_core"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text("__version__ = '0.0.1'\n")
    corpus = Corpus(tmp_path / "source")
    corpus.fill(40)
    here = pack_rows(corpus.rows, tmp_path / "here")
    with dask_cluster(tmp_path / "dask", 1, PYTHONPATH=str(old.parent)) as cluster:
        there = pack_rows(corpus.rows, tmp_path / "there", scheduler=cluster.address)
    assert there.files_out == here.files_out == 40
    assert archive_bytes(tmp_path / "there") == archive_bytes(tmp_path / "here")


def test_what_cannot_work_is_said_at_once(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"needs packer\.scheduler"):
        make_settings(make_database("sqlite"), tmp_path / "out", packer={"engine": "dask"})
    monkeypatch.setattr("des_core.packing.dask_engine.CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr("des_core.packing.dask_engine.FIRST_WORKER_WITHIN_S", 0.5)
    corpus = Corpus(tmp_path / "source")
    corpus.fill(4)
    nobody = DaskCluster(tmp_path)
    with pytest.raises(SchedulerUnreachable, match="cannot be reached") as error:
        pack_rows(corpus.rows, tmp_path / "a", scheduler=nobody.address)
    assert error.value.exit_code == 10
    with pytest.raises(UsageError, match="not the address"):
        pack_rows(corpus.rows, tmp_path / "a", scheduler="http://127.0.0.1:8786")
    monkeypatch.setattr("des_core.packing.dask_engine.CONNECT_TIMEOUT_S", 30)
    with dask_cluster(tmp_path / "dask", 0) as empty:
        with pytest.raises(SchedulerUnreachable, match="no workers") as error:
            pack_rows(corpus.rows, tmp_path / "a", scheduler=empty.address)
        assert "dask worker" in str(error.value.hint)
        monkeypatch.setattr("des_core.packing.dask_engine.FIRST_WORKER_WITHIN_S", 240)
        output_dir = tmp_path / "b"
        output_dir.mkdir()
        with Packer(PackerConfig(str(output_dir), n_bits=4, scheduler=empty.address)) as packer:
            timer = threading.Timer(1.0, packer.cancel)
            timer.start()
            began = time.monotonic()
            with pytest.raises(Interrupted):
                list(packer.pack(iter([ShardTask(DAY, 0, b"")])))
            timer.join()
        assert time.monotonic() - began < 120, "a stop need not wait for the first worker"


def test_without_the_extra_the_message_names_it(
    files_table: FilesTableFactory, make_database: MakeDatabase, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    files_table(database, rows=5, days=1)
    config = write_config(make_archive(database, tmp_path / "out"), tmp_path / "c.yaml")
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from watermark_orchestrator.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    flags = ("--config", str(config), "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", program, *flags],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 2
    assert "des-admin[dask]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_with_other_disks_is_found_out(tmp_path: Path) -> None:
    claims = RemoteClaims(DirectoryStorage(str(tmp_path)))
    name = "20240301_0_0000.des"
    shard = ShardRecord(name, DAY, 0, 0, 1, 1, 1, "0" * 64)
    with pytest.raises(StorageError, match="not in our output directory") as error:
        claims.check("tcp://worker:1", [TaskOutcome(shards=(shard,), files_out=1)])
    assert error.value.facts["worker"] == "tcp://worker:1"
    (tmp_path / name).write_bytes(b"x")
    claims.check("tcp://worker:1", [TaskOutcome(shards=(shard,), files_out=1)])
    there, gone = str(tmp_path / name), str(tmp_path / "gone")
    for location in (there, gone):
        failure = FileFailure("u", 0, location, Reason.MISSING, "no such file")
        outcome = TaskOutcome(failures=(failure,))
        if location == gone:
            claims.check("tcp://worker:1", [outcome])
        else:
            with pytest.raises(StorageError, match="does not see a file"):
                claims.check("tcp://worker:1", [outcome])


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:8786", "192.0.2.1:8786", "ws://[2001:db8::1]:8786"]
)
def test_a_scheduler_elsewhere_without_tls(tmp_path: Path, address: str) -> None:
    """Whoever answers in its place could run code here; who says that nobody can is believed."""
    corpus = Corpus(tmp_path / "source")
    corpus.fill(4)
    with pytest.raises(ConfigError, match="without TLS"):
        pack_rows(corpus.rows, tmp_path / "a", scheduler=address)
    options: dict[str, Any] = {"scheduler_without_tls": True, "scheduler": "tcp://host.invalid:1"}
    with pytest.raises(SchedulerUnreachable):
        pack_rows(corpus.rows, tmp_path / "b", **options)
