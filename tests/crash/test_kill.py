"""kill -9 at random moments of a continuous run, with writers active: nothing lost or twice."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.crash.scene import CrashScene, make_scene
from support.crash.truth import check_truth
from support.crash.zygote import Zygote
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import retry_now, run_cycle
from watermark_orchestrator.rechecking import look_for_late, record_late
from watermark_orchestrator.retrying import Selection

LONGEST_LIFE_S = 0.8
CONTINUOUS = ("--mode", "continuous", "--interval", "0")
ROUNDS_PER_DAY = 3
FULL_CHECK_EVERY = 25


@contextmanager
def writing(scene: CrashScene, number: int) -> Iterator[None]:
    """An application that inserts rows while the block lasts: new ones, and late ones."""
    stop = threading.Event()

    def write() -> None:
        count = 0
        while not stop.wait(0.02):
            count += 1
            scene.write_row(f"live-{number}-{count}", late=count % 4 == 0, missing=count % 9 == 0)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_at_random_moments(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    kill_often(make_scene(database, files_table, tmp_path), tmp_path, rounds)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_killed_with_dictionaries(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    scene = make_scene(database, files_table, tmp_path, documents=60)
    kill_often(scene, tmp_path, rounds)
    assert list((scene.output / "_dictionaries").iterdir())


def kill_often(scene: CrashScene, tmp_path: Path, rounds: int) -> None:
    database = scene.database
    config = write_config(scene.settings, tmp_path / "config.yaml")
    chance = random.Random(rounds)
    killed = 0
    with Zygote(tmp_path) as zygote:
        for number in range(rounds):
            if number % ROUNDS_PER_DAY == 0:
                scene.prepare()
            runner = zygote.start(
                "--config", str(config), "--mode", "continuous", "--interval", "0"
            )
            with writing(scene, number):
                threading.Event().wait(chance.random() * LONGEST_LIFE_S)
                runner.send(signal.SIGKILL)
                code = runner.wait()
            assert code == -signal.SIGKILL, runner.said()
            assert "Traceback" not in runner.said(), runner.said()
            killed += 1
            scene.check(at_rest=False)
            if number % FULL_CHECK_EVERY == FULL_CHECK_EVERY - 1:
                come_to_rest(scene)
    reasons = come_to_rest(scene)
    assert set(reasons.values()) <= {"missing"}
    slices = database.value("SELECT COUNT(*) FROM des_archive_slice WHERE kind = 'window'")
    twice = database.rows(
        "SELECT window_end FROM des_archive_slice WHERE kind = 'window'"
        " GROUP BY window_end HAVING COUNT(*) > 1"
    )
    assert twice == []
    print(
        f"\n{database.server}: {killed} kills, {slices} slices, {len(scene.table.rows)} rows,"
        f" {len(reasons)} exceptions; 0 lost, 0 torn, 0 twice"
    )


def come_to_rest(scene: CrashScene) -> dict[str, str]:
    """Let everything be packed that can be, look at every row; uid → reason of the exceptions."""
    with open_archive(scene.settings) as archive:
        run_cycle(archive)
        record_late(archive, look_for_late(archive, every_day=True))
        retry_now(archive, Selection())
    return check_truth(scene.table, scene.database, scene.output)
