"""Two runners at once behind PgBouncer in transaction mode, and the one at work killed.

Every second round the killed one looks as if it were of another machine: nobody here can know that
it is gone, so its lease must expire.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db.test_poolers import behind, left_behind
from des_core.basics.errors import ExitCode
from des_core.database.manners import _POSTGRES_SET_ASIDE
from des_core.locks.leases import LEASE
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.program.runner import run_runner, start_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.pgbouncer import PgBouncer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]
# All that a session of ours sets, or that might be set by it; newer servers have some more.
SETTINGS = (
    *(setting.partition(" ")[0] for since, setting in _POSTGRES_SET_ASIDE if since == 0),
    "lock_timeout",
    "default_transaction_read_only",
    "default_transaction_isolation",
    "search_path",
    "synchronous_commit",
    "work_mem",
    "maintenance_work_mem",
)
STARTING_S = 20.0
ELSEWHERE = "UPDATE des_archive_lease SET host = 'elsewhere', process = 'x 1' WHERE pid = :pid"


def shown(pooler: PgBouncer, database: TestDatabase) -> list[list[Any]]:
    """What other clients read of every setting, each in a session that the pooler holds."""
    clients = [pooler.connect(database.name) for _ in range(5)]
    found = [
        [client.execute(f"SHOW {name}".encode()).fetchone() for name in SETTINGS]
        for client in clients
    ]
    for client in clients:
        client.close()
    return found


def kill_the_holder(
    database: TestDatabase, runners: list[subprocess.Popen[str]], *, is_elsewhere: bool
) -> float | None:
    """-9 to the one that holds the lease; when, or None where both had ended before.

    `is_elsewhere`: just before, its lease says that it is of another machine.
    """
    pids = {runner.pid: runner for runner in runners}
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline and any(runner.poll() is None for runner in runners):
        held = database.rows("SELECT pid FROM des_archive_lease WHERE token <> ''")
        for (pid,) in held:
            if pid in pids and pids[pid].poll() is None:
                if is_elsewhere:
                    database.execute(ELSEWHERE, {"pid": pid})
                os.kill(pid, signal.SIGKILL)
                return time.monotonic()
        time.sleep(0.005)
    return None


@pytest.mark.postgres
def test_one_works_and_the_next_goes_on(
    make_database: Callable[[str], TestDatabase],
    pooled_postgres: Callable[..., PgBouncer],
    files_table: FilesTableFactory,
    tmp_path: Path,
    rounds: int,
) -> None:
    waits: dict[str, list[float]] = {"of this machine": [], "of another": []}
    pooler = pooled_postgres("transaction")
    for number in range(max(2, rounds // 5)):
        place = tmp_path / str(number)
        place.mkdir()
        database = make_database("postgres")
        waited = one_round(database, pooler, files_table, place, is_elsewhere=number % 2 == 1)
        if waited is not None:
            waits["of another" if number % 2 else "of this machine"].append(waited)
    for where, taken in waits.items():
        text = ", ".join(f"{seconds:.1f}" for seconds in taken) or "none"
        print(f"\nkilled {where}: the next was done after {text} s")
    assert sum(map(len, waits.values())) > 0


def one_round(
    database: TestDatabase,
    pooler: PgBouncer,
    files_table: FilesTableFactory,
    place: Path,
    *,
    is_elsewhere: bool,
) -> float | None:
    """Seconds from the kill to the end of the next run; None where both had ended before."""
    table = files_table(database, 400, days=80, archived_days=2)
    settings = make_archive(database, place / "out")
    config = write_config(behind(pooler, settings, direct=False), place / "config.yaml")
    before = shown(pooler, database)
    runners = [start_runner(config) for _ in range(2)]
    killed = kill_the_holder(database, runners, is_elsewhere=is_elsewhere)
    said = [runner.communicate(timeout=200)[1] for runner in runners]
    codes = {runner.returncode for runner in runners}
    assert codes <= {ExitCode.DONE, ExitCode.LOCKED, -signal.SIGKILL}, said
    while (ended := run_runner(config)).returncode == ExitCode.LOCKED:
        assert killed is not None, ended.stderr
        assert time.monotonic() - killed < LEASE.total_seconds() + STARTING_S, ended.stderr
        time.sleep(2)  # a try costs a second of a processor, and the lease lasts a minute
    assert ended.returncode == 0, ended.stderr
    done = time.monotonic()
    assert shown(pooler, database) == before
    assert left_behind(pooler, database) == set()
    assert check_truth(table, database, place / "out") == {}
    return None if killed is None else done - killed
