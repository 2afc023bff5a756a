"""`des-admin run`, `exceptions retry`, `verify` and `des-migrate` on real files."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Archive, Program, program_environment, write_config
from support.crash.truth import check_truth
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase


def output(archive: Archive) -> Path:
    return archive.project / "output"


def test_plan_run_verify_get(archive: Archive, program: Program) -> None:
    plan = program("run", "--dry-run", "--output", "json").json["plan"]
    assert plan["pending"]["files"] == 80
    assert "80" in program("run", "--dry-run").out
    assert not list(output(archive).glob("*.des"))
    report = program("run", "--output", "json").json
    assert (report["files_out"], report["files_failed"]) == (80, 0)
    assert report["retried"]["packed"] == 3
    check_truth(archive.table, archive.config, output(archive))
    assert archive.exceptions() == {}
    shown = program("verify", "--output", "json").json
    assert (shown["sound"], shown["files"], shown["extra"]) == (True, 83, 0)
    uid = max(archive.table.rows)
    program("archive", "get", uid, "--to", "back")
    assert (archive.project / "back").read_bytes() == archive.table.expected_content(uid)
    assert program("progress", "--output", "json").json["packed"]["files"] == 83
    days = program("progress", "--daily", "--days", "36500", "--output", "json").json["days"]
    assert sum(day["files"] for day in days) == 83


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_a_server_that_cuts_answers_short(archive: Archive, program: Program) -> None:
    """A server set up for careless clients: what it leaves out would count as archived."""
    source = archive.source
    source.execute("SET GLOBAL sql_select_limit = 5, sql_safe_updates = 1")
    try:
        report = program("run", "--output", "json").json
        assert (report["files_out"], report["files_failed"]) == (80, 0)
        assert program("verify", "--output", "json").json["files"] == 83
        assert program("reconcile", "--every-day").code == 0
        program("migrate", "down", "--yes")
    finally:
        source.execute("SET GLOBAL sql_select_limit = DEFAULT, sql_safe_updates = 0")
    flags = source.rows("SELECT uid FROM files WHERE archived")
    assert len(flags) == len(archive.table.rows)


def test_new_exceptions_are_exit_code_3(sqlite_archive: Archive, program: Program) -> None:
    lost = max(sqlite_archive.table.rows.values(), key=lambda row: row.created_at)
    content = Path(lost.location).read_bytes()
    Path(lost.location).unlink()
    done = program("run", expect=3)
    assert "des-admin exceptions list" in done.err
    assert sqlite_archive.exceptions()[lost.uid] == ("missing", False)
    failed = program("exceptions", "retry", "--yes", "--output", "json", expect=3).json
    assert (failed["tried"], failed["failed"]) == (1, 1)
    Path(lost.location).write_bytes(content)
    program("exceptions", "retry", expect=4)
    done = program("exceptions", "retry", "--uid", lost.uid, "--yes")
    assert "packed 1" in done.out
    assert "nothing to try" in program("exceptions", "retry").out


def test_skipped_files_wait_for_a_named_retry(sqlite_archive: Archive, program: Program) -> None:
    plan = program("watermark", "advance", "2024-01-08", "--dry-run", "--output", "json").json
    program("watermark", "advance", "2024-01-08", "--confirm", str(plan["files"]))
    program("run")
    reasons = [reason for reason, _ in sqlite_archive.exceptions().values()]
    assert reasons == ["skipped"] * plan["files"]
    program("exceptions", "retry", "--only", "skipped", "--yes")
    assert sqlite_archive.exceptions() == {}
    check_truth(sqlite_archive.table, sqlite_archive.config, output(sqlite_archive))


def test_rewind_and_run_packs_nothing_twice(sqlite_archive: Archive, program: Program) -> None:
    program("run")
    before = sorted(path.name for path in output(sqlite_archive).glob("*.des"))
    program("watermark", "rewind", "2024-01-07", "--yes")
    report = program("run", "--output", "json").json
    assert report["files_present"] == report["files_out"] > 0
    assert sorted(path.name for path in output(sqlite_archive).glob("*.des")) == before
    check_truth(sqlite_archive.table, sqlite_archive.config, output(sqlite_archive))


def test_verify_finds_missing_damaged_extra(sqlite_archive: Archive, program: Program) -> None:
    program("run")
    shards = sorted(output(sqlite_archive).glob("*.des"))
    shards[0].unlink()
    flipped = bytearray(shards[1].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    shards[1].write_bytes(flipped)
    (output(sqlite_archive) / "20200101_0_0000.des").write_bytes(shards[2].read_bytes())
    shown: Any = program("verify", "--output", "json", expect=20)
    assert {f["shard"]: f["verdict"] for f in shown.json["findings"]} == {
        shards[0].name: "missing",
        shards[1].name: "damaged",
    }
    assert shown.json["extra"] == 1
    assert "not sound" in program("verify", expect=20).out
    program("verify", "--sample", "0", expect=2)
    sampled = program("verify", "--sample", "10%", "--output", "json", expect=None).json
    assert 0 < sampled["shards"] < len(shards)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_continuous_mode_obeys_signals(
    number: signal.Signals, code: int, sqlite_archive: Archive, project: Path
) -> None:
    line = [sys.executable, "-m", "des_admin", "run", "--mode", "continuous", "--output", "json"]
    process = subprocess.Popen(
        line,
        cwd=project,
        env=program_environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "{" in process.stdout.readline()
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert time.monotonic() - began < 30, "the next cycle is five minutes away"
    assert "Traceback" not in err


def test_a_lost_output_directory_names_the_remedy(
    sqlite_archive: Archive, program: Program
) -> None:
    output(sqlite_archive).rmdir()
    done = program("run", "--output", "json", expect=4)
    assert "packer.output_dir" in done.error["hint"]


OLD = """
database:
  url: {url}
  file_location_column: file_location
  size_bytes_column: size_bytes
  archived_column: archived
