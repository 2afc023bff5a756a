"""Old backups go, the newest good ones of each database stay, whatever lies beside them."""

import fcntl
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from backup.conftest import Bench, cut, data_file, flip_bit, now, write
from des_core.backup.claims import claim_of, is_claimed, try_claim, whole_directory
from des_core.backup.dump import Stored
from des_core.backup.keeping import examiner_without_trail
from des_core.backup.prune import Fate, KeepRules, PrunePlan, execute_prune, plan_prune
from des_core.backup.store import list_backups, load_entry, new_backup, take_up
from des_core.basics.errors import LockHeld, Refused, UsageError
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

DAY = timedelta(days=1)


@pytest.fixture
def small(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    make_bench: Callable[[TestDatabase], Bench],
) -> Bench:
    """What is kept is the same on every server; a copy of a file is the quickest to make."""
    database = make_database("sqlite")
    files_table(database, rows=5, files=False)
    return make_bench(database)


def make_old(stored: Stored, age: timedelta) -> Stored:
    """The same backup as if it had been made that long ago."""
    manifest = stored.manifest
    name = f"{now() - age:%Y%m%dT%H%M%SZ}_x"
    started, ended = manifest.started_at - age, manifest.finished_at - age
    write(stored, replace(manifest, name=name, started_at=started, finished_at=ended))
    path = stored.path.rename(stored.path.with_name(name))
    found = load_entry(path).stored
    assert found is not None
    return found


def make_series(bench: Bench, *days: float) -> list[Stored]:
    """A backup for each age in days."""
    return [make_old(bench.create(), DAY * age) for age in days]


def plan(bench: Bench, last: int, daily: int = 0, weekly: int = 0, **named: str) -> PrunePlan:
    return plan_prune(
        bench.directory,
        KeepRules(last, daily, weekly),
        examine=examiner_without_trail(now()),
        named=named,
        now=now(),
    )


def prune(bench: Bench, *rules: int) -> set[str]:
    """The names of what is gone."""
    return {item.name for item in execute_prune(plan(bench, *rules), now=now())}


def unfinished(bench: Bench, name: str, age: timedelta = timedelta()) -> Path:
    path = bench.directory / f"{name}.unfinished"
    path.mkdir()
    (path / "data.dump").write_bytes(b"half")
    stamp = time.time() - age.total_seconds()
    for each in (path / "data.dump", path):
        os.utime(each, (stamp, stamp))
    return path


def names(found: list[Stored]) -> set[str]:
    return {stored.path.name for stored in found}


def fates(bench: Bench, *rules: int) -> dict[str, Fate]:
    return {item.name: item.fate for item in plan(bench, *rules).judgements}


def test_unfinished_ones_never_count_as_kept(small: Bench) -> None:
    """Two that were never finished, newer than each good one: `ls | head -n -2` took all good."""
    good = make_series(small, 2, 3, 4)
    for name in ("29990101T000000Z_x", "29990102T000000Z_x"):
        unfinished(small, name)
    assert prune(small, 2) == names(good[2:])
    assert all(stored.path.exists() for stored in good[:2])


def test_damaged_ones_never_count_as_kept(small: Bench) -> None:
    good, damaged = make_series(small, 3, 4, 5), make_series(small, 1, 2)
    flip_bit(data_file(damaged[0]), 80_000)
    cut(data_file(damaged[1]), 0.5)
    assert prune(small, 2) == names([good[2], *damaged])


def test_too_few_good_ones_and_nothing_goes(small: Bench) -> None:
    good, damaged = make_series(small, 3, 4), make_series(small, 1)
    flip_bit(data_file(damaged[0]), 80_000)
    assert prune(small, 3) == set()
    why = {item.name: item.why for item in plan(small, 3).judgements}
    assert "too few good ones" in why[damaged[0].path.name]
    assert prune(small, 2) == names(damaged)
    assert all(stored.path.exists() for stored in good)


def test_each_database_keeps_its_own(
    small: Bench,
    make_database: Callable[[str], TestDatabase],
    make_bench: Callable[[TestDatabase], Bench],
    files_table: FilesTableFactory,
) -> None:
    """With two databases the newest two of all need not hold one of each."""
    other = make_bench(make_database("sqlite"))
    files_table(other.database, rows=5, files=False)
    other.directory = small.directory
    first, second = make_series(small, 5, 6), make_series(other, 1, 2)
    assert prune(small, 1) == names([first[1], second[1]])


def test_days_and_weeks(small: Bench) -> None:
    """As restic counts: periods that have a backup, the newest good one of each."""
    ages = [0.0, 1, 2, 3, 9, 16, 23]
    noon = datetime.now(UTC).replace(hour=12) - now()
    found = make_series(small, *[age - noon.total_seconds() / 86_400 for age in ages])
    kept = {item.name for item in plan(small, 1, 3).judgements if item.fate is Fate.KEPT}
    assert kept == names(found[:3])
    weekly = {item.name for item in plan(small, 1, 0, 100).judgements if item.fate is Fate.KEPT}
    weeks = {item.manifest.started_at.isocalendar()[:2] for item in found}
    assert len(weekly) == len(weeks) and found[6].path.name in weekly


