"""What a job said once is on the next person's screen until it is mended."""

import errno
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from des_core.ledger.outcomes import KEPT
from des_core.storage.drafts import LocalDraft
from support.crash.truth import check_truth


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sync of a draft fails, as on a disk without room."""

    def sync(_: LocalDraft) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalDraft, "sync", sync)


@pytest.mark.usefixtures("full_disk")
def test_a_failed_cycle_is_on_every_screen(
    archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("run", expect=4)
    program("run", expect=4)
    for command, code in ((("progress",), 0), (("doctor",), 4)):
        said = program(*command, expect=code).out
        assert "the last cycle refused" in said, command
        assert "No space left" in said, command
        assert "2 in a row" in said, command
    [remark] = program("progress", "--output", "json").json["health"]
    assert (remark["name"], remark["severity"]) == ("run", "failed")
    assert "Needs attention" not in program("progress", "--format", "csv").out
    monkeypatch.undo()
    program("run")
    assert program("progress", "--output", "json").json["health"] == []
    assert "in a row" not in program("doctor").out


def test_an_output_that_is_not_there_is_remembered(archive: Archive, program: Program) -> None:
    """The cycle never began: the directory cannot be opened."""
    (archive.project / "output").rename(archive.project / "away")
    program("run", expect=4)
    assert "the last cycle refused" in program("progress").out


def damaged_shard(archive: Archive) -> Path:
    shard = sorted((archive.project / "output").glob("*.des"))[0]
    content = bytearray(shard.read_bytes())
    content[40] ^= 0x20
    shard.chmod(0o600)
    shard.write_bytes(bytes(content))
    return shard


def test_damage_stays_until_a_verification_is_clean(archive: Archive, program: Program) -> None:
    program("run")
    shard = damaged_shard(archive)
    sound = shard.read_bytes()
    program("verify", expect=20)
    for _ in range(2):
        for command, code in ((("progress",), 0), (("doctor",), 4)):
            said = " ".join(program(*command, expect=code).out.split())
            assert f"not sound: {shard.name} (damaged)" in said, command
            assert "des-admin verify --repair" in said, command
    program("run")
    assert "not sound" in program("progress").out, "a good cycle mends nothing"
    content = bytearray(sound)
    content[40] ^= 0x20
    shard.write_bytes(bytes(content))
    program("verify")
    assert program("progress", "--output", "json").json["health"] == []


def test_damage_is_gone_once_it_is_repaired(archive: Archive, program: Program) -> None:
    program("run")
    damaged_shard(archive)
    program("verify", expect=20)
    program("verify", "--repair", "--yes")
    assert program("progress", "--output", "json").json["health"] == []
    check_truth(archive.table, archive.config, archive.project / "output")


def test_a_sample_that_leaves_it_out_forgets_nothing(archive: Archive, program: Program) -> None:
    program("run")
    shard = damaged_shard(archive)
    program("verify", expect=20)
    parts = [program("verify", "--sample", f"{n}/4", expect=None).code for n in range(1, 5)]
    assert sorted(parts) == [0, 0, 0, 20]
    assert shard.name in program("progress").out


def test_only_the_newest_of_each_job_are_kept(archive: Archive, program: Program) -> None:
    for _ in range(KEPT + 3):
        program("reconcile")
    program("run")
    rows = archive.config.rows(
        "SELECT job, COUNT(*) FROM des_archive_outcome GROUP BY job ORDER BY job"
    )
    assert rows == [("reconcile", KEPT), ("run", 1)]


def test_what_was_stopped_or_locked_out_is_no_news(archive: Archive, program: Program) -> None:
    program("run")
    archive.config.execute(
        "INSERT INTO des_archive_outcome"
        " (job, worker, actor, started_at, ended_at, exit_code, files, message, hint)"
        " SELECT job, worker, actor, started_at, ended_at, 143, files, message, hint"
        " FROM des_archive_outcome WHERE job = 'run'"
    )
    assert program("progress", "--output", "json").json["health"] == []
