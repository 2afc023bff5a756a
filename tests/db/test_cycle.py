"""Whole cycles on real databases and real files: nothing lost, nothing twice, the formula holds."""

import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import LockHeld, Refused, StorageError, Terminated, TooManyFailures
from des_core.locks.lock import hold_lock
from des_core.rows.reader import SourceClock, SourceReader
from des_core.settings.config import Settings
from support.crash.truth import archive_bytes, check_truth, read_watermark_value
from support.program.archive import make_archive
from support.rows.bulk import insert_rows
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, plan_cycle, retry_now, run_cycle
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.retrying import RetryReport, Selection
from watermark_orchestrator.stopping import StopRequest

BAD = {
    "missing": 3,
    "directory": 2,
    "fifo": 2,
    "socket": 1,
    "wrong_size": 2,
    "empty_location": 1,
    "dangling_link": 1,
    "relative": 1,
}
REASONS = {
    "missing": "missing",
    "dangling_link": "missing",
    "directory": "not_regular",
    "fifo": "not_regular",
    "socket": "not_regular",
    "wrong_size": "size_mismatch",
    "empty_location": "bad_location",
    "relative": "bad_location",
}


OPEN_REASONS = "SELECT uid, reason FROM des_archive_exception WHERE resolved_at IS NULL"


def run(settings: Settings, **options: Any) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive, **options)


def retry(settings: Settings) -> RetryReport:
    with open_archive(settings) as archive:
        return retry_now(archive, Selection())


def test_a_cycle_packs_the_window_and_the_holes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=600, days=8, archived_days=3, holes=12, bad=BAD)
    settings = make_archive(database, tmp_path / "out")
    seeded = read_watermark_value(database)
    assert seeded == max(row.created_at for row in table.rows.values() if row.archived)
    report = run(settings)
    pending = [row for row in table.rows.values() if row.created_at > seeded]
    assert report.files_in == len(pending)
    assert report.files_failed == sum(BAD.values())
    assert report.files_out == len(pending) - sum(BAD.values())
    assert (report.retried.tried, report.retried.packed) == (12, 12)
    reasons = check_truth(table, database, tmp_path / "out")
    assert reasons == {uid: REASONS[defect] for uid, defect in table.bad.items()}
    assert read_watermark_value(database) == report.watermark
    again = run(settings)
    assert (again.files_in, again.retried.tried) == (0, 0)


@pytest.mark.parametrize("kind", ["hour", "day", "cycle"])
def test_every_kind_of_slice_ends_in_the_same_truth(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, kind: str
) -> None:
    table = files_table(database, rows=200, days=3, ties=5)
    settings = make_archive(database, tmp_path / "out", watermark={"slice": kind})
    report = run(settings)
    assert report.files_out == 200
    assert check_truth(table, database, tmp_path / "out") == {}


def test_the_plan_says_what_the_cycle_then_does(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=100, days=5, archived_days=2)
    settings = make_archive(database, tmp_path / "out")
    before = archive_bytes(tmp_path / "out")
    with open_archive(settings) as archive:
        plan = plan_cycle(archive)
        assert archive_bytes(tmp_path / "out") == before
        report = run_cycle(archive)
    assert plan.pending.files == report.files_in == 60
    assert plan.pending.size_bytes == report.bytes_in
    assert plan.slices == report.slices
    assert plan.window == report.window


def test_replay_after_a_rewind_adds_only_what_is_missing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=3)
    settings = make_archive(database, tmp_path / "out")
    run(settings)
    before = archive_bytes(tmp_path / "out")
    table.add("late-one", datetime(2024, 1, 2, 5, tzinfo=UTC))
    database.execute("UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'")
    report = run(settings)
    after = archive_bytes(tmp_path / "out")
    assert (report.files_in, report.files_present) == (121, 120)
    assert {name: after[name] for name in before} == before
    assert len([name for name in set(after) - set(before) if name.endswith(".des")]) == 1
    assert check_truth(table, database, tmp_path / "out") == {}


def test_exceptions_are_packed_once_their_files_are_mended(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=90, days=3, bad={"missing": 3})
    settings = make_archive(database, tmp_path / "out")
    run(settings)
    mended, still_missing, gone = sorted(table.bad)
    Path(table.rows[mended].location).write_bytes(table.expected_content(mended))
    database.execute("DELETE FROM files WHERE uid = :u", {"u": gone})
    assert run(settings).retried.tried == 0, "not due yet"
    with open_archive(settings) as archive:
        report = retry_now(archive, Selection())
    assert (report.tried, report.packed, report.failed, report.gone) == (3, 1, 2, 0)
    deleted = table.rows.pop(gone)
    reasons = dict(database.rows(OPEN_REASONS))
    assert reasons == {still_missing: "missing", gone: "row_gone"}
    assert retry(settings).gone == 0, "missed once, and a moment ago"
    database.execute("UPDATE des_archive_exception SET last_seen = '2024-01-02 00:00:00'")
    newer = [uid for uid, row in table.rows.items() if row.created_at > deleted.created_at]
    assert newer
    assert retry(settings).gone == 1
    assert dict(database.rows(OPEN_REASONS)) == {still_missing: "missing"}


