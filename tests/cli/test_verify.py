"""`des-admin verify` and `ledger rebuild` from the command line."""

from datetime import timedelta

import pytest

from cli.conftest import Archive, Program
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle


def test_verify_repairs_what_it_finds(archive: Archive, program: Program) -> None:
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    assert program("verify", "--output", "json").json["sound"] is True
    assert program("verify", "--max-age", "1d", "--output", "json").json["shards"] == 0
    parts = [program("verify", "--sample", f"{n}/3", "--output", "json").json for n in (1, 2, 3)]
    whole = program("verify", "--max-duration", "1h", "--output", "json").json
    assert sum(part["shards"] for part in parts) == whole["shards"]
    program("verify", "--sample", "4/3", expect=2)
    shard = max((archive.project / "output").glob("*.des"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-3])
    assert shard.name in program("verify", expect=20).out
    program("verify", "--repair", expect=4)
    assert shard.exists()
    repaired = program("verify", "--repair", "--yes", "--output", "json").json["repaired"]
    assert repaired["set_aside"] == [f"_damaged/{shard.name}"]
    assert repaired["packed"] == repaired["files"] > 0
    assert archive.events()[-2][0] == "damage_set_aside"
    assert program("verify", "--output", "json").json["sound"] is True


def test_what_was_not_read_in_time_is_not_called_sound(
    sqlite_archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("run")
    at_once = timedelta(microseconds=1)
    monkeypatch.setattr("des_core.basics.durations.parse_duration", lambda text: at_once)
    stopped = program("verify", "--max-duration", "1s", "--output", "json", expect=4)
    assert stopped.json["complete"] is False
    assert "begins with the rest" in stopped.err


def test_ledger_rebuild(archive: Archive, program: Program) -> None:
    with open_archive(archive.settings) as opened:
        run_cycle(opened)
    shards = archive.config.value("SELECT COUNT(*) FROM des_archive_shard")
    assert program("ledger", "rebuild", "--output", "json").json["shards"] == 0
    archive.config.execute("DELETE FROM des_archive_shard")
    dry = program("ledger", "rebuild", "--dry-run", "--output", "json").json
    assert (dry["done"], dry["shards"]) == (False, shards)
    program("ledger", "rebuild", expect=4)
    program("ledger", "rebuild", "--yes")
    assert archive.config.value("SELECT COUNT(*) FROM des_archive_shard") == shards
    assert archive.events()[-1][0] == "ledger_rebuilt"
