"""`des-admin progress`: its numbers against plain SQL on the same data."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Archive, Program, write_config
from des_core.migration.apply import upgrade
from des_core.settings.config_file import load_settings
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow, FilesTableFactory
from support.servers.database import TestDatabase, to_microseconds

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
    # The guide's query counts holes in; by the formula an open exception is not archived.
    [[files, total]] = archive.source.rows(
        f"SELECT COUNT(*), SUM(size_bytes) FROM files WHERE created_at <= {until} AND uid NOT IN"
        " (SELECT uid FROM des_archive_exception WHERE resolved_at IS NULL)"
    )
    assert (shown["archived"]["files"], shown["archived"]["size_bytes"]) == (files, int(total))
    assert shown["not_packed"] == 3
    assert shown["total"] == files + 3 + pending["files"]
    assert shown["archived"]["precision"] == "exact"
    assert sum(item["files"] for item in shown["exceptions"]) == 3
    assert shown["eta_seconds"] is None


ZONES = {"postgres": "+00:00", "mysql": "", "sqlite": ""}
GUIDE_CUTOFF = {
    "postgres": "date_trunc('day', (now() - INTERVAL '1 day' * lag_days) AT TIME ZONE 'UTC')",
    "mysql": "CAST(DATE(UTC_TIMESTAMP() - INTERVAL lag_days DAY) AS DATETIME(6))",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || lag_days || ' days',"
    " 'start of day')",
}


def test_every_number_in_the_middle_of_the_work(
    project: Path, database: TestDatabase, files_table: FilesTableFactory, program: Program
) -> None:
    """Packed, then rewound: the guide's queries with its upper bound, cut to the day."""
    first = datetime.now(UTC).date() - timedelta(days=14)
    files_table(database, rows=140, days=14, first_day=first, archived_days=3, holes=4)
    settings = load_settings(write_config(project, database.url), env={}).settings
    upgrade(settings, actor="tests")
    program("run")
    program("watermark", "rewind", "2d", "--yes")
    shown = program("progress", "--exact", "--output", "json").json
    now = datetime.fromisoformat(shown["now"])
    check_position(database, shown, now)
    check_pending(database, shown["pending"], now)
    check_packed(database, shown)
    week = check_pace(database, shown, now)
    sampled = program("progress", "--output", "json").json["arrivals"]
    assert (sampled["files"], sampled["precision"]) == (week, "exact")


def check_position(database: TestDatabase, shown: Any, now: datetime) -> None:
    cutoff = GUIDE_CUTOFF[database.kind]
    [[until, lag_days, target]] = database.rows(
        f"SELECT archived_until, lag_days, {cutoff} FROM des_archive_config WHERE id = 1"
    )
    assert micro(shown["archived_until"]) == to_microseconds(until)
    assert micro(shown["target"]) == to_microseconds(target) == micro(day_text(now, 7))
    assert shown["lag_days"] == lag_days == 7
    behind = (to_microseconds(target) or 0) - (to_microseconds(until) or 0)
    assert shown["behind_seconds"] * 1_000_000 == behind == 2 * 86_400_000_000


def check_pending(database: TestDatabase, pending: Any, now: datetime) -> None:
    bound = day_text(now, 7).replace("Z", ZONES[database.kind])
    [row] = database.rows(
        "SELECT COUNT(*), SUM(size_bytes), MIN(created_at), MAX(created_at) FROM files"
        " WHERE created_at > (SELECT archived_until FROM des_archive_config)"
        f" AND created_at <= '{bound}'"
    )
    assert (pending["files"], pending["size_bytes"]) == (row[0], int(row[1]))
    oldest, newest = (to_microseconds(moment) for moment in row[2:])
    assert (micro(pending["oldest"]), micro(pending["newest"])) == (oldest, newest)


def check_packed(database: TestDatabase, shown: Any) -> None:
    packed, [cycle] = shown["packed"], shown["last_cycles"]
    sums = "SUM(content_bytes), SUM(size_bytes), SUM(files)"
    [row] = database.rows(f"SELECT {sums} FROM des_archive_shard")
    names = ("content_bytes", "shard_bytes", "files")
    assert [packed[name] for name in names] == [int(value) for value in row]
    assert packed["slices"] == database.value("SELECT COUNT(*) FROM des_archive_slice")
    sums = "COUNT(*), SUM(files_out), SUM(files_failed), SUM(bytes_in), SUM(bytes_out)"
    [row] = database.rows(f"SELECT {sums} FROM des_archive_slice")
    names = ("slices", "files", "files_failed", "content_bytes", "shard_bytes")
    assert [cycle[name] for name in names] == [int(value) for value in row]