def test_a_row_that_a_table_lost_is_not_taken_for_deleted(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """An older copy of the table: its newest rows are not there, and come back later."""
    table = files_table(database, rows=60, days=3, bad={"missing": 2})
    settings = make_archive(database, tmp_path / "out")
    run(settings)
    newest = max(sorted(table.bad), key=lambda uid: table.rows[uid].created_at)
    row = table.rows[newest]
    lost = [each for each in table.rows.values() if each.created_at >= row.created_at]
    for each in lost:
        database.execute("DELETE FROM files WHERE uid = :u", {"u": each.uid})
    for _ in range(3):
        assert retry(settings).gone == 0
        database.execute("UPDATE des_archive_exception SET last_seen = '2024-01-02 00:00:00'")
    assert dict(database.rows(OPEN_REASONS))[newest] == "row_gone"
    insert_rows(database, lost)
    Path(row.location).write_bytes(table.expected_content(newest))
    assert retry(settings).packed == 1
    assert newest not in dict(database.rows(OPEN_REASONS))


def test_an_unmounted_source_stops_the_cycle_before_the_watermark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=300, days=2, files=False)
    settings = make_archive(database, tmp_path / "out")
    with pytest.raises(TooManyFailures) as error:
        run(settings)
    assert error.value.exit_code == 4
    assert "mounted" in str(error.value.hint)
    # The one row stamped at midnight exactly is a slice of its own; one file stops nothing.
    first = min(table.rows.values(), key=lambda row: row.created_at)
    assert read_watermark_value(database) == first.created_at
    assert check_truth(table, database, tmp_path / "out") == {first.uid: "missing"}


def test_a_stop_leaves_whole_slices(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=200, days=5)
    settings = make_archive(database, tmp_path / "out")
    stop = StopRequest()

    def stop_in_the_third_slice(event: ProgressEvent) -> None:
        committed.append(event.kind == "slice_committed")
        if sum(committed) == 2 and event.kind == "files_packed":
            stop.set(signal.SIGTERM)

    committed: list[bool] = []
    with pytest.raises(Terminated):
        run(settings, stop=stop, progress=stop_in_the_third_slice)
    check_truth(table, database, tmp_path / "out")
    watermark = read_watermark_value(database)
    assert watermark > table.rows[min(table.rows)].created_at - timedelta(days=9)
    run(settings)
    assert check_truth(table, database, tmp_path / "out") == {}


def test_only_one_at_a_time(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=10, days=2)
    settings = make_archive(database, tmp_path / "out")
    with (
        open_archive(settings) as archive,
        hold_lock(archive.config, "another"),
        pytest.raises(LockHeld),
    ):
        run(settings)
    assert run(settings).files_out == 10


def test_a_watermark_in_the_future_is_refused(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=10, days=2)
    settings = make_archive(database, tmp_path / "out")
    database.execute("UPDATE des_archive_config SET archived_until = '2999-01-01 00:00:00'")
    with pytest.raises(Refused, match="future"):
        run(settings)


def test_a_source_whose_clock_is_weeks_ahead_is_refused(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a failover to a server that was set wrongly, say: files yet to come would be passed."""
    files_table(database, rows=10, days=2)
    settings = make_archive(database, tmp_path / "out")
    before = read_watermark_value(database)
    real = SourceReader.clock

    def ahead(reader: SourceReader) -> SourceClock:
        clock = real(reader)
        return replace(clock, now=clock.now + timedelta(days=30))

    monkeypatch.setattr(SourceReader, "clock", ahead)
    for work in (run, plan):
        with pytest.raises(Refused, match="the source's clock is ahead"):
            work(settings)
    assert read_watermark_value(database) == before
    monkeypatch.undo()
    assert run(settings).files_out == 10


def plan(settings: Settings) -> None:
    with open_archive(settings) as archive:
        plan_cycle(archive)


def test_output_must_be_there(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=10, days=2)
    settings = make_archive(database, tmp_path / "out")
    (tmp_path / "out").rmdir()
    with pytest.raises(StorageError) as error:
        run(settings)
    assert "output_dir" in str(error.value.hint)


@pytest.mark.parametrize(
    "config_database", ["sqlite", "postgres", "mariadb", "mysql"], indirect=True
)
def test_the_watermark_may_live_on_another_kind_of_server(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    table = files_table(database, rows=150, days=4, archived_days=1, holes=5, bad={"missing": 2})
    settings = make_archive(database, tmp_path / "out", config_database)
    run(settings)
    reasons = check_truth(table, config_database, tmp_path / "out")
    assert reasons == dict.fromkeys(table.bad, "missing")


def test_an_open_transaction_holds_the_target_back(
    files_table: FilesTableFactory, make_database: Any, tmp_path: Path
) -> None:
    database = make_database("postgres")
    table = files_table(database, rows=40, days=2)
    settings = make_archive(database, tmp_path / "out")
    database.execute("UPDATE des_archive_config SET lag_days = 0")
    writer = database.connect()
    writer.execute("SELECT 1")
    began = datetime.now(UTC)
    with open_archive(settings) as archive:
        plan = plan_cycle(archive)
    assert plan.window.end <= began
    writer.rollback()
    run(settings)
    assert check_truth(table, database, tmp_path / "out") == {}
