"""The lock: one holder, named to others; gone with its process; noticed when lost."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, DesError, FenceLost, LockHeld, Refused
from des_core.database.connections import Database, open_database
from des_core.locks.leases import LEASE, TRAIL, read_lease_row, serialize
from des_core.locks.lock import find_holders, hold_lock, lock_holder
from des_core.locks.lookup import was_committed
from des_core.locks.processes import this_process
from support.servers.database import TestDatabase

NOW = datetime(2024, 11, 1, tzinfo=UTC)
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
    assert f"des-admin test on {socket.gethostname()}, pid {holder.pid}, since 2" in named
    assert re.search(r"last heartbeat \d+ s ago, expires in [56]\d s", named)
    assert re.search(r"the lock is free in at most [56]\d s", str(error.value.hint))
    assert lock_holder(config) == named or "pid" in str(lock_holder(config))


def test_the_lock_ends_at_once_with_a_killed_process(
    config: Database, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked for it
    assert [one.state for one in find_holders(config)] == ["gone"]
    with hold_lock(config, "next") as lock:
        lock.check()
    assert lock_holder(config) is None


def test_a_stopped_process_keeps_its_lock_until_it_expires(
    config: Database, holder: subprocess.Popen[str], database: TestDatabase
) -> None:
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(LockHeld), hold_lock(config, "next"):
        pass
    expire(database)
    with hold_lock(config, "next") as lock:
        lock.check()


@pytest.mark.parametrize(
    ("mark", "state"),
    [
        ("another-boot pid:[1] time:[2] 77", "alive"),  # another machine, or another container
        ("", "alive"),  # a system that does not say
        ("{place} 77", "gone"),  # the process id is in use again
        ("{place} {start}", "alive"),
    ],
)
def test_a_process_id_alone_proves_nothing(
    config: Database, database: TestDatabase, mark: str, state: str
) -> None:
    place, _, start = this_process().mark.rpartition(" ")
    with hold_lock(config, "first"):
        database.execute(
            "UPDATE des_archive_lease SET process = :mark WHERE name = 'writer'",
            {"mark": mark.format(place=place, start=start)},
        )
        assert [holder.state for holder in find_holders(config)] == [state]
        if state == "alive":
            with pytest.raises(LockHeld), hold_lock(config, "second"):
                pass
        else:
            with hold_lock(config, "second"):
                pass


def test_the_lock_is_free_again_after_use(config: Database) -> None:
    for _ in range(2):
        with hold_lock(config, "mine") as lock:
            lock.check()
            assert lock_holder(config) is not None
    assert lock_holder(config) is None


def test_a_lost_lease_writes_nothing(config: Database, database: TestDatabase) -> None:
    with hold_lock(config, "first") as lock:
        expire(database)
        lock.check()  # nobody else has it yet
        with hold_lock(config, "second") as taken:
            with pytest.raises(FenceLost, match="lock was lost") as error:
                lock.check()
            assert "des-admin second" in str(error.value.facts["holder"])
            with pytest.raises(FenceLost):
                lock.write(lambda tx: tx.run("lease_add", {"name": "x", "now": NOW}))
            assert taken.write(lambda tx: read_lease_row(tx, "x")) is None
    assert lock_holder(config) is None


def test_an_older_copy_that_lacks_the_lease_tells_nothing_of_a_commit(
    config: Database, database: TestDatabase
) -> None:
    """After a failover to a replica that lagged: not found is neither done nor undone."""
    with hold_lock(config, "run") as lock:
        database.execute("DELETE FROM des_archive_lease")
        with pytest.raises(FenceLost, match="cannot be told"):
            was_committed(config, lock.lease, "that of a commit")


def test_nobody_takes_the_lease_between_the_proof_and_the_commit(
    config: Database, database: TestDatabase
) -> None:
    """Who comes then waits for the row, also where the lease has expired."""
    began = threading.Event()
    taken: list[object] = []

    def take() -> None:
        began.set()
        try:
            with hold_lock(config, "second"):
                taken.append("taken")
        except DesError as error:
            taken.append(error)

    with hold_lock(config, "first") as lock:
        expire(database)
        thread = threading.Thread(target=take)
        with lock.kept():
            thread.start()
            began.wait(10)
            threading.Event().wait(0.5)
            assert taken == []
        thread.join()
        assert taken == ["taken"]
        with pytest.raises(FenceLost):
            lock.check()


def test_heartbeats_renew_the_lease(
    config: Database, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("des_core.locks.lock.HEARTBEAT_S", 0.02)
    with hold_lock(config, "test") as lock:
        [before] = find_holders(config)
        for _ in range(200):
            [now] = find_holders(config)
            if now.heartbeat_at > before.heartbeat_at:
                break
            threading.Event().wait(0.02)
        assert now.heartbeat_at > before.heartbeat_at
        assert now.expires_at - now.heartbeat_at == LEASE
        lock.check()


def test_a_late_heartbeat_is_said(config: Database, database: TestDatabase) -> None:
    with hold_lock(config, "test"):
        column = (
            "datetime(heartbeat_at, '-31 seconds')"
            if database.kind == "sqlite"
            else ("heartbeat_at - INTERVAL '31' SECOND")
        )
        database.execute(f"UPDATE des_archive_lease SET heartbeat_at = {column}")
        [holder] = find_holders(config)
        assert holder.state == "late"


def test_the_error_of_the_block_comes_out_where_the_release_fails(
    config: Database, database: TestDatabase
) -> None:
    with pytest.raises(DamagedShard, match="flipped"), hold_lock(config, "test"):
        database.execute("DROP TABLE des_archive_lease")
        raise DamagedShard("flipped")


def test_what_could_not_be_given_back_keeps_only_others_waiting(
    config: Database, database: TestDatabase
) -> None:
    """The database was away when the job ended: the next job of this process goes on at once."""
    with hold_lock(config, "first"):
        database.execute("ALTER TABLE des_archive_lease RENAME TO away")
    database.execute("ALTER TABLE away RENAME TO des_archive_lease")
    [left] = find_holders(config)
    assert (left.lease.purpose, left.state, left.expires_at > left.now) == ("first", "alive", True)
    other = subprocess.run(
        [sys.executable, "-c", HOLD, database.url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "runner")},
        check=False,
    )
    assert "LockHeld" in other.stderr and "held" not in other.stdout
    with hold_lock(config, "second") as lock:
        lock.check()
    assert find_holders(config) == []


def test_twenty_takers_at_once_hold_it_one_after_another(config: Database) -> None:
    inside, most, guard = 0, 0, threading.Lock()
    errors: list[BaseException] = []

    def hold() -> None:
        nonlocal inside, most
        try:
            with hold_lock(config, "taker", wait_s=60):
                with guard:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.01)
                with guard:
                    inside -= 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hold) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert most == 1


def test_a_long_reader_delays_heartbeats_and_breaks_nothing(
    make_database, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("des_core.locks.lock.HEARTBEAT_S", 0.02)
    monkeypatch.setattr("des_core.locks.lock.BUSY_HEARTBEAT_S", 0.02)
    database = make_database("sqlite")
    config = open_database(database.url, create=True)
    heartbeat = "SELECT heartbeat_at FROM des_archive_lease WHERE name = 'writer'"
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


@pytest.mark.parametrize("is_alive", [True, False], ids=["alive", "lost"])
def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_years(
    config: Database, holder: subprocess.Popen[str], database: TestDatabase, is_alive: bool
) -> None:
    """Or another server took over whose clock is behind: a lease ends in a minute at most."""
    if not is_alive:
        holder.send_signal(signal.SIGSTOP)  # nobody knows that it is gone: as on another machine
    database.execute(
        "UPDATE des_archive_lease SET acquired_at = '2999-01-01 00:00:00',"
        " heartbeat_at = '2999-01-01 00:00:00', expires_at = '2999-01-01 00:01:00'"
        " WHERE name = 'writer'"
    )
    assert [one.expires_in for one in find_holders(config)] == [LEASE]
    with pytest.raises(LockHeld) as caught, hold_lock(config, "next"):
        pass
    assert "in at most 60 s" in str(caught.value.hint)
    [now] = find_holders(config)
    assert timedelta() < now.expires_at - now.now <= LEASE
    assert now.heartbeat_age < LEASE
    if is_alive:
        holder.communicate("")
    else:
        expire(database)
    with hold_lock(config, "next") as lock:
        lock.check()


def expire(database: TestDatabase) -> None:
    """As after a minute without a heartbeat."""
    database.execute("UPDATE des_archive_lease SET expires_at = '2000-01-01 00:00:00'")


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_who_stands_still_while_taking_it_is_not_waited_for(
    database: TestDatabase, config: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped between its first change of the row and its commit."""
    monkeypatch.setattr("des_core.locks.leases.LONGEST_WAIT_MS", 300)
    with hold_lock(config, "first"):
        pass
    gave_up = pytest.raises(Refused, match="gave up waiting for a lock")
    with database.session() as stopped:
        stopped.exec_driver_sql("UPDATE des_archive_lease SET beat = beat + 1")
        with gave_up, hold_lock(config, "run"):
            pass
        with gave_up, config.write() as tx:
            serialize(tx, TRAIL)
        stopped.rollback()
    with hold_lock(config, "run"):
        assert lock_holder(config) is not None