def test_what_is_relied_on_stays(small: Bench) -> None:
    found = make_series(small, 1, 2, 3)
    relied_on = found[2].path.name
    kept = plan(small, 1, **{relied_on: "the column was dropped on it"})
    assert {item.name for item in kept.removed} == {found[1].path.name}


def test_unfinished_goes_after_a_day_unless_somebody_is_at_work(small: Bench) -> None:
    make_series(small, 1)
    young = unfinished(small, "a", timedelta(hours=23))
    old, busy = unfinished(small, "b", 2 * DAY), unfinished(small, "c", 2 * DAY)
    claim = try_claim(busy)
    assert claim is not None
    assert prune(small, 1) == {old.name}
    assert young.exists() and busy.exists()
    claim.release()
    assert prune(small, 1) == {busy.name}


def test_what_is_not_understood_is_left(small: Bench) -> None:
    [good] = make_series(small, 1)
    (small.directory / "notes").mkdir()
    broken = make_series(small, 8)[0]
    (broken.path / "manifest.json").write_text("{}")
    link = small.directory / "20200101T000000Z_link"
    link.symlink_to(good.path)
    assert prune(small, 1) == set()
    assert {fate for name, fate in fates(small, 1).items() if name != good.path.name} == {Fate.LEFT}


def test_removal_that_was_cut_off_goes_on(small: Bench) -> None:
    old = make_series(small, 1, 2)[1]
    half = old.path.rename(old.path.with_name(old.path.name + ".removed"))
    data_file(old).unlink() if data_file(old).exists() else None
    assert "cut off" in str(load_entry(half).problem)
    assert prune(small, 1) == {half.name}
    assert not half.exists()


def test_plan_of_another_day_is_refused(small: Bench) -> None:
    """Between plan and execution the backup became another one."""
    old = make_series(small, 1, 2)[1]
    made = plan(small, 1)
    write(old, replace(old.manifest, des_admin="99"))
    with pytest.raises(Refused, match="not what the plan was made for"):
        list(execute_prune(made, now=now()))
    assert old.path.exists()


def test_nothing_at_all_is_never_a_rule() -> None:
    with pytest.raises(UsageError):
        KeepRules(0)


def test_second_backup_of_a_database_is_refused_at_once(small: Bench, tmp_path: Path) -> None:
    directory = tmp_path / "both"
    with new_backup(directory, "db", now()) as first:
        (first / "x").write_text("")
        with pytest.raises(LockHeld) as caught, new_backup(directory, "db", now()):
            pass
        assert caught.value.facts["holder"] == f"{socket.gethostname()}, pid {os.getpid()}"
        assert "being made" in str(load_entry(first).problem)
        with new_backup(directory, "db-2", now()) as other:
            (other / "x").write_text("")
    assert len(list_backups(directory)) == 2


def test_locks_are_of_files_that_another_host_sees(tmp_path: Path) -> None:
    """On NFS a lock of a directory stays on its own host."""
    with new_backup(tmp_path, "db", now()) as first:
        (first / "x").write_text("")
        claim = claim_of(first)
        with claim.open("r+b") as same, pytest.raises(BlockingIOError):
            fcntl.flock(same, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in (tmp_path, first):
            descriptor = os.open(path, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
    assert not claim.exists()


def test_a_claim_that_was_given_back_is_nobodys(small: Bench, tmp_path: Path) -> None:
    left = unfinished_by_a_killed(tmp_path)
    assert left.exists() and not is_claimed(left)
    claim_of(left.with_name("gone.unfinished")).write_text("another host, pid 1\n")
    with new_backup(tmp_path, "db", now()) as path:
        (path / "x").write_text("")
    assert [found.name for found in tmp_path.glob(".*.claim")] == [claim_of(left).name]


def unfinished_by_a_killed(directory: Path) -> Path:
    """As kill -9 leaves it: directory and claim are there, the lock is not."""
    path = directory / "20240101T000000Z_db.unfinished"
    path.mkdir()
    claim_of(path).write_text("this host, pid 1\n")
    return path


def test_finished_backup_without_its_name_is_taken_up(small: Bench) -> None:
    """Killed between the manifest and the rename: nothing of it is lost."""
    stored = small.create()
    cut_off = stored.path.rename(stored.path.with_name(stored.path.name + ".unfinished"))
    assert "backup check" in str(load_entry(cut_off).problem)
    assert fates(small, 1) == {cut_off.name: Fate.LEFT}
    half = unfinished(small, "20240101T000000Z_x")
    assert take_up(small.directory) == [stored.path.name]
    assert small.check(stored.path).is_good
    assert half.exists()


def test_the_lock_of_a_directory_lets_one_in_at_a_time(tmp_path: Path) -> None:
    """Although each who leaves takes the file away that the next ones wait for."""
    inside: list[int] = []
    most: list[int] = []

    def enter() -> None:
        for _ in range(50):
            with whole_directory(tmp_path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (400, 1)
    assert list(tmp_path.iterdir()) == []
