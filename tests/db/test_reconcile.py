"""Late rows: found by counts and anti-join, made exceptions, packed as new parts, never twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedData, Refused
from des_core.reading.reconcile import find_scope
from des_core.settings.config import Settings
from support.crash.truth import archive_bytes, check_truth, read_open_exceptions
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle
from watermark_orchestrator.progress_events import ignore_progress
from watermark_orchestrator.rechecking import (
    RecheckReport,
    look_for_late,
    reconciler_of,
    record_late,
)
from watermark_orchestrator.run import open_run
from watermark_orchestrator.slice_packing import pack_rows
from watermark_orchestrator.slices import Window
from watermark_orchestrator.stopping import StopRequest

LATE_AT = datetime(2024, 1, 2, 5, tzinfo=UTC)


def cycle(settings: Settings) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive)


def look(settings: Settings, **options: object) -> RecheckReport:
    with open_archive(settings) as archive:
        return look_for_late(archive, **options)  # type: ignore[arg-type]


def packed(
    database: TestDatabase, files_table: FilesTableFactory, out: Path, **sections: object
) -> tuple[FilesTable, Settings]:
    """Six days, of which the first two were archived the old way; everything is packed."""
    table = files_table(database, rows=120, days=6, archived_days=2, bad={"missing": 2})
    settings = make_archive(database, out, watermark={"recheck_days": 0}, **sections)
    cycle(settings)
    return table, settings


def test_a_quiet_archive_has_no_late_rows(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    _, settings = packed(database, files_table, tmp_path / "out")
    report = look(settings)
    assert (report.rows, report.late, report.findings) == (80, 0, [])
    assert look(settings, every_day=True).late == 0


def test_late_rows_are_found_recorded_and_packed(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    before = archive_bytes(tmp_path / "out")
    for number in range(5):
        table.add(f"late-{number}", LATE_AT + timedelta(days=2, hours=number))
    cycle(settings)
    with pytest.raises(AssertionError):
        check_truth(table, database, tmp_path / "out")
    report = look(settings)
    assert [(f.count.scope.day.day, f.late) for f in report.findings] == [(4, 5)]
    assert archive_bytes(tmp_path / "out") == before
    with open_archive(settings) as archive:
        assert record_late(archive, report) == 5
    assert look(settings).late == 0
    assert cycle(settings).retried.packed == 5
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)
    after = archive_bytes(tmp_path / "out")
    assert {name: after[name] for name in before} == before


def test_the_cycle_itself_rechecks_the_last_days(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    table.add("late-soon", LATE_AT + timedelta(days=4))
    table.add("late-before", LATE_AT + timedelta(days=1))
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-06 23:59:59'")
    again = settings.model_copy(
        update={"watermark": settings.watermark.model_copy(update={"recheck_days": 2})}
    )
    report = cycle(again)
    assert (report.late, report.retried.packed) == (0, 0), "the target lies far above"
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-06 23:59:59'")
    database.execute("UPDATE des_archive_config SET lag_days = 36000")
    report = cycle(again)
    assert (report.late, report.retried.packed) == (1, 1)
    assert look(again).late == 1


def test_deleted_rows_are_compared_once_and_hide_nothing_from_every_day(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    gone = next(u for u, r in table.rows.items() if r.created_at.day == 4 and not r.defect)
    database.execute("DELETE FROM files WHERE uid = :u", {"u": gone})
    assert [(f.count.scope.day.day, f.late) for f in look(settings).findings] == [(4, 0)]
    table.add("late-in-its-place", LATE_AT + timedelta(days=2))
    assert look(settings).late == 0, "the counts agree by chance"
    assert look(settings, every_day=True).late == 1
    database.execute("UPDATE des_archive_config SET lag_days = 36000")
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-06 23:59:59'")
    another = next(u for u, r in table.rows.items() if r.created_at.day == 5 and not r.defect)
    database.execute("DELETE FROM files WHERE uid = :u", {"u": another})
    again = settings.model_copy(
        update={"watermark": settings.watermark.model_copy(update={"recheck_days": 3})}
    )
    cycle(again)
    job = "SELECT details FROM des_archive_job WHERE name = 'recheck'"
    assert '"2024-01-05"' in database.value(job)
    assert '"2024-01-04"' not in database.value(job), "its counts agree"
    table.add("late-after-that", LATE_AT + timedelta(days=3))
    assert cycle(again).late == 0, "counts agree by chance again"
    table.add("late-after-all", LATE_AT + timedelta(days=3, hours=1))
    assert cycle(again).late == 2


def test_what_lies_before_the_ledger_is_compared_only_when_asked_for(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    report = look(settings)
    assert report.scope is not None
    assert report.scope.begins_at == max(r.created_at for r in table.rows.values() if r.archived)
    asked = look(settings, since=datetime(2023, 12, 31, tzinfo=UTC))
    assert asked.late == 40, "the old packer's shards are not here"


def test_a_missing_shard_is_damage_not_lateness(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    _, settings = packed(database, files_table, tmp_path / "out")
    next((tmp_path / "out").glob("20240104_*.des")).unlink()
    assert look(settings).late == 0, "the counts agree; verify finds the missing shard"
    with pytest.raises(DamagedData, match="not in the archive"):
        look(settings, every_day=True)
    assert "late" not in {reason for _, reason in read_open_exceptions(database).values()}


def test_what_others_packed_since_the_listing_is_neither_missing_nor_late(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A comparison of many days lists the output once, and takes long."""
    table, settings = packed(database, files_table, tmp_path / "out")
    with open_archive(settings) as archive:
        reconciler = reconciler_of(archive, StopRequest())
        day = (LATE_AT + timedelta(days=2)).date()
        listed = reconciler.listing.of_days({day})
        table.add("late", LATE_AT + timedelta(days=2))
        with open_archive(settings) as another:
            assert record_late(another, look(settings)) == 1
        assert cycle(settings).retried.packed == 1
        assert archive.storage.list_shards({day}) != listed
        scope = find_scope(archive.config, datetime(2024, 1, 6, tzinfo=UTC))
        [part] = [part for part in scope.days() if part.day == day]
        assert list(reconciler.find_late(part)) == []


