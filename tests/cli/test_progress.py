"""`des-admin progress`: its numbers against plain SQL on the same data."""

import csv
import io
from datetime import datetime
from typing import Any

import pytest

from cli.conftest import Archive, Program
from support.database import TestDatabase, to_microseconds
from support.filesdata import FilesTableFactory

SEED = "2024-01-06T22:48:00.150461Z"


def sizes(archive: Archive, low: str, high: str) -> list[int]:
    start, end = datetime.fromisoformat(low), datetime.fromisoformat(high)
    rows = archive.table.rows.values()
    return [row.size_bytes for row in rows if start < row.created_at <= end]


def test_numbers_are_those_of_the_guides_sql(archive: Archive, program: Program) -> None:
    shown = program("progress", "--exact", "--output", "json").json
    until = f"(SELECT archived_until FROM {archive.config.quote('des_archive_config')})"
    [[files, oldest, newest, total]] = archive.source.rows(
        "SELECT COUNT(*), MIN(created_at), MAX(created_at), SUM(size_bytes)"
        f" FROM files WHERE created_at > {until}"
    )
    pending = shown["pending"]
    assert (pending["files"], pending["size_bytes"]) == (files, int(total))
    assert micro(pending["oldest"]) == to_microseconds(oldest)
    assert micro(pending["newest"]) == to_microseconds(newest)
    [[files, total]] = archive.source.rows(
        f"SELECT COUNT(*), SUM(size_bytes) FROM files WHERE created_at <= {until}"
    )
    assert (shown["archived"]["files"], shown["archived"]["size_bytes"]) == (files, int(total))
    assert shown["archived"]["precision"] == "exact"
    assert sum(item["files"] for item in shown["exceptions"]) == 3
    assert shown["eta_seconds"] is None


def micro(text: str) -> int | None:
    return to_microseconds(text)


def test_days_are_those_of_the_guides_sql(archive: Archive, program: Program) -> None:
    line = "progress --daily --days 3 --exact --output json"
    shown = program(*line.split()).json["days"]
    utc = "created_at AT TIME ZONE 'UTC'" if archive.source.kind == "postgres" else "created_at"
    expected = archive.source.rows(
        f"SELECT DATE({utc}), COUNT(*), SUM(size_bytes) FROM files"
        " WHERE created_at <= (SELECT archived_until FROM des_archive_config)"
        f" AND {utc} > '2024-01-03 22:48:00.150461'"
        f" GROUP BY DATE({utc}) ORDER BY 1 DESC LIMIT 3"
    )
    got = [(day["day"], day["files"], day["content_bytes"]) for day in shown]
    assert got == [(str(day), files, int(total)) for day, files, total in expected]


def test_small_windows_are_exact_without_asking(archive: Archive, program: Program) -> None:
    pending = program("progress", "--output", "json").json["pending"]
    assert pending["precision"] == "exact"
    assert pending["files"] == len(sizes(archive, SEED, "2024-02-01T00:00Z"))


def test_every_format(sqlite_archive: Archive, program: Program) -> None:
    table = program("progress").out
    assert "archived until" in table
    assert "pending_at_seed" in table
    assert "| --- | ---: |" in program("progress", "--format", "markdown").out
    rows: dict[str, Any] = dict(csv.reader(io.StringIO(program("progress", "--format", "csv").out)))
    assert rows["archived_until"] == SEED
    assert rows["pending.files"] == "80"
    assert rows["exceptions.pending_at_seed"] == "3"
    days = program("progress", "--daily", "--exact", "--format", "csv").out.splitlines()
    assert days[0] == "day,files,content_bytes,shard_bytes,shards"
    assert len(days) == 7


def test_without_tables_the_next_step_is_named(
    program: Program, configured: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(configured, rows=3)
    done = program("progress", "--output", "json", expect=12)
    assert "des-admin" in done.error["hint"]


def test_a_large_window_is_estimated_from_a_sample(
    archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("des_core.progress.SAMPLE_SIZE", 20)
    shown = program("progress", "--output", "json").json
    pending = shown["pending"]
    waiting = sizes(archive, SEED, "2024-02-01T00:00Z")
    assert pending["precision"] == "estimated"
    assert abs(pending["files"] - len(waiting)) <= 0.15 * len(waiting)
    assert 0.5 < pending["size_bytes"] / sum(waiting) < 2
    newest = max(row.created_at for row in archive.table.rows.values())
    assert datetime.fromisoformat(pending["newest"]) == newest
    text = program("progress").out
    assert "estimated; --exact counts" in text
