"""The way back: the formula in the column archived, and nothing else changed."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from des_core.basics.errors import Refused, UsageError
from des_core.basics.timestamps import to_us
from des_core.database.connections import open_database
from des_core.ledger.jobs import read_job
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice
from des_core.migration.flags.chunks import ChunkWriter, Part
from support.program.migrating import (
    advance,
    index_names,
    open_exceptions,
    rows_by_formula,
    settings_for,
    watermark_us,
)
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import MIXED_SERVERS

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")


@pytest.mark.parametrize("options", [MigrationOptions(), DROP], ids=["kept", "dropped"])
def test_up_and_down_twice_change_nothing(
    database: TestDatabase, files_table: FilesTableFactory, options: MigrationOptions
) -> None:
    files_table(database, 300, days=6, archived_days=4, holes=9, ties=3, files=False)
    before = canonical_rows(database)
    settings = settings_for(database)
    for _ in range(2):
        upgrade(settings, options=options)
        downgrade(settings)
        assert canonical_rows(database) == before
        assert "idx_files_created_archived" in index_names(database)
        assert "des_archive_config" not in database.table_names()
        assert open_exceptions(database) == {}


@pytest.mark.parametrize("options", [MigrationOptions(), DROP], ids=["kept", "dropped"])
@pytest.mark.parametrize("days", [2, -1])
def test_down_writes_the_formula(
    database: TestDatabase, files_table: FilesTableFactory, options: MigrationOptions, days: int
) -> None:
    files_table(database, 300, days=8, archived_days=3, holes=9, ties=4, files=False)
    settings = settings_for(database)
    upgrade(settings, options=options)
    advance(settings, days)
    expected = rows_by_formula(database, database)
    downgrade(settings)
    assert canonical_rows(database) == expected
    upgrade(settings, options=options)
    downgrade(settings)
    assert canonical_rows(database) == expected


@pytest.mark.parametrize(
    ("database", "config_database"),
    MIXED_SERVERS,
    indirect=True,
)
def test_the_config_database_may_be_another_one(
    database: TestDatabase, config_database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 200, days=5, archived_days=3, holes=5, files=False)
    settings = settings_for(database, config_database)
    upgrade(settings, options=DROP)
    advance(settings, 1)
    assert database.rows("SELECT version_num FROM des_admin_version") == [("0004_drop_archived",)]
    assert config_database.rows("SELECT version_num FROM des_admin_version") == [
        ("0003_watermark",)
    ]
    expected = rows_by_formula(database, config_database)
    downgrade(settings)
    assert canonical_rows(database) == expected
    assert "des_archive_exception" not in database.table_names()


def test_fence_grows_over_lives(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 50, days=5, archived_days=3, files=False)
    settings = settings_for(database)
    fences = []
    for _ in range(3):
        upgrade(settings)
        fences.append(database.value("SELECT fence FROM des_archive_config"))
        downgrade(settings)
    assert fences == [0, 1, 2]


def test_purge_leaves_no_table(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 50, days=5, archived_days=3, files=False)
    settings = settings_for(database)
    upgrade(settings)
    downgrade(settings, options=replace(MigrationOptions(), purge=True))
    left = database.table_names() - {"des_archive_lease"}
    assert left == {"files", "des_admin_version"}
    assert database.rows("SELECT * FROM des_admin_version") == []


SERVERS = pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
TOGETHER = MigrationOptions(sessions=3)


@SERVERS
@pytest.mark.parametrize("options", [MigrationOptions(), DROP], ids=["kept", "dropped"])
@pytest.mark.usefixtures("small_chunks")
def test_several_sessions_write_what_one_does(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    monkeypatch: pytest.MonkeyPatch,
    options: MigrationOptions,
    server: str,
) -> None:
    database = make_database(server)
    files_table(database, 400, days=8, archived_days=3, holes=9, ties=14, files=False)
    settings = settings_for(database)
    upgrade(settings, options=options)
    advance(settings, -1)
    expected = rows_by_formula(database, database)
    write, names = ChunkWriter.write, set()

    def note_thread(writer: ChunkWriter, *args: Any, **more: Any) -> int:
        names.add(threading.current_thread().name)
        return write(writer, *args, **more)

    monkeypatch.setattr(ChunkWriter, "write", note_thread)
    downgrade(settings, options=TOGETHER)
    assert canonical_rows(database) == expected
    assert len(names) > 1


@SERVERS
@pytest.mark.usefixtures("small_chunks")
def test_the_place_never_passes_a_chunk_that_failed(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
) -> None:
    database = make_database(server)
    files_table(database, 400, days=8, archived_days=3, holes=9, files=False)
    settings = settings_for(database)
    upgrade(settings, options=DROP)
    expected = rows_by_formula(database, database)
    config = open_database(settings.config_url)
    write, calls = ChunkWriter.write, count()

    def place_noted() -> datetime | None:
        job = read_job(config, "rollback_flags")
        return None if job is None else job.cursor

    def fail_once(writer: ChunkWriter, part: Part, *args: Any, **more: Any) -> int:
        # Never in the first chunk, which begins after no row: its place must have been noted.
        if "page_key" in part.values and next(calls) == 9:
            _wait_until(lambda: place_noted() is not None)
            time.sleep(0.3)  # the chunks after it are done meanwhile
            raise InterruptedError
        return write(writer, part, *args, **more)

    monkeypatch.setattr(ChunkWriter, "write", fail_once)
    with pytest.raises(InterruptedError):
        downgrade(settings, options=TOGETHER)
    noted = place_noted()
    config.close()
    assert noted is not None
    start, end = watermark_us(database), to_us(noted)
    assert start < end
    done = [row for row in canonical_rows(database) if start < row[1] <= end]
    assert done == [row for row in expected if start < row[1] <= end]
    downgrade(settings, options=TOGETHER)
    assert canonical_rows(database) == expected


def test_sqlite_has_one_writer(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> None:
    database = make_database("sqlite")
    files_table(database, 10, days=2, archived_days=1, files=False)
    settings = settings_for(database)
    upgrade(settings)
    before = canonical_rows(database)
    with pytest.raises(UsageError, match="one session"):
        downgrade(settings, options=TOGETHER)
    assert canonical_rows(database) == before
    assert "des_archive_config" in database.table_names()


def test_rows_above_the_watermark_stay_on_their_pages(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> None:
    """More than half of them: no index of PostgreSQL then gets an entry for them."""
    database = make_database("postgres")
    rows = 12_000
    files_table(database, rows, days=6, archived_days=1, files=False)
    settings = settings_for(database)
    upgrade(settings, options=DROP)
    downgrade(settings)
    _wait_until(lambda: _updates(database)[0] >= rows * 5 / 6)
    updated, on_their_pages = _updates(database)
    assert updated == rows * 5 / 6
    assert on_their_pages > updated / 2


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _updates(database: TestDatabase) -> tuple[int, int]:
    [found] = database.rows(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'files'"
    )
    return found[0], found[1]


@pytest.mark.parametrize("days", [2, -1])
def test_down_retires_the_watermark_that_it_wrote(
    database: TestDatabase, files_table: FilesTableFactory, days: int
) -> None:
    """Somebody moves it when the flags are written: the rest is read again, then it is retired."""
    files_table(database, 300, days=8, archived_days=3, holes=9, ties=4, files=False)
    settings = settings_for(database)
    upgrade(settings)
    expected: list[Any] = []

    def meddle(notice: Notice) -> None:
        if notice.step == "write_flags" and not expected:
            advance(settings, days)
            expected.append(rows_by_formula(database, database))

    downgrade(settings, report=meddle)
    assert [canonical_rows(database)] == expected
    assert "des_archive_config" not in database.table_names()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_view_of_the_watermark(database: TestDatabase, files_table: FilesTableFactory) -> None:
    """As a dashboard has one: named before anything is written; the server would not drop both."""
    files_table(database, 60, days=5, archived_days=2, files=False)
    before = canonical_rows(database)
    settings = settings_for(database)
    upgrade(settings, options=DROP)
    database.execute("CREATE VIEW board AS SELECT archived_until FROM des_archive_config")
    until = watermark_us(database)
    with pytest.raises(Refused, match=r"views read it: board") as caught:
        downgrade(settings)
    assert "drop them" in str(caught.value.hint)
    assert watermark_us(database) == until
    found = database.rows("SELECT * FROM files LIMIT 1")
    assert len(found[0]) == 4
    database.execute("DROP VIEW board")
    downgrade(settings)
    assert canonical_rows(database) == before
    assert "des_archive_config" not in database.table_names()
