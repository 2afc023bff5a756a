"""What the exporter reads from the databases, on all of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from des_core.basics.errors import ExitCode
from des_core.basics.timestamps import floor_day
from des_core.database.connections import Database, open_database
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import NewException, record_exceptions
from des_core.ledger.slices import ShardRecord, SliceRecord, add_slice
from des_core.metrics.archive_reader import PENDING_LIMIT, due_since
from des_core.metrics.backup_events import checked_backup
from des_core.metrics.definitions import CAUSES, METRICS
from des_core.metrics.exporter import Exporter
from des_core.metrics.journal import JournaledMetrics
from des_core.migration.apply import upgrade
from des_core.rows.reader import SourceClock, SourceReader
from des_core.settings.config import (
    BackupSettings,
    DatabaseSettings,
    PackerSettings,
    Settings,
    WatermarkSettings,
)
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
LAG_DAYS = 7
FIRST_DAY = floor_day(NOW - 20 * DAY)


def settings_for(database: TestDatabase, output: Path, **fields: object) -> Settings:
    return Settings(
        database=DatabaseSettings(url=database.url, lag_days=LAG_DAYS),
        packer=PackerSettings(output_dir=str(output)),
        **fields,
    )


@pytest.fixture
def settings(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Settings:
    """Ten days of 20 files, the first three archived, migrated: seven days wait."""
    files_table(database, 200, days=10, first_day=FIRST_DAY.date(), archived_days=3, files=False)
    made = settings_for(database, tmp_path, watermark=WatermarkSettings())
    upgrade(made)
    return made


@pytest.fixture
def config(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.config_url)
    yield opened
    opened.close()


@pytest.fixture
def exporter(settings: Settings) -> Iterator[Exporter]:
    made = Exporter(settings)
    yield made
    made.close()


def value(exporter: Exporter, name: str, label: str = "") -> float:
    found = exporter.current().get(name, label)
    assert found is not None, f"{name} is not served"
    return found


def read(exporter: Exporter) -> None:
    assert exporter.read_once() is None


def a_slice(**changes: object) -> SliceRecord:
    record = SliceRecord(
        run_id=uuid4().hex,
        kind="window",
        window_start=FIRST_DAY,
        window_end=FIRST_DAY + DAY,
        files_in=12,
        files_out=10,
        files_failed=2,
        files_present=0,
        bytes_in=1000,
        bytes_out=400,
        started_at=NOW - timedelta(hours=2),
        finished_at=NOW - timedelta(hours=1),
        versions="{}",
    )
    return replace(record, **changes)


def commit(config: Database, *, shards: int = 2, **changes: object) -> None:
    record = a_slice(**changes)
    made = [
        ShardRecord(f"{uuid4().hex}.des", FIRST_DAY.date(), n, 0, 5, 500, 200, "0" * 64)
        for n in range(shards)
    ]
    with config.write() as tx:
        add_slice(tx, record, made)


def test_every_exporter_metric_is_served_with_all_its_series(exporter: Exporter) -> None:
    read(exporter)
    text = generate_latest(exporter.registry).decode()
    families = list(text_string_to_metric_families(text))
    served = {sample.name for family in families for sample in family.samples}
    assert served == {metric.name for metric in METRICS.values() if metric.exporter}
    for metric, series in exporter.current():
        if metric.values and not metric.optional:
            assert set(series) == set(metric.values)


def test_watermark_target_and_what_waits(exporter: Exporter) -> None:
    read(exporter)
    target = floor_day(datetime.now(UTC) - LAG_DAYS * DAY)
    watermark = value(exporter, "des_watermark_timestamp_seconds")
    assert value(exporter, "des_watermark_lag_days") == LAG_DAYS
    assert value(exporter, "des_watermark_target_timestamp_seconds") == target.timestamp()
    lag_s = pytest.approx(target.timestamp() - watermark, abs=0.001)
    assert value(exporter, "des_watermark_lag_seconds") == lag_s
    assert value(exporter, "des_migration_pending_files") == 140
    oldest = FIRST_DAY + 3 * DAY  # the first row of each day is at midnight exactly
    due = (oldest + LAG_DAYS * DAY).timestamp()
    assert value(exporter, "des_migration_oldest_pending_timestamp_seconds") == due
    for database in ("source", "config"):
        assert value(exporter, "des_database_up", database) == 1
        assert abs(value(exporter, "des_database_clock_offset_seconds", database)) < 20


def test_nothing_waits_when_the_watermark_is_at_or_past_the_target(
    exporter: Exporter, database: TestDatabase
) -> None:
    database.execute("UPDATE des_archive_config SET lag_days = 400")
    read(exporter)
    for name in (
        "des_migration_pending_files",
        "des_migration_oldest_pending_timestamp_seconds",
        "des_watermark_lag_seconds",
        "des_watermark_window_size_seconds",
    ):
        assert value(exporter, name) == 0


def test_a_transaction_that_holds_the_target_back_hides_nothing(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = NOW - 30 * DAY
    clock = SourceClock(now=NOW, oldest_transaction=forgotten, hidden_sessions=0)
    monkeypatch.setattr(SourceReader, "clock", lambda _self: clock)
    read(exporter)
    assert value(exporter, "des_watermark_window_size_seconds") == 0, "nothing can be packed"
    assert value(exporter, "des_watermark_lag_seconds") > 8 * 86_400
    assert value(exporter, "des_migration_pending_files") == 140


def test_totals_grow_by_what_is_new(exporter: Exporter, config: Database) -> None:
    read(exporter)
    assert value(exporter, "des_migration_files_total") == 0
    commit(config)
    commit(config, kind="exceptions", shards=1, finished_at=NOW)
    read(exporter)
    read(exporter)
    assert value(exporter, "des_migration_slices_total") == 2
    assert value(exporter, "des_migration_shards_total") == 3
    assert value(exporter, "des_migration_files_total") == 20
    assert value(exporter, "des_migration_files_failed_total") == 2
    assert value(exporter, "des_migration_bytes_total") == 2000
    assert value(exporter, "des_migration_shard_bytes_total") == 800
    progress = (NOW - timedelta(hours=1)).timestamp()
    assert value(exporter, "des_migration_last_progress_timestamp_seconds") == progress


def test_a_slice_with_a_lower_id_that_commits_late_is_counted(
    exporter: Exporter, config: Database, database: TestDatabase
) -> None:
    # A moment ago by the clock: NOW is when this module was read, which may be long ago.
    commit(config, finished_at=datetime.now(UTC), shards=0)
    database.execute("UPDATE des_archive_slice SET slice_id = 1000")
    read(exporter)
    commit(config, finished_at=datetime.now(UTC), shards=0)
    database.execute("UPDATE des_archive_slice SET slice_id = 999 WHERE slice_id <> 1000")
    read(exporter)
    assert value(exporter, "des_migration_slices_total") == 2


def test_a_ledger_that_was_restored_is_counted_from_its_beginning(
    exporter: Exporter, config: Database, database: TestDatabase
) -> None:
    for _ in range(3):
        commit(config)
    read(exporter)
    database.execute_script(["DELETE FROM des_archive_shard", "DELETE FROM des_archive_slice"])
    read(exporter)
    assert value(exporter, "des_migration_slices_total") == 0


def test_open_exceptions_by_cause(exporter: Exporter, config: Database) -> None:
    reasons = ["missing", "missing", "changed", "size_mismatch", "from_a_later_version"]
    items = [
        NewException(f"u{n}", FIRST_DAY, None, archived=False, reason=reason)
        for n, reason in enumerate(reasons)
    ]
    with config.write() as tx:
        record_exceptions(tx, items, now=NOW)
    read(exporter)
    found = {cause: value(exporter, "des_archive_exceptions_open", cause) for cause in CAUSES}
    assert {cause: count for cause, count in found.items() if count} == {
        "missing": 2,
        "changed": 2,
        "other": 1,
    }


def record_check(config: Database, name: str, result: str, finished: datetime) -> None:
    details = {"name": name, "result": result, "finished_at": finished.isoformat()}
    with config.write() as tx:
        record_event(
            tx,
            action="backup_check",
            actor="t",
            now=NOW,
            details=details,
        )


def test_the_newest_good_backup_counts(exporter: Exporter, config: Database) -> None:
    read(exporter)
    assert value(exporter, "des_backup_last_success_timestamp_seconds") == 0
    assert value(exporter, "des_backup_max_age_seconds") == 0
    older, newer = NOW - timedelta(hours=30), NOW - timedelta(hours=6)
    record_check(config, "b1", "good", older)
    record_check(config, "b2", "good", newer)
    record_check(config, "b3", "failed", NOW)
    read(exporter)
    read(exporter)
    assert value(exporter, "des_backup_last_success_timestamp_seconds") == newer.timestamp()
    assert value(exporter, "des_backup_max_age_seconds") == 24 * 3600
    record_check(config, "b2", "failed", newer)
    read(exporter)
    assert value(exporter, "des_backup_last_success_timestamp_seconds") == older.timestamp()


@pytest.mark.parametrize("details", [None, "", "[1]", "{}", '{"name": "b", "finished_at": "x"}'])
def test_a_check_that_says_nothing_about_a_backup_is_passed_over(details: str | None) -> None:
    assert checked_backup(details) is None


def test_a_configured_backup_that_was_never_made_has_a_limit(
    settings: Settings,
) -> None:
    with_backups = settings.model_copy(update={"backup": BackupSettings(dir="/nowhere")})
    exporter = Exporter(with_backups)
    read(exporter)
    assert value(exporter, "des_backup_max_age_seconds") == 24 * 3600
    assert value(exporter, "des_backup_last_success_timestamp_seconds") == 0
    assert exporter.current().get("des_volume_free_bytes", "backup") is None
    exporter.close()


def test_cycles_of_processes_that_are_gone(exporter: Exporter, config: Database) -> None:
    codes = [ExitCode.DONE, ExitCode.REFUSED, ExitCode.REFUSED, ExitCode.TERMINATED]
    for code in codes:
        process = JournaledMetrics(config, clock=lambda: NOW)
        process.cycle_started(watermark=FIRST_DAY, target=FIRST_DAY, lag_days=7)
        process.cycle_finished(code)
    JournaledMetrics(config).cycle_finished(ExitCode.LOCKED)
    read(exporter)
    assert value(exporter, "des_migration_cycles_total", "done") == 1
    assert value(exporter, "des_migration_cycles_total", "refused") == 2
    assert value(exporter, "des_migration_cycles_total", "stopped") == 1
    assert value(exporter, "des_migration_cycles_total", "locked") == 0
    assert value(exporter, "des_migration_failed_cycles") == 2
    last = value(exporter, "des_migration_last_success_timestamp_seconds")
    assert last == NOW.timestamp()


def test_a_journal_that_cannot_be_written_does_not_stop_a_cycle(
    config: Database, database: TestDatabase
) -> None:
    database.execute("DROP TABLE des_archive_job")
    JournaledMetrics(config).cycle_finished(ExitCode.DONE)


def test_before_the_migration_the_exporter_says_so_and_serves_itself(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 10, files=False)
    exporter = Exporter(settings_for(database, tmp_path))
    problem = exporter.read_once()
    assert problem is not None
    assert "des_archive_config" in problem
    assert value(exporter, "des_database_up", "config") == 1
    assert value(exporter, "des_exporter_failed_reads_total") == 1
    assert exporter.current().get("des_migration_files_total") is None
    assert exporter.health.ready() is None
    upgrade(settings_for(database, tmp_path))
    read(exporter)
    assert value(exporter, "des_exporter_last_read_timestamp_seconds") > 0
    exporter.close()


def test_when_a_file_became_due() -> None:
    day = datetime(2024, 11, 25, tzinfo=UTC)
    assert due_since(day, 7) == datetime(2024, 12, 2, tzinfo=UTC)
    assert due_since(day + timedelta(microseconds=1), 7) == datetime(2024, 12, 3, tzinfo=UTC)
    assert due_since(day, 0) == day


def test_the_count_of_waiting_files_stops_at_its_limit(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(
        database,
        PENDING_LIMIT + 500,
        days=5,
        first_day=FIRST_DAY.date(),
        archived_days=0,
        files=False,
    )
    settings = settings_for(database, tmp_path)
    upgrade(settings)
    exporter = Exporter(settings)
    read(exporter)
    assert value(exporter, "des_migration_pending_files") == PENDING_LIMIT
    assert value(exporter, "des_migration_pending_files_limit") == PENDING_LIMIT
    exporter.close()


NOBODY = {  # loopback, and a port on which nobody listens; for SQLite a directory that is not there
    "sqlite": "sqlite:////nowhere/archive.db",
    "postgres": "postgresql://nobody@127.0.0.1:1/archive",
    "mysql": "mysql://nobody@127.0.0.1:1/archive",
}


@pytest.mark.parametrize("away", ["config", "source"])
def test_of_two_databases_the_one_that_is_away_is_blamed(
    settings: Settings, database: TestDatabase, away: str
) -> None:
    """The other one answers, also from the very first read on."""
    nobody = NOBODY[database.kind]
    other = WatermarkSettings(config_db_url=nobody if away == "config" else database.url)
    url = nobody if away == "source" else database.url
    split = settings.model_copy(
        update={"watermark": other, "database": DatabaseSettings(url=url, lag_days=LAG_DAYS)}
    )
    exporter = Exporter(split)
    problem = exporter.read_once()
    assert problem is not None
    assert problem.startswith(f"{away} database: ")
    assert "; " not in problem, "one problem, of one database"
    for name in ("config", "source"):
        assert value(exporter, "des_database_up", name) == (name != away), name
    exporter.close()
