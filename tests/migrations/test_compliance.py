"""The nightly job, and what every job in chunks can do: resume, pause, wait."""

import threading
from datetime import timedelta

import pytest

from des_core.basics.errors import LockHeld, UsageError, WrongSchema
from des_core.basics.timestamps import EPOCH
from des_core.database.connections import open_database
from des_core.ledger.jobs import read_job
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice
from des_core.migration.compliance import sync_flags
from des_core.migration.state.flag_jobs import change_flag_jobs
from support.program.migrating import advance, rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

pytestmark = pytest.mark.usefixtures("small_chunks")


def test_the_column_follows_the_watermark_night_by_night(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, 120, days=8, archived_days=2, holes=4, ties=3, files=False)
    settings = settings_for(database)
    upgrade(settings)
    packed = sorted(table.holes)[0]
    for days in (1, 0, 2, -2, 3):
        advance(settings, days)
        database.execute(
            "UPDATE des_archive_exception SET resolved_at = last_seen, resolution = 'packed'"
            " WHERE uid = :uid",
            {"uid": packed},
        )
        sync_flags(settings)
        assert canonical_rows(database) == rows_by_formula(database, database)
    assert sync_flags(settings).changed == 0
    expected = rows_by_formula(database, database)
    downgrade(settings)
    assert canonical_rows(database) == expected


def test_without_the_column_there_is_nothing_to_sync(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    settings = settings_for(database)
    upgrade(settings, options=MigrationOptions(drop_archived=True, backup="dump"))
    with pytest.raises(WrongSchema, match="no column archived"):
        sync_flags(settings)


def test_a_job_that_was_cut_off_goes_on_from_there(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 200, days=8, archived_days=2, holes=4, files=False)
    settings = settings_for(database)
    upgrade(settings)
    advance(settings, 4)
    expected = rows_by_formula(database, database)
    chunks = 0

    def stop_at_ninth(notice: Notice) -> None:
        nonlocal chunks
        if notice.done_rows is not None:
            chunks += 1
            if chunks == 9:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        downgrade(settings, report=stop_at_ninth)
    config = open_database(settings.config_url)
    job = read_job(config, "rollback_flags")
    assert job is not None
    assert job.rows_done > 0
    rest: list[Notice] = []
    downgrade(settings, report=lambda notice: rest.append(notice) if notice.share else None)
    assert rest[0].done_rows is not None
    assert rest[0].done_rows >= job.rows_done
    assert canonical_rows(database) == expected
    config.close()


def test_pause_and_resume_from_elsewhere(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 120, days=8, archived_days=2, files=False)
    settings = settings_for(database)
    upgrade(settings)
    advance(settings, 4)
    other = open_database(settings.config_url)
    now = EPOCH + timedelta(days=20_000)
    assert change_flag_jobs(other, "running", "paused", now) == []
    texts: list[str] = []

    def listen(notice: Notice) -> None:
        texts.append(notice.text)
        if notice.done_rows is not None and "paused" not in " ".join(texts):
            change_flag_jobs(other, "running", "paused", now)
        if notice.text.startswith("paused"):
            with pytest.raises(LockHeld):
                sync_flags(settings)
            threading.Timer(0.1, change_flag_jobs, (other, "paused", "running", now)).start()

    report = sync_flags(settings, report=listen)
    assert report.changed > 0
    assert sum(text.startswith("paused") for text in texts) == 1
    assert canonical_rows(database) == rows_by_formula(database, database)
    other.close()


def test_waits_while_the_load_is_high(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 60, days=6, archived_days=2, files=False)
    settings = settings_for(database)
    upgrade(settings)
    advance(settings, 2)
    database.execute("CREATE TABLE load_now (n INTEGER)")
    database.execute("INSERT INTO load_now VALUES (9)")
    texts: list[str] = []

    def listen(notice: Notice) -> None:
        texts.append(notice.text)
        if notice.text.startswith("load"):
            database.execute("DELETE FROM load_now")

    options = MigrationOptions(max_load="SELECT SUM(n) FROM load_now", max_load_limit=5)
    with pytest.raises(UsageError, match="one number"):
        sync_flags(settings, options=MigrationOptions(max_load="SELECT 'much'"))
    sync_flags(settings, options=options, report=listen)
    assert "load is 9, above 5: waiting" in texts
    assert canonical_rows(database) == rows_by_formula(database, database)
