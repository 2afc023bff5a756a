"""A real Prometheus watches a real exporter while real cycles run, or do not.

The rules are the ones of deploy/, for a schedule whose period is two seconds.
"""

import json
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.pages.deployment import DEPLOY
from support.pages.endpoints import exporter, wait_until
from support.pages.tools import require_tool
from support.program.archive import make_archive
from support.program.runner import run_runner, write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.processes import free_port

pytestmark = pytest.mark.slow
PERIOD_S = 2
STALLED = "WatermarkNotProgressing"
CONFIG = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: des-exporter
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def alerts(self) -> dict[str, str]:
        """State (pending, firing) by name."""
        found = self._ask("alerts")["alerts"]
        return {each["labels"]["alertname"]: each["state"] for each in found}

    def value(self, metric: str) -> float | None:
        """The newest value of a metric without labels of its own, or None."""
        result = self._ask(f"query?query={metric}")["result"]
        return float(result[0]["value"][1]) if result else None

    def _ask(self, what: str) -> dict:
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}", timeout=60) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    rules = (DEPLOY / "prometheus" / "des-rules.yml").read_text()
    rules = rules.replace("2 * 3600", f"2 * {PERIOD_S}")
    rules = rules.replace("for: 1h # one period", f"for: {PERIOD_S}s")
    (directory / "rules.yml").write_text(rules)
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(rules=directory / "rules.yml", target=target))
    address = f"127.0.0.1:{free_port()}"
    command = [
        require_tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    log = directory / "prometheus.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=directory)
    try:
        server = Prometheus(f"http://{address}")
        wait_until(lambda: _answers(server), timeout_s=60)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: Prometheus) -> bool:
    try:
        return server.value("up") == 1
    except urllib.error.URLError:
        return False


def test_the_stall_alert_knows_caught_up_from_stopped(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    database = make_database("sqlite")
    files_table(database, rows=200, days=20, first_day=today - timedelta(days=20), archived_days=5)
    settings = make_archive(database, tmp_path / "shards")
    config = write_config(settings, tmp_path / "des-admin.yaml")
    assert run_runner(config).returncode == 0

    with exporter(config) as (url, _):
        target = re.sub(r"https?://|/metrics", "", url)
        with prometheus(tmp_path, target) as server:
            # Caught up: nothing moves for much longer than two periods and the `for`.
            wait_until(lambda: server.value("des_migration_pending_files") == 0)
            seen = watch(server, seconds=5 * PERIOD_S)
            assert STALLED not in seen

            # Two days more are due, and no runner comes.
            database.execute("UPDATE des_archive_config SET lag_days = lag_days - 2")
            wait_until(lambda: server.value("des_migration_pending_files") == 20)
            wait_until(lambda: server.alerts().get(STALLED) == "firing")

            # It comes back.
            assert run_runner(config).returncode == 0
            # The alert may end after the first of the two days: the watermark moved.
            wait_until(lambda: STALLED not in server.alerts())
            wait_until(lambda: server.value("des_migration_pending_files") == 0)
            wait_until(lambda: server.value("des_watermark_lag_seconds") == 0)


def watch(server: Prometheus, *, seconds: float) -> set[str]:
    """Names of all alerts that were pending or firing meanwhile."""
    ticker = threading.Event()
    seen: set[str] = set()
    for _ in range(int(seconds / 0.25)):
        seen |= set(server.alerts())
        ticker.wait(0.25)
    return seen
