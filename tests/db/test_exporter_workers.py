"""What the exporter says of static workers, beside what these write."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from des_core.basics.errors import ExitCode
from des_core.database.connections import Database, open_database
from des_core.ledger.watermark import take_fence
from des_core.ledger.workers import claim_worker
from des_core.metrics.exporter import Exporter
from des_core.metrics.journal import JournaledMetrics
from des_core.rows.share import Share
from des_core.settings.config import Settings
from support.program.archive import make_archive
from support.program.scale import as_worker, run_worker
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@pytest.fixture
def settings(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Settings:
    """Six days of files, four of which wait."""
    files_table(database, rows=90, days=6, archived_days=2)
    return make_archive(database, tmp_path / "shards")


@pytest.fixture
def config(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.config_url)
    yield opened
    opened.close()


def values(exporter: Exporter, *names: str) -> list[float | None]:
    assert exporter.read_once() is None
    return [exporter.current().get(name) for name in names]


def workers(exporter: Exporter) -> list[float | None]:
    return values(exporter, "des_workers_expected", "des_workers_behind")


def test_a_worker_that_does_not_come_is_behind_until_it_does(settings: Settings) -> None:
    exporter = Exporter(as_worker(settings, 0, 3))  # the configuration that all of them share
    assert workers(exporter) == [3, 3], "none has ever come"
    moved = "des_workers_slowest_update_timestamp_seconds"
    assert values(exporter, moved) == [0]

    began = datetime.now(UTC).timestamp()
    run_worker(settings, 0, 3)
    assert workers(exporter) == [3, 2]
    run_worker(settings, 2, 3)
    assert workers(exporter) == [3, 1]
    [last_moved] = values(exporter, moved)
    assert last_moved is not None
    assert began - 1 <= last_moved <= datetime.now(UTC).timestamp()
    [waiting, lag_s] = values(exporter, "des_migration_pending_files", "des_watermark_lag_seconds")
    assert waiting == 60, "packed by some, but the watermark does not say so yet"
    assert lag_s

    run_worker(settings, 1, 3)
    assert workers(exporter) == [3, 0]
    names = (
        "des_migration_pending_files",
        "des_migration_files_total",
        "des_watermark_lag_seconds",
    )
    assert values(exporter, *names) == [0, 60, 0]
    exporter.close()


def test_the_table_says_how_many_there_are_where_the_configuration_does_not(
    settings: Settings, config: Database
) -> None:
    """Their pods have the number from the environment, of which the exporter knows nothing."""
    exporter = Exporter(settings)
    config.transact(partial(claim_worker, share=Share(1, 4, 8), actor="t", now=NOW - DAY))
    JournaledMetrics(config, worker=3, clock=lambda: NOW).cycle_finished(ExitCode.REFUSED)
    assert workers(exporter) == [4, 0]
    assert values(
        exporter, "des_workers_slowest_update_timestamp_seconds", "des_migration_failed_cycles"
    ) == [(NOW - DAY).timestamp(), 1], "the last of the four failed"
    config.transact(take_fence)  # what a single runner does first
    assert workers(exporter) == [1, 0]
    assert values(exporter, "des_migration_failed_cycles") == [0]
    exporter.close()


def test_a_worker_that_was_given_up_fails_no_more(settings: Settings, config: Database) -> None:
    for worker, code in ((0, ExitCode.DONE), (1, ExitCode.REFUSED), (1, ExitCode.REFUSED)):
        JournaledMetrics(config, worker=worker, clock=lambda: NOW).cycle_finished(code)
    exporter = Exporter(settings)
    failed, success = "des_migration_failed_cycles", "des_migration_last_success_timestamp_seconds"
    assert values(exporter, failed, success) == [0, NOW.timestamp()]
    assert exporter.current().get("des_migration_cycles_total", "refused") == 2
    exporter.close()