def check_pace(database: TestDatabase, shown: Any, now: datetime) -> int:
    since = (now - timedelta(days=7)).replace(tzinfo=None).isoformat(" ", "microseconds")
    week = database.value(
        f"SELECT COUNT(*) FROM files WHERE created_at > '{since}{ZONES[database.kind]}'"
    )
    assert shown["arrivals"]["files"] == week > 50
    arriving, packing = shown["arriving_files_per_second"], shown["files_per_second"]
    assert arriving == pytest.approx(week / (7 * 86_400), rel=1e-3)
    waiting = shown["pending"]["files"]
    assert shown["keeps_up"] is True
    assert shown["eta_seconds"] == pytest.approx(waiting / packing, rel=1e-3)
    assert shown["catch_up_seconds"] == pytest.approx(waiting / (packing - arriving), rel=1e-3)
    return int(week)


def day_text(now: datetime, days_ago: int) -> str:
    day = now.date() - timedelta(days=days_ago)
    return f"{day} 00:00:00.000000Z"


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
    monkeypatch.setattr("des_core.rows.amounts.SAMPLE_SIZE", 20)
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


def test_an_import_of_one_moment_is_neither_nothing_nor_everything(
    sqlite_archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rows with one created_at say nothing of how many come after them."""
    archive = sqlite_archive
    archive.source.execute("DELETE FROM files WHERE created_at > '2024-01-07'")
    moment = datetime(2024, 1, 8, tzinfo=UTC)
    tied = [FileRow(f"tied-{n}", moment, f"/nowhere/{n}", 1) for n in range(12_000)]
    insert_rows(archive.source, tied, archive.table.spec.shape)
    assert pending_files(program) == 12_000
    later = FileRow("later", datetime(2024, 3, 1, tzinfo=UTC), "/nowhere/later", 1)
    insert_rows(archive.source, [later], archive.table.spec.shape)
    assert pending_files(program) == 12_001
    monkeypatch.setattr("des_core.rows.amounts.CROWD_SIZE", 5000)
    assert 5000 < pending_files(program) <= 12_001


def test_what_is_no_size_adds_up_to_nothing(archive: Archive, program: Program) -> None:
    archive.source.execute("UPDATE files SET size_bytes = -7 WHERE created_at > '2024-01-05'")
    assert program("progress", "--output", "json").json["pending"]["size_bytes"] == 0
    assert ", 0 B" in program("run", "--dry-run").out


def pending_files(program: Program) -> int:
    return int(program("progress", "--output", "json").json["pending"]["files"])


def test_arrivals_are_estimated_from_small_samples(
    archive: Archive, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from des_core.database.connections import open_database
    from des_core.progress import pace
    from des_core.rows.reader import SourceReader

    monkeypatch.setattr(pace, "ARRIVAL_SAMPLE", 3)
    database = open_database(archive.source.url)
    reader = SourceReader(database, archive.settings.database)
    arrivals = pace.read_arrivals(reader, datetime(2024, 1, 10, tzinfo=UTC))
    database.close()
    assert arrivals.precision == "estimated"
    assert arrivals.files == pytest.approx(140, rel=0.2)


@pytest.mark.parametrize(
    ("packing", "arriving", "words"),
    [
        (0.001, 10, "never at this rate"),
        (10.0, 10, "never at this rate"),
        (25.0, 10, "2.5 times as fast"),
        (5e6, 10, "more than a hundred times"),
        (25.0, 0, "nothing comes in"),
        (None, 10, "not known before something was packed"),
    ],
)
def test_whether_it_catches_up(
    packing: float | None,
    arriving: int,
    words: str,
    sqlite_archive: Archive,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from des_core.progress import pace
    from des_core.rows.amounts import Amount, Precision

    week = Amount(arriving * 7 * 86_400, None, Precision.EXACT)
    monkeypatch.setattr(pace, "_rates", lambda newest: (packing, packing))
    monkeypatch.setattr("des_core.progress.now.read_arrivals", lambda *args, **kinds: week)
    assert words in program("progress").out
    shown = program("progress", "--output", "json").json
    assert shown["keeps_up"] == (None if packing is None else packing > arriving)
    is_reached = packing is not None and packing > arriving
    assert (shown["catch_up_seconds"] is not None) == is_reached
