"""`des-admin lock`: who holds it, and taking it away."""

import os

import pytest

from cli.conftest import Archive, Program
from des_core.basics.errors import FenceLost
from des_core.database.connections import open_database
from des_core.locks.lock import hold_lock


def test_show_and_break(archive: Archive, program: Program) -> None:
    assert "free: nobody is at work" in program("lock", "show").out
    assert "free already" in program("lock", "break", "--yes").out
    database = open_database(archive.config.url)
    with hold_lock(database, "run") as lock:
        [shown] = program("lock", "show", "--output", "json").json["holders"]
        assert (shown["lease"], shown["purpose"], shown["pid"]) == ("writer", "run", os.getpid())
        assert shown["state"] == "alive"
        assert 0 <= shown["heartbeat_age_s"] <= 60
        assert 0 < shown["expires_in_s"] <= 60
        before = archive.events()
        assert "--yes" in program("lock", "break", expect=4).err
        assert (
            program("lock", "break", "--worker", "3", "--yes", "--output", "json").json["broken"]
            == []
        )
        lock.check()
        assert archive.events() == before
        done = program("lock", "break", "--yes", "--reason", "its node burnt down")
        assert "taken away: 1" in done.out
        action, held, _, reason, _ = archive.events()[-1]
        assert (action, reason) == ("lock.break", "its node burnt down")
        assert f"pid {os.getpid()}" in str(held)
        with pytest.raises(FenceLost):
            lock.check()
    assert program("lock", "show", "--output", "json").json["holders"] == []
    database.close()


def test_doctor_warns_of_a_late_heartbeat(sqlite_archive: Archive, program: Program) -> None:
    database = open_database(sqlite_archive.config.url)
    with hold_lock(database, "run"):
        checks = program("doctor", "--output", "json", expect=None).json["checks"]
        [lock] = [check for check in checks if check["name"] == "lock"]
        assert lock["status"] == "ok"
        assert "des-admin run on" in lock["detail"]
        assert "expires in" in lock["detail"]
        sqlite_archive.config.execute(
            "UPDATE des_archive_lease SET heartbeat_at = datetime(heartbeat_at, '-31 seconds')"
        )
        checks = program("doctor", "--output", "json", expect=None).json["checks"]
        [lock] = [check for check in checks if check["name"] == "lock"]
        assert lock["status"] == "warning"
        assert "heartbeat is late" in lock["detail"]
    database.close()
