"""What a job said once is on the next person's screen until it is mended."""

import errno
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from cli.test_night_watermark import move_by_sql
from des_core.ledger.outcomes import KEPT
from des_core.progress import surroundings
from des_core.storage.drafts import LocalDraft
from support.crash.truth import check_truth, read_watermark_value


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


def leave_lease(archive: Archive) -> None:
    """As a run on another machine leaves it behind that was killed."""
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=5)
    at = f"'{then:%Y-%m-%d %H:%M:%S.%f}{'+00:00' if archive.config.kind == 'postgres' else ''}'"
    archive.config.execute(
        "UPDATE des_archive_lease SET token = 'killed', purpose = 'run', host = 'node2',"
        f" pid = 1, process = 'elsewhere', acquired_at = {at}, heartbeat_at = {at},"
        f" expires_at = {at} WHERE name = 'writer'"
    )


def test_a_killed_run_is_remembered_whoever_takes_its_lock(
    archive: Archive, program: Program
) -> None:
    program("run")
    leave_lease(archive)
    for command in ("status", "progress", "doctor"):
        said = program(command).out
        assert "run on node2, pid 1, ended 5 minutes ago without a word" in said, command
        assert "des-admin run" in said, command
    program("watermark", "lag", "6", "--yes")
    [remark] = program("status", "--output", "json").json["health"]
    assert (remark["name"], remark["severity"], remark["hint"]) == (
        *("run", "failed", "des-admin run"),
    )
    assert "the last cycle failed 5 minutes ago: killed, out of memory" in remark["text"]
    leave_lease(archive)
    program("watermark", "lag", "7", "--yes")
    assert "2 in a row" in program("status").out
    program("run")
    assert program("status", "--output", "json").json["health"] == []


def test_a_worker_that_is_no_more_is_no_news(archive: Archive, program: Program) -> None:
    program("run", "--shards-total", "2", "--shard-id", "1")
    archive.config.execute("UPDATE des_archive_outcome SET exit_code = 4, message = 'full'")
    [remark] = program("status", "--output", "json").json["health"]
    assert remark["text"].startswith("the last cycle of worker 1 refused")
    assert exported(program, 'des_job_failed{kind="run"}') == 1
    program("run")
    assert program("status", "--output", "json").json["health"] == []
    assert exported(program, 'des_job_failed{kind="run"}') == 0


def exported(program: Program, series: str) -> float:
    lines = program("exporter", "--once").out.splitlines()
    return float(next(line for line in lines if line.startswith(f"{series} ")).split()[-1])


def test_a_reconcile_of_some_days_forgets_nothing(archive: Archive, program: Program) -> None:
    program("run")
    archive.table.add("late", datetime(2024, 1, 9, 3, tzinfo=UTC))
    program("reconcile", expect=4)
    program("reconcile", "--since", "2024-01-10")
    assert "1 row below the watermark never packed" in program("status").out
    program("reconcile", "--record", "--yes", expect=3)
    assert program("status", "--output", "json").json["health"] == []


def test_a_less_close_reconcile_forgets_nothing(archive: Archive, program: Program) -> None:
    """One row came late and one is gone: the counts of the day agree."""
    program("run")
    victim = min(u for u, row in archive.table.rows.items() if row.created_at.day == 9)
    archive.source.execute(f"DELETE FROM files WHERE uid = '{victim}'")
    archive.table.add("late", datetime(2024, 1, 9, 3, tzinfo=UTC))
    program("reconcile", "--every-day", expect=4)
    program("reconcile")
    said = program("status").out
    assert "1 row below the watermark never packed" in said
    assert "des-admin reconcile --every-day --record" in said
    archive.source.execute("DELETE FROM files WHERE uid = 'late'")
    program("reconcile", "--accept-gone", "--every-day", "--reason", "asked for", "--yes")
    assert program("status", "--output", "json").json["health"] == []


def test_a_reason_that_stands_above_is_not_told_twice(archive: Archive, program: Program) -> None:
    program("run")
    (archive.project / "output").rename(archive.project / "away")
    program("run", expect=4)
    said = program("status").out
    assert said.count("does not exist") == 1
    assert "the last cycle refused just now, for this reason" in said
    (archive.project / "away").rename(archive.project / "output")
    said = program("status").out
    assert said.count("does not exist") == 1
    assert "; then: des-admin run" in said


def test_a_reason_that_is_settled_gives_no_advice(archive: Archive, program: Program) -> None:
    known = read_watermark_value(archive.config)
    move_by_sql(archive, 2)
    program("run", expect=4)
    program("watermark", "set", known.isoformat(), "--yes")
    [remark] = program("status", "--output", "json").json["health"]
    assert remark["hint"] == "des-admin run"


def test_an_output_that_does_not_answer_holds_up_no_screen(
    sqlite_archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes the connection and says nothing, as a mount whose server is gone."""
    program("run")
    monkeypatch.setattr(surroundings, "OUTPUT_WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = sqlite_archive.project / "des-admin.yaml"
        store = f"{{endpoint: 'http://127.0.0.1:{silent.getsockname()[1]}', allow_http: true}}"
        text = re.sub(
            r"output_dir: .*", f"output_dir: s3://b/c\n  object_store: {store}", config.read_text()
        )
        config.write_text(text)
        said = program(
            "status",
            env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "r"},
        ).out
    assert "s3://b/c has not answered for" in said
    assert "des-admin ledger output" in said
    assert "caught up" not in said
