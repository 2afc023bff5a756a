"""Columns that take `a` and `A` for one uid: two files are still two files.

MySQL and MariaDB do so unless told otherwise, PostgreSQL if it is told to. Where `files` is
partitioned there, created_at must be part of its key, so that nothing keeps such uids from being
there both.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from support.crash.truth import read_archive
from support.program.archive import make_archive, make_settings
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow
from support.rows.shape import TableShape
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import retry_now, run_cycle
from watermark_orchestrator.per_record import pack_per_record
from watermark_orchestrator.retrying import Selection

SHAPE = TableShape(primary_key=())
DAY = datetime(2024, 3, 1, tzinfo=UTC)
ALIKE = ("key-a", "key-A", "key-a ", "other")


@pytest.fixture
def table(database: TestDatabase) -> TestDatabase:
    """An empty `files` without any key, whose uids are compared without their case."""
    [create, index] = SHAPE.create_statements(database)
    if database.kind == "postgres":
        database.execute(
            "CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2',"
            " deterministic = false)"
        )
        assert "text NOT NULL" in create
        create = create.replace("text NOT NULL", "text COLLATE alike NOT NULL", 1)
    elif database.kind == "mysql":
        create += " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    else:
        assert "TEXT NOT NULL" in create
        create = create.replace("TEXT NOT NULL", "TEXT COLLATE NOCASE NOT NULL", 1)
    database.execute_script([create, index])
    return database


def add(database: TestDatabase, root: Path, *, missing: str, minutes: int = 1) -> None:
    """One row each, some minutes apart; the file of one of them is not there."""
    rows = []
    for number, uid in enumerate(ALIKE):
        path = root / f"{number}.txt"
        if uid != missing:
            path.write_bytes(content_of(number))
        at = DAY + timedelta(hours=3, minutes=number * minutes)
        rows.append(FileRow(uid, at, str(path), len(content_of(number))))
    insert_rows(database, rows, SHAPE)


def content_of(number: int) -> bytes:
    return f"content of {number}".encode()


def expected_files(uids: Iterable[str]) -> dict[str, list[bytes]]:
    return {uid: [sha256(content_of(ALIKE.index(uid))).digest()] for uid in uids}


def flags(database: TestDatabase) -> dict[str, bool]:
    return {uid: bool(flag) for uid, flag in database.rows("SELECT uid, archived FROM files")}


@pytest.mark.parametrize("missing", ALIKE[:3])
def test_only_the_packed_one_is_marked(table: TestDatabase, tmp_path: Path, missing: str) -> None:
    add(table, tmp_path, missing=missing)
    settings = make_settings(table, tmp_path / "out")
    pack_per_record(settings, older_than_days=7, batch_size=100)
    packed = set(ALIKE) - {missing}
    assert read_archive(tmp_path / "out") == expected_files(packed)
    assert flags(table) == {uid: uid in packed for uid in ALIKE}


@pytest.mark.parametrize("missing", ALIKE[:3])
def test_an_exception_means_one_row(table: TestDatabase, tmp_path: Path, missing: str) -> None:
    """Where four rows have one created_at: in the cycle, on the way back, and when retried."""
    add(table, tmp_path, missing=missing, minutes=0)
    settings = make_archive(table, tmp_path / "out")
    with open_archive(settings) as archive:
        run_cycle(archive)
    packed = set(ALIKE) - {missing}
    assert read_archive(tmp_path / "out") == expected_files(packed)
    upgrade(settings, options=MigrationOptions(drop_archived=True, backup="a dump"))
    downgrade(settings)
    assert flags(table) == {uid: uid in packed for uid in ALIKE}
    upgrade(settings)
    (tmp_path / f"{ALIKE.index(missing)}.txt").write_bytes(content_of(ALIKE.index(missing)))
    with open_archive(settings) as archive:
        retry_now(archive, Selection())
    assert read_archive(tmp_path / "out") == expected_files(ALIKE)
    assert table.rows("SELECT uid FROM des_archive_exception WHERE resolved_at IS NULL") == []


@pytest.mark.parametrize("drop", [False, True])
def test_holes_of_the_seed_are_single_rows(
    table: TestDatabase, tmp_path: Path, *, drop: bool
) -> None:
    add(table, tmp_path, missing="", minutes=0)
    for number in (0, 3):
        table.execute(f"UPDATE files SET archived = TRUE WHERE file_location LIKE '%/{number}.txt'")
    before = flags(table)
    settings = make_archive(table, tmp_path / "out")
    captured = table.rows("SELECT uid FROM des_archive_exception ORDER BY uid_sha256")
    assert {uid for (uid,) in captured} == {"key-A", "key-a "}
    if drop:
        upgrade(settings, options=MigrationOptions(drop_archived=True, backup="a dump"))
    downgrade(settings)
    assert flags(table) == before == {"key-a": True, "key-A": False, "key-a ": False, "other": True}
