"""A pod that is told to end: exit 143 within the grace period, and the next pod goes on."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support.crash.truth import check_truth, read_watermark_value
from support.pages.deployment import DEPLOY
from support.pages.endpoints import wait_until
from support.program.archive import make_archive
from support.program.runner import run_runner, start_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

pytestmark = pytest.mark.slow
MOMENTS = 10


def grace_period_s() -> int:
    cron_job = yaml.safe_load((DEPLOY / "kubernetes" / "cronjob.yaml").read_text())
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return int(pod["terminationGracePeriodSeconds"])


def end_runner(config: Path, log: Path, reached: Callable[[], bool]) -> tuple[int, float]:
    """Start a runner, end it by SIGTERM once it got there; exit code and seconds until it ended."""
    log.unlink(missing_ok=True)
    arguments = ("--log-file", str(log), "--log-format", "json")
    with start_runner(config, *arguments) as process:
        wait_until(lambda: reached() or process.poll() is not None)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=grace_period_s())
    return process.returncode, time.monotonic() - asked


def test_ten_pods_end_at_ten_moments_and_the_eleventh_finishes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=1200, days=100, archived_days=1, max_size=40_000)
    output = tmp_path / "shards"
    settings = make_archive(database, output, packer={"workers": 2})
    config, log = write_config(settings, tmp_path / "des-admin.yaml"), tmp_path / "run.log"
    codes, watermarks = [], [read_watermark_value(database)]

    for moment in range(MOMENTS):
        shards_before = len(list(output.glob("*.des")))

        def reached(moment: int = moment, before: int = shards_before) -> bool:
            """Some pods are ended within a slice, some between slices."""
            if moment % 2:
                return log.exists() and log.read_text().count("slice_committed") >= moment % 3
            return len(list(output.glob("*.des"))) > before + moment

        code, seconds = end_runner(config, log, reached)
        assert code == 143, f"moment {moment}: exit {code}"
        assert seconds < grace_period_s() / 10
        codes.append(code)
        check_truth(table, database, output)
        watermarks.append(read_watermark_value(database))

    assert watermarks == sorted(watermarks)
    assert watermarks[0] < watermarks[-1], "pods that were ended got something done"
    done = run_runner(config)
    assert done.returncode == 0, done.stderr
    assert check_truth(table, database, output) == {}
    assert not [path for path in output.iterdir() if path.name.startswith(".") and path.is_file()]
