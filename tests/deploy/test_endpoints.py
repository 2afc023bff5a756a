"""Both endpoints as processes of their own: what a scrape gets, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from des_core.metrics.definitions import METRICS
from des_core.settings.config import Settings
from support.pages.endpoints import exporter, scrape, wait_until
from support.pages.tools import require_tool
from support.program.archive import make_archive
from support.program.own_process import program_command, program_env
from support.program.runner import run_runner, start_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.processes import free_port

# The guide's name counts days; promtool would rather have seconds. Nothing else may be found.
KEPT_NAME = 'des_watermark_lag_days use base unit "seconds" instead of "days"'


@pytest.fixture
def config(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> Path:
    """A configuration on SQLite with 300 files, half of them waiting."""
    database = make_database("sqlite")
    files_table(database, rows=300, days=30, archived_days=15, bad={"missing": 2})
    settings = archive_settings(database, tmp_path)
    return write_config(settings, tmp_path / "des-admin.yaml")


def archive_settings(database: TestDatabase, directory: Path) -> Settings:
    return make_archive(
        database, directory / "shards", metrics={"enabled": True, "port": free_port()}
    )


def check_metrics(text: str) -> None:
    promtool = require_tool("promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    found = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert found == [KEPT_NAME]


def test_promtool_finds_nothing_in_the_exporters_output(config: Path) -> None:
    with exporter(config) as (url, _):
        wait_until(lambda: "des_migration_pending_files " in scrape(url))
        check_metrics(scrape(url))


def test_promtool_finds_nothing_in_the_runners_output(config: Path) -> None:
    found = re.search(r"port: (\d+)", config.read_text())
    assert found
    url = f"http://127.0.0.1:{found[1]}/metrics"
    texts: list[str] = []

    def has_answered() -> bool:
        try:
            texts.append(scrape(url))
        except OSError:  # nobody listens yet, or nobody answers yet
            return False
        return 'des_migration_cycles_total{status="new_exceptions"} 1.0' in texts[-1]

    with start_runner(config, "--mode", "continuous", "--interval", "60") as process:
        wait_until(has_answered)
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    check_metrics(texts[-1])
    assert "des_migration_files_total 148.0" in texts[-1]
    served = set(re.findall(r"^# TYPE (\w+)", texts[-1], re.M))
    assert served == {metric.name for metric in METRICS.values() if metric.runner}


def test_the_exporter_sees_what_a_runner_did_that_is_gone(config: Path) -> None:
    expected = (
        "des_migration_pending_files 0.0",
        "des_migration_files_total 148.0",
        "des_migration_files_failed_total 2.0",
        'des_migration_cycles_total{status="new_exceptions"} 1.0',
        'des_archive_exceptions_open{cause="missing"} 2.0',
        "des_watermark_lag_seconds 0.0",
        "des_migration_failed_cycles 0.0",
    )

    # A look in the middle of the run sees the watermark moved and the cycle not
    # yet counted, and is served until the next look: wait for all of them at once.
    def has_all() -> bool:
        text = scrape(url)
        return all(line in text for line in expected)

    with exporter(config) as (url, _):
        wait_until(lambda: "des_migration_pending_files 150.0" in scrape(url))
        done = run_runner(config)
        assert done.returncode == 3, done.stderr
        wait_until(has_all)


def test_a_scheduler_that_knows_only_0_may_have_it(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files are missing: done, with new exceptions."""
    variable = "DES_ADMIN__MIGRATION__NEW_EXCEPTIONS_EXIT_CODE"
    monkeypatch.setenv(variable, "0")
    done = run_runner(config)
    assert done.returncode == 0, done.stderr
    assert "exception" in done.stderr
    monkeypatch.setenv(variable, "1")
    assert run_runner(config).returncode == 2


def test_the_exporter_ends_cleanly_at_sigterm(config: Path) -> None:
    with exporter(config) as (url, process):
        wait_until(lambda: "des_migration_pending_files " in scrape(url))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


def test_the_exporter_prints_once_for_a_textfile(config: Path) -> None:
    command = program_command("--config", str(config), "exporter", "--once")
    done = subprocess.run(
        command,
        cwd=config.parent,
        env=program_env(config.parent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_metrics(done.stdout)


def test_once_without_a_database_is_a_failure(config: Path) -> None:
    text = re.sub(r"url: sqlite\S+", "url: sqlite:////nowhere/app.sqlite", config.read_text())
    config.write_text(text)
    command = program_command("--config", str(config), "exporter", "--once")
    done = subprocess.run(
        command,
        cwd=config.parent,
        env=program_env(config.parent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert 'des_database_up{database="config"} 0.0' in done.stdout
    assert "doctor" in done.stderr


def test_a_port_that_is_taken_ends_the_exporter_but_not_a_runner(config: Path) -> None:
    with exporter(config) as (url, _):
        port = url.rsplit(":", 1)[1].removesuffix("/metrics")
        config.write_text(re.sub(r"port: \d+", f"port: {port}", config.read_text()))
        command = program_command("--config", str(config), "exporter")
        done = subprocess.run(
            command,
            cwd=config.parent,
            env=program_env(config.parent),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert port in done.stderr
        assert run_runner(config).returncode == 3


HIT_BESIDE = """
import signal, sys, threading
from des_admin.__main__ import main

def hit():
    tick = threading.Event()
    while "reader" not in {thread.name for thread in threading.enumerate()}:
        tick.wait(0.05)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=hit, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


def test_the_exporter_ends_at_a_signal_that_another_thread_got(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIT_BESIDE, "--config", str(config), "exporter"],
        cwd=config.parent,
        env=program_env(config.parent),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 143, done.stderr


def test_a_run_logs_to_its_file_and_begins_a_new_one_at_sighup(config: Path) -> None:
    log, rotated = (config.parent / f"watermark_migration.log{end}" for end in ("", ".1"))
    arguments = ("--mode", "continuous", "--interval", "60", "--log-format", "json")
    with start_runner(config, *arguments, "--log-file", str(log)) as process:
        wait_until(lambda: log.exists() and "slice_committed" in log.read_text())
        log.rename(rotated)
        os.kill(process.pid, signal.SIGHUP)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 143
    assert log.read_text().count("\n") >= 1, "what came after the signal"
    slices = [line for line in map(json.loads, rotated.read_text().splitlines()) if "slice" in line]
    assert {"run_id", "timestamp", "level", "worker"} <= set(slices[0])
