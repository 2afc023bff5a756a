"""Two at once, and killed at any moment: nothing orphaned, nothing good deleted."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from backup.conftest import Bench, now
from backup.test_secrets_and_ends import children, program_of
from des_core.backup.findings import Level
from des_core.backup.keeping import examiner_without_trail
from des_core.backup.prune import Fate, KeepRules, plan_prune
from des_core.backup.record import last_checks
from des_core.backup.store import list_backups, take_up
from des_core.migration.apply import upgrade
from support.program.archive import make_settings
from support.program.runner import environment, write_config

pytestmark = pytest.mark.slow
LOCKED = 11


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Path:
    """A project with a migrated database; its backups go into `backups`."""
    settings = make_settings(bench.database, tmp_path / "shards")
    write_config(settings, tmp_path / "des-admin.yaml")
    upgrade(settings)
    bench.directory = tmp_path / "backups"
    return tmp_path


def begin(place: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "des_admin", "backup", "create", "--dir", "backups", *more]
    return subprocess.Popen(
        command,
        cwd=place,
        env={**environment(), "DES_ADMIN__MIGRATION__LOCK_TIMEOUT": "30"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_pairs(bench: Bench, place: Path, rounds: int) -> None:
    """Of two at once one is refused before it begins, or both are whole, checked and recorded."""
    pairs = max(2, rounds // 3)
    made = 0
    for _ in range(pairs):
        both = [begin(place), begin(place)]
        said = [process.communicate(timeout=240) for process in both]
        codes = sorted(process.returncode for process in both)
        assert codes in ([0, 0], [0, LOCKED]), said
        made += codes.count(0)
        assert all("not recorded" not in err for _out, err in said), said
    entries = list_backups(bench.directory)
    assert [entry.problem for entry in entries] == [None] * made
    recorded = {check.manifest_sha256 for check in last_checks(bench.target.database)}
    assert recorded == {entry.stored.manifest_sha256 for entry in entries if entry.stored}


def test_kills(bench: Bench, place: Path, rounds: int) -> None:
    """kill -9 at any moment: the dumper ends, what was finished is found, the rest is named."""
    chance = random.Random(bench.database.server)
    began = time.monotonic()
    process = begin(place)
    process.communicate(timeout=240)
    assert process.returncode == 0
    whole_s = time.monotonic() - began
    good = {entry.name for entry in list_backups(bench.directory)}
    for _ in range(max(3, rounds // 2)):
        process = begin(place)
        Event().wait(chance.random() * whole_s)
        dumpers = [pid for pid in children(process.pid) if "dump" in program_of(pid)]
        process.kill()
        process.communicate(timeout=60)
        _wait_until_gone(dumpers)
        take_up(bench.directory)
        for entry in list_backups(bench.directory):
            if entry.stored is None:
                assert "never finished" in str(entry.problem)
            else:
                assert bench.check(entry.path, Level.L2).is_good
        good_now = {entry.name for entry in list_backups(bench.directory) if entry.stored}
        assert good <= good_now
        good = good_now
        plan = plan_prune(
            bench.directory,
            KeepRules(len(good)),
            examine=examiner_without_trail(now()),
            named={},
            now=now(),
        )
        assert {item.name for item in plan.judgements if item.fate is Fate.KEPT} == good
        assert plan.removed == ()
    process = begin(place)
    process.communicate(timeout=240)
    assert process.returncode == 0


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any("dump" in program_of(pid) for pid in pids):
        assert time.monotonic() < deadline, "a dumper outlived the program"
        Event().wait(0.05)


def test_dumper_ends_with_its_program(bench: Bench, place: Path) -> None:
    """Blocked in the middle of a dump, with a table that nobody may read."""
    from backup.test_secrets_and_ends import _block_dumper, _wait_until_dumping

    if bench.database.kind == "sqlite":
        pytest.skip("no dumper")
    blocker = bench.database.connect()
    _block_dumper(bench.database, blocker)
    process = begin(place)
    _wait_until_dumping(process.pid)
    dumpers = [pid for pid in children(process.pid) if "dump" in program_of(pid)]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert dumpers
    _wait_until_gone(dumpers)
    [left] = list_backups(bench.directory)
    assert "never finished" in str(left.problem)
