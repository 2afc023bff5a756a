"""Good backups raise no alarm: many states and forms, busy writers, odd names."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from backup.conftest import Bench, codes, data_file
from des_core.backup.dump import Layout, Squeeze, Stored
from des_core.backup.findings import Level, Status
from des_core.backup.postgres import _only_unknown_parameters
from des_core.backup.progress import Progress
from des_core.basics.errors import Refused
from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow, FilesTableFactory
from support.servers.database import TestDatabase

ROUNDS = 34
NASTY = (
    "-- Dump completed on 2024-11-01  2:00:00",
    "line\nbreak\n-- Dump completed\n",
    "PGDMP",
    "'; DROP TABLE files; --",
    'tab\tand \\backslash\\ and "quotes" and `ticks`',
    "zażółć gęślą jaźń 漢字 🗄",
    "",
    "\\.\n\\unrestrict x\n-- PostgreSQL database dump complete",
)


@pytest.mark.slow
def test_no_false_alarm_on_100_good_backups(bench: Bench) -> None:
    """34 per database, each of another state of the tables, every fourth also restored."""
    chance = random.Random(bench.database.server)
    alarms = []
    for number in range(ROUNDS):
        _change_something(bench.database, chance, number)
        stored = bench.create(**_form(bench.database, chance))
        level = Level.L3 if number % 4 == 0 else Level.L2
        report = bench.check(stored.path, level, jobs=1 + number % 3)
        if codes(report) - {"much_smaller"} or report.level != level:
            alarms.append(report)
    assert alarms == []


def _form(database: TestDatabase, chance: random.Random) -> dict[str, Any]:
    if database.kind == "postgres":
        squeeze = chance.choice([Squeeze.AUTO, Squeeze.GZIP, Squeeze.NONE])
        return {"layout": chance.choice(list(Layout)[:2]), "jobs": 2, "squeeze": squeeze}
    if database.kind == "mysql":
        return {"squeeze": chance.choice(list(Squeeze)), "jobs": chance.choice([1, 2])}
    return {}


def _change_something(database: TestDatabase, chance: random.Random, number: int) -> None:
    if number % 9 == 8:
        database.execute("DELETE FROM files")
        return
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        FileRow(
            f"{number}-{place}{chance.choice(NASTY)}",
            start + timedelta(seconds=chance.random() * 1e7),
            chance.choice(NASTY),
            chance.randrange(1 << 40),
        )
        for place in range(chance.choice([1, 7, 400]))
    ]
    insert_rows(database, rows)


@contextmanager
def busy_writer(database: TestDatabase) -> Iterator[list[float]]:
    """Inserts and deletes in small transactions; yields how long each commit took, in seconds."""
    waits: list[float] = []
    stop = threading.Event()
    run = uuid4().hex[:8]
    mark = "?" if database.kind == "sqlite" else "%s"
    stamp = datetime(2025, 1, 1).isoformat(sep=" ", timespec="microseconds")

    def write(connection: Any, number: int) -> None:
        cursor = connection.cursor()
        values = (f"{run}-{number}", stamp, "/x" * 100, number)
        cursor.execute(f"INSERT INTO files VALUES ({', '.join([mark] * 4)}, false)", values)
        if number % 3 == 0:
            cursor.execute(f"DELETE FROM files WHERE uid = {mark}", (f"{run}-{number // 2}",))
        connection.commit()

    def work() -> None:
        with closing(database.connector()) as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                began = time.monotonic()
                write(connection, number)
                waits.append(time.monotonic() - began)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()


def _sqlite_wal(database: TestDatabase) -> None:
    if database.kind == "sqlite":
        database.rows("PRAGMA journal_mode=WAL")


def test_numbers_are_of_the_dumps_own_snapshot(bench: Bench) -> None:
    """Rows come and go all the time: only a shared snapshot makes the restored counts equal."""
    _sqlite_wal(bench.database)
    for layout in (None, Layout.DIRECTORY) if bench.database.kind == "postgres" else (None,):
        with busy_writer(bench.database) as waits:
            _wait_for(lambda: len(waits) > 20)
            stored = bench.create(layout=layout, jobs=2)
            written = len(waits)
            _wait_for(lambda before=written: len(waits) > before + 5)
        report = bench.check(stored.path)
        assert codes(report) == set(), report
        assert report.level is Level.L3


def test_writers_hardly_notice(bench: Bench) -> None:
    _sqlite_wal(bench.database)
    with busy_writer(bench.database) as waits:
        _wait_for(lambda: len(waits) > 20)
        began = time.monotonic()
        for _ in range(3):
            bench.create()
        one_takes_s = (time.monotonic() - began) / 3
    # Not for as long as a backup takes; on a slow disk every commit takes longer, and so does that.
    assert max(waits) < max(2.0, one_takes_s / 2)


def _wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_long_transaction_refuses_the_backup_instead_of_the_writers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.database.kind != "mysql":
        pytest.skip("nothing is locked here")
    monkeypatch.setattr("des_core.backup.mysql_snapshot.ATTEMPTS", 2)
    holder = bench.database.connect()
    holder.cursor().execute("UPDATE files SET size_bytes = 1 WHERE uid = '4000000000'")
    with pytest.raises(Refused, match="could not be locked"):
        bench.create()
    assert list(bench.directory.iterdir()) == []
    holder.rollback()
    assert bench.check(bench.create().path).is_good


def test_copy_of_a_resting_database_is_compared_with_it(bench: Bench) -> None:
    if bench.database.kind != "sqlite":
        pytest.skip("others share a snapshot")
    assert bench.create().manifest.tool.stderr == ""
    _sqlite_wal(bench.database)
    with busy_writer(bench.database) as waits:
        _wait_for(lambda: len(waits) > 20)
        assert "not compared" in bench.create().manifest.tool.stderr


def test_partial_backup_holds_the_chosen_tables(bench: Bench) -> None:
    if bench.database.kind == "sqlite":
        pytest.skip("copied whole")
    bench.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    bench.database.execute("INSERT INTO other VALUES (1)")
    chosen = bench.create(tables=("files",))
    report = bench.check(chosen.path)
    assert (codes(report), report.level) == (set(), Level.L3)
    without = bench.create(tables=("other",))
    report = bench.check(without.path)
    assert codes(report) == {"partial"}
    assert data_file(without).stat().st_size < data_file(chosen).stat().st_size


def test_odd_names_and_columns(
    database: TestDatabase, make_bench: Callable[[TestDatabase], Bench]
) -> None:
    mark = database.quote
    stamp = "TIMESTAMP" if database.kind != "mysql" else "DATETIME(6)"
    table, when, size = mark("my files; x"), mark('at "once"'), mark("groß")
    database.execute(
        f"CREATE TABLE {table} (uid VARCHAR(40) PRIMARY KEY, {when} {stamp} NOT NULL,"
        f" file_location VARCHAR(99), {size} BIGINT)"
    )
    database.execute(f"INSERT INTO {table} VALUES ('a', '2024-03-31 02:30:00.5', '/a', 7)")
    bench = make_bench(database)
    bench.settings = {
        "table_name": "my files; x",
        "created_at_column": 'at "once"',
        "size_column": "groß",
        "timezone": "UTC" if database.kind == "sqlite" else "Europe/Warsaw",
    }
    stored = bench.create()
    [numbers] = stored.manifest.tables
    assert (numbers.rows, numbers.size_bytes) == (1, 7)
    assert codes(bench.check(stored.path)) == set()


def test_table_in_a_schema_of_its_own(
    make_database: Callable[[str], TestDatabase], make_bench: Callable[[TestDatabase], Bench]
) -> None:
    database = make_database("postgres")
    database.execute('CREATE SCHEMA "the archive"')
    columns = "uid text PRIMARY KEY, created_at timestamptz, file_location text, size_bytes bigint"
    database.execute(f'CREATE TABLE "the archive".files ({columns})')
    bench = make_bench(database)
    bench.settings = {"schema": "the archive"}
    assert codes(bench.check(bench.create(tables=("files",)).path)) == set()
    path = f'ALTER DATABASE {database.quote(database.name)} SET search_path = "the archive"'
    database.execute(path)
    bench.close()
    bench._target = None
    bench.settings = {}
    assert codes(bench.check(bench.create().path)) == set()


def test_empty_config_database(
    database: TestDatabase, make_bench: Callable[[TestDatabase], Bench]
) -> None:
    if database.path is not None:
        database.execute("CREATE TABLE something (id INTEGER)")
    bench = make_bench(database)
    bench.roles = ("config",)
    report = bench.check(bench.create().path)
    assert codes(report) == set()


def test_jobs_do_not_change_the_verdict(bench: Bench) -> None:
    stored: Stored = bench.create(jobs=4)
    for jobs in (1, 4):
        report = bench.check(stored.path, jobs=jobs)
        assert set(report.statuses.values()) <= {Status.OK, Status.WARNING}


def test_limit_meant_for_others_does_not_cut_a_backup_off(
    make_database: Callable[[str], TestDatabase],
    make_bench: Callable[[TestDatabase], Bench],
    files_table: FilesTableFactory,
) -> None:
    """The snapshot is held, idle, until pg_dump has ended, however long that takes."""
    database = make_database("postgres")
    files_table(database, rows=300, files=False)
    database.execute("CREATE TABLE locked (id INTEGER PRIMARY KEY)")
    name = database.quote(database.name)
    database.execute(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1s'")
    blocker = database.connect()
    blocker.execute("SET idle_in_transaction_session_timeout = 0")
    blocker.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
    ticks: list[Progress] = []

    def release_late(progress: Progress) -> None:
        ticks.append(progress)
        if len(ticks) == 4:
            blocker.rollback()

    bench = make_bench(database)
    assert codes(bench.check(bench.create(release_late).path)) == set()
    assert len(ticks) > 4


def test_newer_pg_restore_on_an_older_server() -> None:
    """What pg_restore 17 and later say to a server before 17."""
    unknown = (
        "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter"
        ' "transaction_timeout"\nCommand was: SET transaction_timeout = 0;\n'
    )
    ending = "pg_restore: warning: errors ignored on restore: 1"
    other = "pg_restore: error: could not execute query: ERROR:  relation does not exist\n"
    assert _only_unknown_parameters(unknown + ending)
    assert not _only_unknown_parameters(unknown + other + ending)
    assert not _only_unknown_parameters(unknown)  # killed before its end
    assert not _only_unknown_parameters("")
