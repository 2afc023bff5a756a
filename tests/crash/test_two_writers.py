"""Two runners on one database: one is stopped past its lease or its session, and continued."""

import random
import signal
import threading
from pathlib import Path

import pytest

from support.crash.scene import CrashScene, make_scene
from support.crash.truth import check_truth
from support.crash.zygote import Zygote
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

# A lease that runs out while a test looks on; a database that is not waited for for long.
TIMES = {
    "des_core.locks.leases.LEASE": 0.2,
    "des_core.locks.lock.HEARTBEAT_S": 0.05,
    "des_core.database.manners.SQLITE_BUSY_TIMEOUT_S": 0.5,
    "watermark_orchestrator.continuous.LONGEST_WAIT_S": 0.2,
    "watermark_orchestrator.continuous.RECONNECT_FOR_S": 5.0,
}
LONGEST_LIFE_S = 0.35
LOCKED, REFUSED, UNREACHABLE = 11, 4, 10
SESSIONS = {
    "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'des-admin%'",
    "mysql": "SELECT id FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID() AND command = 'Sleep'",
}


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_one_is_stopped_past_its_lease_and_continued(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, rounds: int
) -> None:
    scene = make_scene(database, files_table, tmp_path)
    config = str(write_config(scene.settings, tmp_path / "config.yaml"))
    chance = random.Random(rounds)
    stopped_in_time = 0
    with Zygote(tmp_path) as zygote:
        for _ in range(rounds):
            scene.prepare()
            scene.prepare()
            first = zygote.start("--config", config, times=TIMES)
            threading.Event().wait(chance.random() * LONGEST_LIFE_S)
            first.send(signal.SIGSTOP)
            is_running = not is_zombie(first.pid)
            second_code = run_second(zygote, config, database, is_running)
            first.send(signal.SIGCONT)
            first_code = first.wait()
            assert "Traceback" not in first.said(), first.said()
            assert first_code in (0, 3, LOCKED, REFUSED, UNREACHABLE), first.said()
            assert second_code in (0, 3, LOCKED, REFUSED), second_code
            stopped_in_time += is_running
            assert_no_slice_twice(scene)
            scene.recover()
            scene.check(at_rest=True)
    assert set(check_truth(scene.table, database, scene.output).values()) <= {"missing"}
    print(f"\n{database.server}: {rounds} rounds, {stopped_in_time} stopped in the middle; 0 twice")


def run_second(zygote: Zygote, config: str, database: TestDatabase, is_running: bool) -> int:
    """A second runner beside the stopped one; where that holds a session, the session is ended."""
    if database.kind != "sqlite" and is_running:
        blocked = zygote.start("--config", config, times=TIMES)
        if (code := blocked.wait()) == LOCKED:
            assert "somebody else is at work" in blocked.said()
        end_sessions(database)
        if code != LOCKED:
            return code
    threading.Event().wait(0.25)
    second = zygote.start("--config", config, times=TIMES)
    code = second.wait()
    assert "Traceback" not in second.said(), second.said()
    return code


def end_sessions(database: TestDatabase) -> None:
    """What the server does to the sessions of a client that it has not heard of for too long."""
    rows = database.rows(SESSIONS[database.kind])
    if database.kind == "mysql":
        for (number,) in rows:
            database.execute(f"KILL {number}")


def assert_no_slice_twice(scene: CrashScene) -> None:
    twice = scene.database.rows(
        "SELECT window_end FROM des_archive_slice WHERE kind = 'window'"
        " GROUP BY window_end HAVING COUNT(*) > 1"
    )
    assert twice == []
    starts = scene.database.rows(
        "SELECT window_start, window_end FROM des_archive_slice WHERE kind = 'window'"
        " ORDER BY window_end"
    )
    ends = [end for _, end in starts]
    assert [start for start, _ in starts[1:]] == ends[:-1], "windows overlap or leave a gap"


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
