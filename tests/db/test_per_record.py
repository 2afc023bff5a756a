"""Per-record mode: everything packed is marked, nothing else is, and nothing is overwritten."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from des_core.basics.errors import DamagedShard, LockHeld, Refused, WrongSchema
from des_core.database.connections import open_database
from des_core.locks.lock import hold_lock
from des_core.migration.apply import upgrade
from des_core.settings.config import Settings
from des_core.storage.manifests import SliceManifest
from support.crash.truth import archive_bytes, read_archive
from support.program.archive import make_archive, make_settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.per_record import PerRecordReport, pack_per_record, plan_per_record


def pack(settings: Settings, batch_size: int = 7) -> PerRecordReport:
    return pack_per_record(settings, older_than_days=7, batch_size=batch_size)


def marked(database: TestDatabase) -> set[str]:
    return {uid for uid, flag in database.rows("SELECT uid, archived FROM files") if flag}


def test_packed_rows_are_marked_and_bad_ones_are_not(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=4, bad={"missing": 2, "directory": 1})
    young = table.add("young", datetime.now(UTC))
    settings = make_settings(database, tmp_path / "out")
    report = pack(settings)
    good = set(table.rows) - set(table.bad) - {young.uid}
    assert marked(database) == good
    assert (report.files_in, report.files_marked, report.files_failed) == (120, 117, 3)
    archive = read_archive(tmp_path / "out")
    assert archive == {uid: [hashlib.sha256(table.expected_content(uid)).digest()] for uid in good}
    assert report.updates >= 117 // 7


def test_a_second_run_marks_what_was_packed_and_overwrites_nothing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=60, days=2)
    settings = make_settings(database, tmp_path / "out")
    pack(settings)
    before = archive_bytes(tmp_path / "out")
    database.execute("UPDATE files SET archived = FALSE")  # as after a crash before the marks
    table.add("late", datetime(2024, 1, 1, 3, tzinfo=UTC))
    report = pack(settings)
    after = archive_bytes(tmp_path / "out")
    assert report.files_marked == 61
    assert marked(database) == set(table.rows)
    assert {name: after[name] for name in before} == before
    assert all(len(entries) == 1 for entries in read_archive(tmp_path / "out").values())


def test_it_refuses_beside_a_watermark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=10, days=2)
    settings = make_archive(database, tmp_path / "out")
    with pytest.raises(Refused, match="watermark is in force"):
        pack(settings)
    assert marked(database) == set()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_it_refuses_beside_a_watermark_that_its_search_path_does_not_reach(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Another user migrated, in the schema of the table."""
    files_table(database, rows=10, days=2)
    database.execute("CREATE SCHEMA app")
    database.execute("ALTER TABLE files SET SCHEMA app")
    option = quote("-c search_path=app")
    make_archive(replace(database, url=f"{database.url}?options={option}"), tmp_path / "out")
    settings = make_settings(database, tmp_path / "out", database={"schema": "app"})
    for work in (pack, lambda s: plan_per_record(s, older_than_days=7)):
        with pytest.raises(Refused, match="in force in the schema app"):
            work(settings)
    assert not any(flag for (flag,) in database.rows("SELECT archived FROM app.files"))


def test_it_needs_the_flag(database: TestDatabase, tmp_path: Path) -> None:
    kind = "datetime(6)" if database.kind == "mysql" else "timestamp"
    kind = "text" if database.kind == "sqlite" else kind
    database.execute(
        f"CREATE TABLE files (uid varchar(9), created_at {kind}, file_location varchar(9))"
    )
    with pytest.raises(WrongSchema, match="archived"):
        pack(make_settings(database, tmp_path / "out"))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_mark_reads_no_more_rows_than_it_marks(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Also from the time on when the server plans for values that it does not know."""
    files_table(database, rows=1000, days=1)
    database.execute("CREATE INDEX IF NOT EXISTS by_time ON files (created_at)")
    database.execute("ANALYZE files")
    report = pack(make_settings(database, tmp_path / "out"), batch_size=20)
    assert (report.files_marked, report.updates) == (1000, 50)
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    while database.value(others):  # a server process counts when it ends
        pass
    entries = "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'files'"
    assert database.value(entries) < 10 * report.files_marked


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_shard_that_is_not_what_its_manifest_says_is_not_marked(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=30, days=1)
    settings = make_settings(database, tmp_path / "out")
    pack(settings)
    database.execute("UPDATE files SET archived = FALSE")
    [manifest] = (tmp_path / "out").rglob("*.json")
    claims = SliceManifest.from_bytes(manifest.read_bytes(), manifest.name)
    other = replace(claims.shards[0], sha256="0" * 64)
    manifest.write_bytes(replace(claims, shards=(other, *claims.shards[1:])).to_bytes())
    with pytest.raises(DamagedShard, match="not what its manifest says"):
        pack(settings)
    assert marked(database) == set()


def test_it_asks_the_config_database(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    """The watermark may be in force there, and somebody may hold the lock there."""
    files_table(database, rows=20, days=2)
    settings = make_settings(database, tmp_path / "out", config_database)
    config = open_database(settings.config_url, create=True)
    with hold_lock(config, "run"), pytest.raises(LockHeld):
        pack(settings)
    config.close()
    upgrade(settings)
    before = marked(database)
    with pytest.raises(Refused, match="a watermark is in force here"):
        pack(settings)
    assert marked(database) == before
    assert read_archive(tmp_path / "out") == {}