packer:
  output_dir: {output}
  n_bits: 4
  source_roots: ["/"]
migration:
  archive_age_days: 1
  batch_size: 10
"""


def test_des_migrate_reads_the_older_file(
    program: Program, project: Path, database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, rows=60, archived_days=3, bad={"missing": 2})
    (project / "output").mkdir()
    (project / "old.yaml").write_text(OLD.format(url=database.url, output=project / "output"))
    done = program("--config", "old.yaml", module="des_admin.per_record_cli", expect=3)
    assert "Database UPDATEs" in done.out
    marked = {uid for (uid,) in database.rows("SELECT uid FROM files WHERE archived")}
    assert marked == set(table.rows) - set(table.bad)
    again = program(
        "-c", "old.yaml", "--batch-size", "5", module="des_admin.per_record_cli", expect=3
    )
    assert "Files migrated" in again.out


def test_des_migrate_is_refused_under_a_watermark(
    sqlite_archive: Archive, program: Program
) -> None:
    write_config(sqlite_archive.project, sqlite_archive.config.url)
    done = program("--config", "des-admin.yaml", module="des_admin.per_record_cli", expect=None)
    assert done.code in {4, 12}


def test_a_lost_shard_is_packed_again_under_its_name(archive: Archive, program: Program) -> None:
    program("run")
    lost = sorted(output(archive).glob("*.des"))[-3:]
    for path in lost:
        path.unlink()
    assert len(program("verify", "--output", "json", expect=20).json["findings"]) == 3
    program("watermark", "rewind", "2024-01-06", "--yes", "--reason", "three shards lost")
    program("run")
    assert all(path.exists() for path in lost)
    assert program("verify", "--output", "json").json["sound"] is True
    check_truth(archive.table, archive.config, output(archive))


def test_a_static_worker_is_named_in_plan_and_report(
    sqlite_archive: Archive, program: Program
) -> None:
    flags = ("--shard-id", "1", "--shards-total", "3")
    shown = program("run", "--dry-run", *flags)
    assert "1/3; packs about one in 3" in shown.out
    assert "passes over what is not its own" in " ".join(shown.out.split())
    plan = program("run", "--dry-run", *flags, "--output", "json").json["plan"]
    assert (plan["share"], plan["filtering"]) == ("1/3", "numbers_in_database")
    report = program("run", *flags, "--output", "json").json
    assert report["worker"] == "1/3"
    assert report["watermark"] < report["packed_until"] == report["window"]["end"]


# Words of the line, variables, and the file that is wrong.
WAYS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "directory": ([], {}, "des-admin.yaml"),
    "--config": (["--config", "other.yaml"], {}, "other.yaml"),
    "variable of the file": ([], {"DES_ADMIN_CONFIG": "other.yaml"}, "other.yaml"),
    "variable of a key": ([], {"DES_ADMIN__PACKER__N_BITS": "99"}, ""),
    "--profile": (["--profile", "night"], {}, ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_runner_reads_the_same_files_by_both_its_names(
    way: str, sqlite_archive: Archive, program: Program
) -> None:
    """Each way to say something wrong is heard by both."""
    config = sqlite_archive.project / "des-admin.yaml"
    config.write_text(config.read_text() + "profiles: {night: {packer: {n_bits: 99}}}\n")
    words, env, file = WAYS[way]
    if file:
        wrong = config.read_text().replace("n_bits: 4", "n_bits: 99")
        (sqlite_archive.project / file).write_text(wrong)
    module = "watermark_orchestrator.__main__"
    heard = [
        program(*words, "run", "--dry-run", env=env, expect=2).err,
        program(*words, "--dry-run", module=module, env=env, expect=2).err,
    ]
    assert all("n_bits" in said for said in heard)
