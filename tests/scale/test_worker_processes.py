"""Four static workers as processes of their own, killed at any moment, on one PostgreSQL."""

import os
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.crash.truth import archive_bytes, check_truth, read_watermark_value
from support.program.archive import make_archive
from support.program.runner import run_runner, start_runner, write_config
from support.program.scale import check_workers, run_alone, shards_only
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

WORKERS = 4
BACK = "UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'"


class Fleet:
    """Worker processes, started again whenever one was killed."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.done: set[int] = set()

    def start(self) -> None:
        """Start whoever does not run and has not finished.

        Nobody reads what they say before the end: none finishes so soon.
        """
        for number in set(range(WORKERS)) - self.done - set(self.running):
            flags = ("--shard-id", str(number), "--shards-total", str(WORKERS))
            self.running[number] = start_runner(self.config, *flags, waits_for_readers=True)

    def kill(self, number: int) -> bool:
        """Kill it; False where it had just finished."""
        process = self.running.pop(number)
        process.kill()
        _, said = process.communicate()
        assert process.returncode in (0, -9), said
        if process.returncode == 0:
            self.done.add(number)
        return process.returncode == -9

    def kill_all(self) -> None:
        for number in list(self.running):
            self.kill(number)

    def finish(self) -> None:
        """Let everybody come to the end."""
        self.start()
        for number in list(self.running):
            process = self.running.pop(number)
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said


@pytest.mark.slow
@pytest.mark.postgres
def test_four_workers_killed_at_random_make_the_archive_of_one(
    files_table: FilesTableFactory,
    make_database: Callable[[str], TestDatabase],
    tmp_path: Path,
    rounds: int,
) -> None:
    database = make_database("postgres")
    rounds = min(rounds, 50) if "DES_TEST_ROUNDS" in os.environ else 5
    table = files_table(database, rows=60 * rounds, days=4 * rounds, max_size=600)
    packer = {"n_bits": 4, "workers": 1, "max_shard_size": 1 << 16}
    settings = make_archive(database, tmp_path / "out", packer=packer)
    fleet = Fleet(write_config(settings, tmp_path / "c.yaml"))
    chance = random.Random(8)
    kills = 0
    for number in range(rounds):
        fleet.start()
        threading.Event().wait(chance.uniform(0.0, 1.0))
        if fleet.running:
            kills += fleet.kill(chance.choice(sorted(fleet.running)))
        if database.value("SELECT COUNT(*) FROM des_archive_worker"):
            check_workers(database, WORKERS)
        if number == rounds // 2:
            fleet.kill_all()
            check_truth(table, database, tmp_path / "out")
    fleet.finish()
    assert kills >= rounds * 0.9, "most of them were killed in the middle of their work"
    assert check_truth(table, database, tmp_path / "out") == {}

    for name in ("shard", "slice", "worker", "job"):
        database.execute(f"DELETE FROM des_archive_{name}")
    database.execute(BACK)
    run_alone(make_archive(database, tmp_path / "alone", packer=packer))
    assert shards_only(archive_bytes(tmp_path / "out")) == shards_only(
        archive_bytes(tmp_path / "alone")
    )


@pytest.mark.postgres
def test_a_dead_worker_holds_back_the_watermark_only(
    files_table: FilesTableFactory, make_database: Callable[[str], TestDatabase], tmp_path: Path
) -> None:
    database = make_database("postgres")
    table = files_table(database, rows=200, days=4)
    settings = make_archive(database, tmp_path / "out")
    config = write_config(settings, tmp_path / "c.yaml")
    seeded = read_watermark_value(database)
    for number in (0, 2, 3):
        done = run_runner(config, "--shard-id", str(number), "--shards-total", str(WORKERS))
        assert done.returncode == 0, done.stderr
        assert f"worker {number}/{WORKERS} packed until" in done.stderr
    assert read_watermark_value(database) == seeded
    done = run_runner(config, "--shard-id", "1", "--shards-total", str(WORKERS))
    assert done.returncode == 0, done.stderr
    assert read_watermark_value(database) > seeded
    assert check_truth(table, database, tmp_path / "out") == {}


def test_of_two_pods_with_one_index_one_leaves_with_11(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=800, days=40, max_size=200)
    settings = make_archive(database, tmp_path / "out")
    config = write_config(settings, tmp_path / "c.yaml")
    flags = ("--shard-id", "1", "--shards-total", "2")
    with start_runner(config, *flags, waits_for_readers=True) as first:
        assert first.stderr is not None
        while "slice_committed" not in first.stderr.readline():
            assert first.poll() is None
        second = run_runner(config, *flags)
        assert first.poll() is None, "it should have gone on"
        assert second.returncode == 11
        assert "somebody else is at work" in second.stderr
        _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert run_runner(config, "--shard-id", "0", "--shards-total", "2").returncode == 0
    assert check_truth(table, database, tmp_path / "out") == {}
