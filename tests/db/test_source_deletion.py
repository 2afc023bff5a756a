"""Deleting sources: what goes is in the archive byte for byte; everything doubtful stays."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from des_core.basics.errors import ConfigError, Refused, Terminated
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator import deletion_pass
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.deletion_pass import DeletionLimits, DeletionReport
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.source_deletion import delete_now, look_at_sources, plan_deletion
from watermark_orchestrator.stopping import StopRequest

PACKER = {"big_file_threshold": 1500}


def packed(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    *,
    migration: dict[str, object] | None = None,
    rows: int = 60,
) -> tuple[FilesTable, Settings]:
    """Three days packed, grace over at once."""
    table = files_table(database, rows=rows, days=3, bad={"missing": 1, "wrong_size": 1})
    settings = make_archive(
        database,
        tmp_path / "out",
        packer={**PACKER, "source_roots": [str(table.root)]},
        migration={"grace_days": 0, **(migration or {})},
    )
    with open_archive(settings) as archive:
        run_cycle(archive)
    return table, settings


def delete(settings: Settings, **options: object) -> DeletionReport:
    with open_archive(settings) as archive:
        return delete_now(archive, **options)  # type: ignore[arg-type]


def present(table: FilesTable) -> set[str]:
    return {uid for uid, row in table.rows.items() if os.path.lexists(row.location)}


def test_what_is_packed_goes_and_the_archive_stays_true(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path)
    with open_archive(settings) as archive:
        assert plan_deletion(archive).files == 58
        assert look_at_sources(archive).files == 58
    assert len(present(table)) == 59
    report = delete(settings)
    assert (report.files, report.gone, dict(report.kept)) == (58, 0, {})
    assert present(table) == {uid for uid, defect in table.bad.items() if defect == "wrong_size"}
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)
    assert delete(settings).shards == 0
    events = "SELECT COUNT(*) FROM des_archive_event WHERE action = 'sources_deleted'"
    assert database.value(events) == 1


def test_nothing_goes_before_its_time(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path, migration={"grace_days": 1})
    before = present(table)
    assert delete(settings).shards == 0
    assert present(table) == before


def test_nothing_above_a_rewound_watermark_goes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path)
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-02 12:00:00'")
    delete(settings)
    assert {row.created_at.day for u in present(table) if (row := table.rows[u])} == {2, 3}


def test_without_roots_nothing_is_deleted(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    _, settings = packed(database, files_table, tmp_path)
    packer = settings.packer.model_copy(update={"source_roots": ()})
    with pytest.raises(ConfigError, match="source_roots"):
        delete(settings.model_copy(update={"packer": packer}))


@pytest.mark.sqlite
def test_whatever_is_doubtful_stays(
    make_database, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    table, settings = packed(database, files_table, tmp_path)
    good = [u for u in sorted(table.rows) if u not in table.bad]
    paths = {uid: Path(table.rows[uid].location) for uid in good}
    changed, grown, linked, replaced, shared, outside, respelled = good[:7]
    original = paths[changed].read_bytes()
    assert len(original) > 3
    paths[changed].write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    paths[grown].write_bytes(paths[grown].read_bytes() + b"more")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    paths[linked].rename(elsewhere / "linked")
    paths[linked].symlink_to(elsewhere / "linked")
    paths[replaced].unlink()
    paths[replaced].mkdir()
    table.add("pending", datetime(2999, 1, 1, tzinfo=UTC), location=str(paths[shared]))
    other_words = f"{paths[respelled].parent}/.//{paths[respelled].name}"
    table.add("pending too", datetime(2999, 1, 1, tzinfo=UTC), location=other_words)
    (elsewhere / "file").write_bytes(b"x")
    database.execute(
        "UPDATE files SET file_location = :l WHERE uid = :u",
        {"l": str(elsewhere / "file"), "u": outside},
    )
    report = delete(settings)
    assert dict(report.kept) == {
        "different": 2,
        "not_regular": 2,
        "still_needed": 2,
        "outside_roots": 1,
    }
    assert report.files == 58 - 7
    assert (elsewhere / "file").exists()
    assert (elsewhere / "linked").exists()
    kept = "SELECT SUM(sources_kept) FROM des_archive_shard"
    assert database.value(kept) == 7
    paths[changed].write_bytes(original)
    assert delete(settings).shards == 0
    again = delete(settings, again=True)
    assert (again.files, again.kept.total()) == (1, 6)


@pytest.mark.sqlite
def test_a_damaged_shard_keeps_its_sources(
    make_database, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(make_database("sqlite"), files_table, tmp_path)
    shard = next(p for p in (tmp_path / "out").glob("20240102_*.des") if p.stat().st_size > 500)
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 4
    shard.write_bytes(data)
    report = delete(settings)
    assert report.damaged == [shard.name]
    left = len(present(table))
    assert left > 1
    assert report.files == 59 - left
    assert delete(settings).damaged == [shard.name], "it is looked at again each time"


@pytest.mark.sqlite
def test_a_shard_that_cannot_be_read_keeps_its_sources_and_no_others(
    make_database, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(make_database("sqlite"), files_table, tmp_path)
    shard = next((tmp_path / "out").glob("20240102_*.des"))
    shard.unlink()
    shard.mkdir()
    report = delete(settings)
    assert report.damaged == [shard.name]
    assert report.files > 0
    left = len(present(table))
    assert left > 1
    assert report.files == 59 - left


@pytest.mark.sqlite
def test_a_disk_that_is_not_mounted_is_noticed(
    make_database,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database("sqlite")
    table, settings = packed(database, files_table, tmp_path)
    table.root.rename(tmp_path / "unmounted")
    table.root.mkdir()
    monkeypatch.setattr(deletion_pass, "GONE_LIMIT", 20)
    with pytest.raises(Refused, match="gone already"):
        delete(settings)
    assert delete(settings, limits=DeletionLimits(accept_gone=True)).gone > 20


def test_a_stop_leaves_a_record_and_the_next_run_goes_on(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path)
    stop = StopRequest()

    def after_some(event: ProgressEvent) -> None:
        if event.kind == "sources_deleted" and event.files > 10:
            stop.set(signal.SIGTERM)

    with pytest.raises(Terminated):
        delete(settings, stop=stop, progress=after_some)
    done = database.value(
        "SELECT COUNT(*) FROM des_archive_shard WHERE sources_deleted_at IS NOT NULL"
    )
    assert 0 < done < database.value("SELECT COUNT(*) FROM des_archive_shard")
    assert delete(settings).gone == 0
    assert len(present(table)) == 1


def test_the_runner_does_it_when_the_configuration_says_so(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path)
    migration = settings.migration.model_copy(update={"delete_source_files": True})
    with open_archive(settings.model_copy(update={"migration": migration})) as archive:
        assert run_cycle(archive).deleted.files == 58
    assert len(present(table)) == 1
