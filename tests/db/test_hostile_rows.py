"""Rows as nobody should write them: each becomes an exception or is packed, and none is large."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from des_core.basics.timestamps import EARLIEST, LATEST
from des_core.database.connections import open_database
from des_core.rows.reader import MAX_LOCATION, PAGE_CHARS, SourceReader
from des_core.settings.config import DatabaseSettings
from support.program.archive import make_archive
from support.rows.bulk import create_files_table, insert_rows
from support.rows.filesdata import FileRow, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

DAY = datetime(2024, 1, 2, 12, tzinfo=UTC)
MEGABYTE = 1 << 20


def test_a_page_is_bounded_by_its_bytes(database: TestDatabase, tmp_path: Path) -> None:
    """Of 10,000 rows a page, with rows of a megabyte: 800 of them took 1.6 GiB."""
    create_files_table(database)
    if database.kind == "mysql":
        database.execute("ALTER TABLE files MODIFY file_location LONGTEXT NOT NULL")
    rows = [FileRow(f"{n:04d}", DAY, f"/{n}" + "x" * MEGABYTE, 1) for n in range(40)]
    insert_rows(database, rows)
    opened = open_database(database.url)
    try:
        reader = SourceReader(opened, DatabaseSettings(url=SecretStr(database.url)))
        pages = list(reader.rows(EARLIEST, LATEST))
    finally:
        opened.close()
    found = [row for page in pages for row in page]
    assert sorted(row.uid for row in found) == [row.uid for row in rows]
    assert all(len(row.location or "") <= MAX_LOCATION for row in found)
    assert max(sum(len(row.location or "") for row in page) for page in pages) < 2 * PAGE_CHARS


def test_long_uids_make_short_pages(database: TestDatabase) -> None:
    create_files_table(database)
    if database.kind == "mysql":
        database.execute("ALTER TABLE files DROP PRIMARY KEY, MODIFY uid LONGTEXT NOT NULL")
    elif database.kind == "postgres":
        database.execute("ALTER TABLE files DROP CONSTRAINT files_pkey")
    rows = [FileRow(f"{n:04d}" + "x" * MEGABYTE, DAY, f"/{n}", 1) for n in range(30)]
    insert_rows(database, rows)
    opened = open_database(database.url)
    try:
        reader = SourceReader(opened, DatabaseSettings(url=SecretStr(database.url)))
        pages = list(reader.rows(EARLIEST, LATEST))
    finally:
        opened.close()
    assert sum(map(len, pages)) == 30
    assert max(sum(len(row.uid) for row in page) for page in pages) <= PAGE_CHARS + MEGABYTE


ODD: dict[str, dict[str, Any]] = {
    "size is text": {"size_bytes": "many"},
    "size is a fraction": {"size_bytes": "12.5"},
    "size is huge": {"size_bytes": str(2**70)},
    "size is infinite": {"size_bytes": float("inf")},
    "size is negative": {"size_bytes": -5},
    "size is the largest": {"size_bytes": 2**63 - 1},
    "location is bytes": {"file_location": b"/etc/\xff\x00"},
    "location is a number": {"file_location": 7},
    "location is long": {"file_location": "/" + "x" * MEGABYTE},
    "location is deep": {"file_location": "/x" * MEGABYTE},
    "location is a secret": {"file_location": "pass" * 50_000},
    "location is markup": {"file_location": "/[red]\x1b[31m=cmd|' /C calc'!A0<script>"},
}


@pytest.mark.sqlite
def test_sqlite_lets_anything_in_and_each_becomes_an_exception(
    make_database: Any, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    table = files_table(database, rows=30, days=3)
    for uid, fields in ODD.items():
        table.add(uid, DAY)
        for column, value in fields.items():
            database.execute(
                f"UPDATE files SET {column} = :v WHERE uid = :u", {"v": value, "u": uid}
            )
    settings = make_archive(database, tmp_path / "out", watermark={"slice": "cycle"})
    with open_archive(settings) as archive:
        report = run_cycle(archive)
    assert (report.files_in, report.files_out) == (30 + len(ODD), 30)
    open_exceptions = database.rows("SELECT uid, reason FROM des_archive_exception")
    assert {uid for uid, _ in open_exceptions} == set(ODD)
    assert {reason for _, reason in open_exceptions} == {
        *("size_mismatch", "bad_location", "missing")
    }
    longest = database.value("SELECT MAX(length(location)) FROM des_archive_exception")
    assert longest <= MAX_LOCATION
