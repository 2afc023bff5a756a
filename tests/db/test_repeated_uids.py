"""Tables in which nothing keeps two rows from having one uid: a file is never taken for another."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.timestamps import floor_day
from des_core.database.connections import open_database
from des_core.rows.schema import inspect_source
from des_core.settings.config import Settings
from support.crash.truth import as_utc, read_archive
from support.program.archive import make_archive
from support.rows.bulk import create_files_table, insert_rows
from support.rows.filesdata import FileRow
from support.rows.shape import TableShape
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle

SHAPE = TableShape(primary_key=("uid", "created_at"))
DAY = floor_day(datetime.now(UTC)) - timedelta(days=9)  # below the target, and still rechecked
MORNING, NOON, EVENING = (DAY + timedelta(hours=hour, minutes=30) for hour in (8, 12, 20))


class Scene:
    """A table with (uid, created_at) as its key, and files of eight bytes."""

    def __init__(self, database: TestDatabase, tmp_path: Path, **sections: Any) -> None:
        self.database, self.root, self.output = database, tmp_path, tmp_path / "out"
        create_files_table(database, SHAPE)
        self.add(MORNING, b"first", uid="first")  # the watermark is seeded below it
        self.settings: Settings = make_archive(database, self.output, **sections)

    def add(self, created_at: datetime, content: bytes, uid: str = "same") -> Path:
        path = self.root / f"{uid}-{created_at:%H%M}"
        path.write_bytes(content)
        row = FileRow(uid, created_at, str(path), len(content))
        insert_rows(self.database, [row], SHAPE)
        return path

    def cycle(self) -> CycleReport:
        with open_archive(self.settings) as archive:
            return run_cycle(archive)

    def exceptions(self) -> dict[datetime, str]:
        rows = self.database.rows(
            "SELECT created_at, reason FROM des_archive_exception WHERE resolved_at IS NULL"
        )
        return {as_utc(moment): reason for moment, reason in rows}

    def entries(self) -> int:
        return len(read_archive(self.output)["same"])

    def rewind(self) -> None:
        midnight = DAY.strftime("%Y-%m-%d %H:%M:%S.%f")
        if self.database.kind == "postgres":
            midnight += "+00"
        self.database.execute(f"UPDATE des_archive_config SET archived_until = '{midnight}'")


@pytest.fixture
def scene(database: TestDatabase, tmp_path: Path) -> Scene:
    return Scene(database, tmp_path, watermark={"recheck_days": 3})


@pytest.mark.parametrize("late", [MORNING, EVENING])
def test_a_late_row_is_not_taken_for_the_one_that_was_packed(scene: Scene, late: datetime) -> None:
    scene.add(NOON, b"content1")
    scene.cycle()
    scene.add(late, b"content2")
    report = scene.cycle()
    assert (report.late, report.retried.packed, report.retried.failed) == (2, 1, 1)
    assert scene.exceptions() == {late: "duplicate_uid"}
    assert scene.entries() == 1
    assert scene.cycle().late == 0, "what is known once stays known"


def test_what_cannot_be_proved_is_an_exception(scene: Scene) -> None:
    """Whose file the shard has cannot be told, once the packed one's source is gone."""
    packed = scene.add(NOON, b"content1")
    scene.cycle()
    packed.unlink()
    scene.add(EVENING, b"content2")
    scene.cycle()
    assert scene.exceptions() == {NOON: "missing", EVENING: "duplicate_uid"}
    assert scene.entries() == 1


def test_a_file_that_cannot_be_read_is_not_taken_for_the_one_that_was_packed(
    database: TestDatabase, tmp_path: Path
) -> None:
    scene = Scene(database, tmp_path, watermark={"slice": "hour", "recheck_days": 0})
    scene.add(NOON, b"content1")
    scene.add(EVENING, b"content2").unlink()
    assert scene.cycle().files_failed == 1
    assert scene.exceptions() == {EVENING: "missing"}
    assert scene.entries() == 1


def test_equal_bytes_are_still_two_rows(scene: Scene) -> None:
    scene.add(NOON, b"content1")
    scene.cycle()
    scene.add(EVENING, b"content1")
    scene.cycle()
    assert scene.exceptions() == {EVENING: "duplicate_uid"}
    assert scene.cycle().late == 0


@pytest.mark.parametrize("size", ["as the row says", "unknown"])
def test_a_later_slice_of_the_day(database: TestDatabase, tmp_path: Path, size: str) -> None:
    scene = Scene(database, tmp_path, watermark={"slice": "hour", "recheck_days": 0})
    scene.add(NOON, b"content1")
    scene.add(EVENING, b"content2")
    if size == "unknown":
        database.execute("UPDATE files SET size_bytes = NULL")
    assert scene.cycle().files_failed == 1
    assert scene.exceptions() == {EVENING: "duplicate_uid"}
    # The same again: neither slice finds anything but what it left there.
    scene.rewind()
    report = scene.cycle()
    assert (report.files_present, report.files_failed) == (2, 1)
    assert scene.exceptions() == {EVENING: "duplicate_uid"}
    assert scene.entries() == 1


