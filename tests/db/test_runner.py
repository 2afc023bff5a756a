"""`python -m watermark_orchestrator`: exit codes, signals, and kill -9 at any moment."""

import resource
import signal
import threading
from pathlib import Path
from typing import IO

import pytest

from support.crash.truth import archive_bytes, check_truth, read_watermark_value
from support.program.archive import make_archive
from support.program.runner import run_runner, start_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase


def test_one_cycle_from_the_command_line(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=100, days=4)
    config = write_config(make_archive(database, tmp_path / "out"), tmp_path / "c.yaml")
    seeded = read_watermark_value(database)
    plan = run_runner(config, "--dry-run")
    assert (plan.returncode, "files:    100" in plan.stdout) == (0, True), plan.stderr
    assert read_watermark_value(database) == seeded
    done = run_runner(config, "--mode", "single", "--verbose")
    assert done.returncode == 0, done.stderr
    assert "packed 100 files" in done.stderr
    assert check_truth(table, database, tmp_path / "out") == {}


def test_new_exceptions_are_exit_3(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=20, days=2, bad={"missing": 1})
    config = write_config(make_archive(database, tmp_path / "out"), tmp_path / "c.yaml")
    done = run_runner(config)
    assert done.returncode == 3
    assert "des-admin exceptions list" in done.stderr


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("workers", [1, 2])
def test_files_missing_in_more_directories_than_there_are_handles(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, workers: int
) -> None:
    table = files_table(database, rows=3000, days=2, max_size=9)
    packer, migration = {"n_bits": 4, "workers": workers}, {"max_failure_ratio": 1.0}
    settings = make_archive(database, tmp_path / "out", packer=packer, migration=migration)
    with database.session() as session:
        for number, row in enumerate(table.rows.values()):
            (tmp_path / f"{number}").mkdir()
            place = f"{tmp_path}/{number}/file"
            if number % 2:
                Path(row.location).rename(place)
            move = "UPDATE files SET file_location = ? WHERE uid = ?"
            session.exec_driver_sql(move, (place, row.uid))
    with start_runner(write_config(settings, tmp_path / "c.yaml")) as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (400, 400))
        _, said = process.communicate(timeout=120)
    assert process.returncode == 3, said
    reasons = database.rows("SELECT reason, COUNT(*) FROM des_archive_exception GROUP BY reason")
    assert reasons == [("missing", 1500)]


def test_no_tables_is_exit_12_and_says_what_to_do(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=5, days=1)
    settings = make_archive(database, tmp_path / "out")
    database.execute("DROP TABLE des_archive_config")
    done = run_runner(write_config(settings, tmp_path / "c.yaml"))
    assert done.returncode == 12
    assert "Traceback" not in done.stderr


def wait_for_a_slice(log: IO[str]) -> None:
    """Read on until the log names the next slice; before it stands the head of the trail."""
    lines = []
    for line in log:
        lines.append(line)
        if "slice_committed" in line:
            return
        assert "trail_head" in line, lines
    raise AssertionError(lines)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_continuous_mode_obeys_signals(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    table = files_table(database, rows=60, days=3)
    config = write_config(make_archive(database, tmp_path / "out"), tmp_path / "c.yaml")
    with start_runner(config, "--mode", "continuous", "--verbose") as process:
        assert process.stderr is not None
        wait_for_a_slice(process.stderr)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    check_truth(table, database, tmp_path / "out")


def test_killed_ten_times_it_ends_in_the_same_archive(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=3000, days=75, max_size=4096)
    packer = {"workers": 2, "n_bits": 5, "max_shard_size": 1 << 16, "big_file_threshold": 4000}
    settings = make_archive(database, tmp_path / "out", packer=packer)
    config = write_config(settings, tmp_path / "c.yaml")
    kills = 0
    for number in range(10):
        with start_runner(config, waits_for_readers=True) as process:
            assert process.stderr is not None
            for _ in range(number % 3):
                wait_for_a_slice(process.stderr)
            threading.Event().wait(0.4 + 0.05 * number if number % 3 == 0 else 0.004 * number)
            if process.poll() is None:
                kills += 1
                process.kill()
            process.communicate()
        check_truth(table, database, tmp_path / "out")
    assert kills == 10
    assert run_runner(config).returncode == 0
    assert check_truth(table, database, tmp_path / "out") == {}

    database.execute("DELETE FROM des_archive_shard")
    database.execute("DELETE FROM des_archive_slice")
    database.execute("DELETE FROM des_archive_job")  # also which output is the archive's
    database.execute("UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'")
    again = make_settings_elsewhere(settings, tmp_path / "undisturbed")
    assert run_runner(write_config(again, tmp_path / "d.yaml")).returncode == 0
    disturbed, undisturbed = (archive_bytes(tmp_path / d) for d in ("out", "undisturbed"))
    assert len(undisturbed) > 500
    assert without_manifest_names(disturbed) == without_manifest_names(undisturbed)


def make_settings_elsewhere(settings, output_dir: Path):  # type: ignore[no-untyped-def]
    """The same settings with another output directory."""
    output_dir.mkdir()
    packer = settings.packer.model_copy(update={"output_dir": str(output_dir)})
    return settings.model_copy(update={"packer": packer})


def without_manifest_names(files: dict[str, str]) -> dict[str, str]:
    """Shards and big files: manifests say where a window began, which the rewind changed."""
    return {name: digest for name, digest in files.items() if not name.startswith("_manifests")}
