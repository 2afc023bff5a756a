"""The lock: one holder, named to others; gone with its process; noticed when lost."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from des_core.basics.errors import FenceLost, LockHeld
from des_core.database.connections import Database, open_database
from des_core.locks.lock import hold_lock, lock_holder
from support.servers.database import TestDatabase

HOLD = """
import sys
from des_core.database.connections import open_database
from des_core.locks.lock import hold_lock
with hold_lock(open_database(sys.argv[1], create=True), "test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def config(database: TestDatabase) -> Iterator[Database]:
    opened = open_database(database.url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def holder(database: TestDatabase, config: Database) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    runner = Path(__file__).parents[2] / "runner"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, database.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(runner)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.communicate()


def test_a_second_holder_is_told_who_the_first_is(
    config: Database, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockHeld) as error, hold_lock(config, "second"):
        pass
    assert error.value.exit_code == 11
    named = str(error.value.facts["holder"])
    assert lock_holder(config) is not None
    if config.dialect != "mysql":
        assert f"pid {holder.pid}" in named
        assert "test" in named


def test_the_lock_ends_with_a_killed_process(
    config: Database, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.communicate()
    with hold_lock(config, "next", wait_s=10) as lock:
        lock.check()
    assert lock_holder(config) is None


def test_the_lock_is_free_again_after_use(config: Database) -> None:
    for _ in range(2):
        with hold_lock(config, "mine") as lock:
            lock.check()
            assert lock_holder(config) is not None
    assert lock_holder(config) is None


@pytest.mark.sqlite
def test_a_lost_lease_is_noticed(make_database, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    database = make_database("sqlite")
    config = open_database(database.url, create=True)
    with hold_lock(config, "first") as lock:
        database.execute("UPDATE des_archive_lock SET token = 'another'")
        with pytest.raises(FenceLost):
            lock.check()
    config.close()


def test_a_long_reader_delays_heartbeats_and_breaks_nothing(
    make_database, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("des_core.locks.lock.HEARTBEAT_S", 0.02)
    monkeypatch.setattr("des_core.locks.lease.BUSY_HEARTBEAT_S", 0.02)
    database = make_database("sqlite")
    config = open_database(database.url, create=True)
    heartbeat = "SELECT heartbeat_at FROM des_archive_lock"
    ticker = threading.Event()
    with hold_lock(config, "test") as lock:
        reader = database.connect()
        reader.execute("BEGIN")
        before = reader.execute(heartbeat).fetchone()
        ticker.wait(0.5)  # many heartbeats that cannot commit
        assert reader.execute(heartbeat).fetchone() == before
        reader.rollback()
        for _ in range(100):
            if reader.execute(heartbeat).fetchone() != before:
                break
            ticker.wait(0.05)
        assert reader.execute(heartbeat).fetchone() != before
        lock.check()
    assert lock_holder(config) is None
    config.close()
