"""A long job in a process of its own: paused from another terminal, killed, and gone on with."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from des_core.database.connections import Database, open_database
from des_core.ledger.jobs import Job, read_job
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import Notice
from des_core.migration.compliance import sync_flags
from des_core.migration.state.flag_jobs import COMPLIANCE_JOB
from support.program.archive import adopt_move
from support.program.inside import run_here
from support.program.migrating import rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

ROOT = Path(__file__).resolve().parents[2]


def test_paused_killed_resumed(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 6000, days=8, archived_days=1, holes=4, files=False)
    settings = settings_for(database)
    upgrade(settings)
    database.execute(
        "UPDATE des_archive_config SET archived_until = :until", {"until": "2024-01-07 00:00:00"}
    )
    adopt_move(settings)
    expected = rows_by_formula(database, database)
    config = tmp_path / "config.yaml"
    sections = {"database": {"url": database.url}, "packer": {"output_dir": str(tmp_path)}}
    config.write_text(yaml.safe_dump(sections))
    opened = open_database(database.url)
    process = _start(config)
    try:
        _wait_for_chunk(opened, process)
        # The job is in its rest after a chunk; it is held there for as long as another terminal
        # takes.
        process.send_signal(signal.SIGSTOP)
        paused = run_here("--config", str(config), "migrate", "pause")
        assert paused.returncode == 0, paused.stderr
        again = run_here("--config", str(config), "migrate", "pause")
        assert (again.returncode, "no job is running" in again.stderr) == (4, True)
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        assert any("paused until" in line for line in process.stderr)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    stopped = _job(opened)
    assert stopped.state == "paused"
    assert stopped.cursor is not None
    assert 0 < stopped.rows_done < 5000
    assert canonical_rows(database) != expected
    assert run_here("--config", str(config), "migrate", "resume").returncode == 0
    cursors: list[datetime] = []

    def listen(notice: Notice) -> None:
        if notice.done_rows is not None:
            assert notice.done_rows >= stopped.rows_done
            cursors.append(_job(opened).cursor or datetime.min.replace(tzinfo=UTC))

    sync_flags(settings, report=listen)
    if database.kind != "sqlite":  # where two days are read again: texts may carry offsets
        assert cursors[0] > stopped.cursor
    assert canonical_rows(database) == expected
    opened.close()


def _start(config: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "des_admin", "--config", str(config)]
    return subprocess.Popen(
        [*command, "compliance", "sync", "--sleep", "1.5"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/runner:{ROOT}"},
    )


def _wait_for_chunk(config: Database, process: "subprocess.Popen[str]") -> None:
    while True:
        if process.poll() is not None:
            pytest.fail(f"it ended: {process.communicate()[1]}")
        job = read_job(config, COMPLIANCE_JOB)
        if job is not None and job.rows_done:
            return


def _job(config: Database) -> Job:
    job = read_job(config, COMPLIANCE_JOB)
    assert job is not None
    return job
