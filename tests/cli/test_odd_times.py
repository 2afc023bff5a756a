"""A created_at that no calendar has is one row's matter, whatever command reads that row.

Such a row was never packed: no window sees it, doctor counts it, and its file stays needed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Program, name_roots, write_config
from cli.test_doctor import problems
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

# In or beside the window of the archive's fixtures, which has days from 2024-01-01.
SQLITE_ODD: dict[str, Any] = {
    "no such day": "2024-01-32 10:00:00",
    "no such day in February": "2024-02-30",
    "no such day with an offset": "2024-02-30T10:00:00+01:00",
    "no such hour": "2024-01-08 24:00:01",
    "midnight at the end": "2024-01-08 24:00:00",
    "no such hour after blanks": "2024-01-08   24:00",
    "no such minute": "2024-01-08 10:61:00",
    "month 13": "2024-13-01",
    "month 0": "2024-00-10 10:00:00",
    "day 0": "2024-01-00",
    "year 0": "0000-05-01",
    "before the first year": "0001-01-01 00:00:00+05:00",
    "after the last year": "9999-12-31 23:30:00-05:00",
    "five digits": "10000-01-01",
    "trailing words": "2024-01-08 10:00:00 or so",
    "two fractions": "2024-01-08 10:00:00.5.5",
    "a digit too many": "2024-01-08 10:00:005",
    "no such zone": "2024-01-08 10:00:00+99:00",
    "a NUL in it": "2024-01-08 10:00:00\0",
    "a NUL behind the day": "2024-01-08\0 10:00",
    "blank before": " 2024-01-08",
    "other digits": "2024-01-0８",
    "empty": "",
    "a word": "now",
    "a time alone": "12:00",
    "a Julian day": "2460318.5",
    "markup": "[red]\x1b[31m<script>=cmd|' /C calc'!A0\u202e",
    "long": "2024-01-08" + "x" * 100_000,
    "bytes": b"2024-01-08 10:00:00",
    "bytes that are no text": b"\xff\xfe2024",
    "an integer": 20240108,
    "a fraction": 2460318.5,
    "infinite": float("inf"),
}
READING = (
    *("doctor --all", "progress", "progress --exact", "progress --daily", "run --dry-run"),
    *("migrate plan", "plan compression", "exceptions list", "reconcile --every-day", "verify"),
    *(
        "exceptions retry --yes",
        "watermark show",
        "compliance sync",
    ),
)


def clean(text: str) -> bool:
    """No character that a terminal obeys, and none that turns text round."""
    return not any((c < " " and c != "\n") or c in "\x7f\u202e" for c in text)


def flags(database: TestDatabase) -> dict[str, int]:
    return {
        uid: int(archived) for uid, archived in database.rows("SELECT uid, archived FROM files")
    }


def add_odd(database: TestDatabase, uid: str, created_at: Any, archived: bool = False) -> None:
    database.execute(
        "INSERT INTO files (uid, created_at, file_location, size_bytes, archived)"
        " VALUES (:uid, :at, '/nowhere', 1, :archived)",
        {"uid": uid, "at": created_at, "archived": archived},
    )


@pytest.fixture
def untyped(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> tuple[TestDatabase, FilesTable]:
    """A table of SQLite whose column keeps numbers and bytes as they are."""
    database = make_database("sqlite")
    table = files_table(database, rows=60, days=10, archived_days=6)
    database.execute_script(
        [
            "ALTER TABLE files RENAME TO before",
            "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at, file_location TEXT,"
            " size_bytes INTEGER, archived BOOLEAN)",
            "INSERT INTO files SELECT uid, created_at, file_location, size_bytes, archived"
            " FROM before",
            "DROP TABLE before",
            "CREATE INDEX idx_files_created_archived ON files (created_at, archived)",
        ]
    )
    return database, table


def test_sqlite_keeps_anything_and_every_command_goes_on(
    untyped: tuple[TestDatabase, FilesTable], program: Program, project: Path
) -> None:
    database, table = untyped
    name_roots(write_config(project, database.url), table.root)
    for uid, value in SQLITE_ODD.items():
        add_odd(database, uid, value)
    add_odd(database, "packed once", "2024-01-40", archived=True)
    plan = program("migrate", "plan", "--output", "json").json
    assert plan["plan"]["seed"]["unseen"]["rows"] == len(SQLITE_ODD) + 1
    program("migrate", "up", "--yes")
    late = {f"late {uid}": value for uid, value in SQLITE_ODD.items()}
    for uid, value in late.items():
        add_odd(database, uid, value)
    assert program("run", expect=None).code in {0, 3}
    assert program("progress", "--output", "json").json["pending"]["files"] == 0
    for command in READING:
        done = program(*command.split(), expect=None)
        assert done.code in {0, 3, 4}, (command, done)
        assert clean(done.out + done.err), command
    asked = [*SQLITE_ODD, *late]
    held = program("archive", "has", *asked, "--output", "json", expect=4).json
    assert not [item["uid"] for item in held["files"] if item["found"]]
    assert database.value("SELECT COUNT(*) FROM des_archive_exception") == len(table.holes)
    found = problems(program("doctor", "--output", "json", expect=4).json)["created_at"]
    assert found["detail"].startswith(f"{2 * len(SQLITE_ODD) + 1} rows hold no time")
    shown = program(*found["hint"].split()[1:]).out
    assert "created_at" in shown
    program("migrate", "down", "--yes")
    after = flags(database)
    odd = SQLITE_ODD.keys() | late.keys() | {"packed once"}
    assert {uid for uid, archived in after.items() if not archived} == odd
    assert after.keys() - odd == table.rows.keys()