def test_what_others_packed_since_the_listing_is_not_packed_again(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A runner that was stopped past its lease goes on with the listing that it made before."""
    output = tmp_path / "out"
    table, settings = packed(database, files_table, output)
    late_at = LATE_AT + timedelta(days=2)
    with open_archive(settings) as archive:
        before = archive.storage.listing()
        before.of_days({late_at.date()})
    table.add("late", late_at)
    with open_archive(settings) as another:
        assert record_late(another, look(settings)) == 1
    assert cycle(settings).retried.packed == 1
    shards = sorted(output.glob("*.des"))
    with (
        open_archive(settings) as archive,
        open_run(archive, StopRequest(), ignore_progress, "test") as (run, _),
    ):
        stopped = replace(run, listing=before)
        rows = [row for row in archive.source.lookup([("late", late_at)]) if row is not None]
        window = Window(late_at - timedelta(seconds=1), late_at)
        again = pack_rows(stopped, "exceptions", window, rows, started_at=late_at)
    assert (again.record.files_present, again.record.files_out) == (1, 1)
    assert sorted(output.glob("*.des")) == shards


def test_more_late_rows_than_allowed_stop_the_recheck(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out", migration={"max_captured": 2})
    for number in range(3):
        table.add(f"late-{number}", LATE_AT + timedelta(days=2, hours=number))
    with open_archive(settings) as archive, pytest.raises(Refused) as error:
        record_late(archive, look_for_late(archive))
    assert error.value.exit_code == 4
    assert "late" not in {reason for _, reason in read_open_exceptions(database).values()}