def test_a_big_file_is_compared_too(database: TestDatabase, tmp_path: Path) -> None:
    scene = Scene(
        database,
        tmp_path,
        watermark={"slice": "hour", "recheck_days": 0},
        packer={"big_file_threshold": 1000},
    )
    scene.add(NOON, b"1" * 2000)
    scene.add(EVENING, b"2" * 2000)
    scene.cycle()
    assert scene.exceptions() == {EVENING: "duplicate_uid"}


def test_uids_with_a_key_are_known_to_be_unique(database: TestDatabase, tmp_path: Path) -> None:
    def is_unique(name: str, *further: str, key: tuple[str, ...] = ()) -> bool:
        shape = replace(SHAPE, table=name, index=f"by_time_of_{name}", primary_key=key)
        create_files_table(database, shape)
        database.execute_script(further)
        settings = make_settings_for(database, tmp_path, name)
        return inspect_source(opened, settings.database).uid_is_unique

    database.execute("CREATE TABLE first_of_all (id INTEGER)")
    opened = open_database(database.url)
    try:
        assert is_unique("keyed", key=("uid",))
        assert not is_unique("by_both", key=("uid", "created_at"))
        assert not is_unique("without")
        assert is_unique("indexed", "CREATE UNIQUE INDEX one_uid ON indexed (uid)")
        assert not is_unique("plain", "CREATE INDEX some_uid ON plain (uid)")
        if database.kind != "mysql":
            partial = "CREATE UNIQUE INDEX part_uid ON partly (uid) WHERE NOT archived"
            assert not is_unique("partly", partial)
    finally:
        opened.close()


# What looks like a key on the uid, and lets two rows have one.
NO_KEYS = {
    "child table": (
        "postgres",
        [
            "CREATE TABLE later (LIKE files INCLUDING ALL) INHERITS (files)",
            "WITH moved AS (DELETE FROM ONLY files WHERE created_at ="
            " (SELECT MAX(created_at) FROM files) RETURNING *) INSERT INTO later TABLE moved",
            "ALTER TABLE ONLY files ADD UNIQUE (uid)",
        ],
    ),
    "period": (
        "mariadb",
        [
            "ALTER TABLE files ADD COLUMN first_at DATETIME(6) NOT NULL DEFAULT '2024-01-01',"
            " ADD COLUMN last_at DATETIME(6) NOT NULL DEFAULT '2024-01-02'",
            "UPDATE files SET first_at = created_at, last_at = created_at + INTERVAL 1 HOUR",
            "ALTER TABLE files ADD PERIOD FOR valid (first_at, last_at)",
            "ALTER TABLE files ADD UNIQUE one_uid (uid, valid WITHOUT OVERLAPS)",
        ],
    ),
    "index that could not be built": ("postgres", []),
}


# SQLAlchemy does not know PERIOD, and says so.
@pytest.mark.filterwarnings("ignore:Unknown schema content")
@pytest.mark.parametrize(
    ("database", "made"), NO_KEYS.values(), ids=NO_KEYS.keys(), indirect=["database"]
)
def test_what_only_looks_like_a_key(
    database: TestDatabase, tmp_path: Path, made: list[str]
) -> None:
    """A file that could not be read was taken for the other row's, and stood in no exception."""
    scene = Scene(database, tmp_path, watermark={"slice": "hour", "recheck_days": 0})
    scene.add(NOON, b"content1")
    scene.add(EVENING, b"content2").unlink()
    if made:
        database.execute_script(made)
    else:
        connection = database.connect()
        connection.autocommit = True
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY one_uid ON files (uid)")
    assert scene.cycle().files_failed == 1
    assert scene.exceptions() == {EVENING: "missing"}
    assert scene.entries() == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_number_and_its_text_are_two_rows(database: TestDatabase, tmp_path: Path) -> None:
    """A column without a type holds both, and a key lets both in."""
    database.execute(
        "CREATE TABLE files (uid PRIMARY KEY NOT NULL, created_at TEXT NOT NULL,"
        " file_location TEXT NOT NULL, size_bytes INTEGER, archived INTEGER NOT NULL DEFAULT 0)"
    )
    opened = open_database(database.url)
    settings = make_settings_for(database, tmp_path, "files")
    assert not inspect_source(opened, settings.database).uid_is_unique
    opened.close()


def make_settings_for(database: TestDatabase, tmp_path: Path, table: str) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": database.url, "table_name": table},
            "packer": {"output_dir": str(tmp_path), "source_roots": ["/"]},
        }
    )
