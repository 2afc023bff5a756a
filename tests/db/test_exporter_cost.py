"""What the exporter reads does not grow with the archive; databases may come and go."""

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from des_core.metrics.exporter import LAST_READ_S, Exporter
from des_core.settings.config import Settings
from support.pages.endpoints import exporter, scrape, wait_until
from support.program.archive import make_archive
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.mysql import MySqlServer
from support.servers.postgres import PostgresServer, wait_for_statistics

FILES_PER_DAY = 50
WAITING_DAYS = 4


def fill(
    database: TestDatabase, files_table: FilesTableFactory, directory: Path, days: int
) -> Settings:
    """So many days of files, of which the last four wait; the table is analysed."""
    first = datetime.now(UTC).date() - timedelta(days=days + 10)
    files_table(
        database,
        rows=days * FILES_PER_DAY,
        days=days,
        first_day=first,
        archived_days=days - WAITING_DAYS,
        files=False,
    )
    settings = make_archive(database, directory / "shards")
    database.execute("ANALYZE TABLE files" if database.kind == "mysql" else "ANALYZE files")
    return settings


def postgres_rows_read(database: TestDatabase, read: Callable[[], None]) -> int:
    """Rows of `files` that were looked at, by the server's own counters."""
    counters = (
        "SELECT seq_scan, seq_tup_read, idx_scan, coalesce(idx_tup_fetch, 0)"
        " FROM pg_stat_user_tables WHERE relname = 'files'"
    )
    index_reads = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'files'"
    wait_for_statistics(database)
    [before] = database.rows(counters)
    rows_before = int(database.value(index_reads))
    read()
    wait_for_statistics(database)
    [after] = database.rows(counters)
    assert after[:2] == before[:2], "files was scanned"
    assert after[2] > before[2], "the index was not used"
    return int(database.value(index_reads)) - rows_before


def mysql_rows_read(database: TestDatabase, read: Callable[[], None]) -> int:
    """Rows that the server handed over, by its own counters, our own tables' rows among them."""
    counters = (
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_next', 'Handler_read_prev')"
    )

    def count() -> int:
        return sum(int(value) for _, value in database.rows(counters))

    before = count()
    read()
    return count() - before


def sqlite_steps(read: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    """Steps of SQLite's virtual machine, in hundreds."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connect = sqlite3.connect

    def counted(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[arg-type, call-overload]
        connection.set_progress_handler(count, 100)
        return connection

    monkeypatch.setattr("sqlite3.dbapi2.connect", counted)
    monkeypatch.setattr("sqlite3.connect", counted)
    read()
    monkeypatch.undo()
    return steps


def test_an_archive_twenty_times_as_large_costs_no_more_to_read(
    make_database: Callable[[str], TestDatabase],
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = []
    for days, each in ((20, database), (400, make_database(database.server))):
        settings = fill(each, files_table, tmp_path / str(days), days)
        exporter = Exporter(settings)

        def read(exporter: Exporter = exporter) -> None:
            assert exporter.read_once() is None
            exporter.close()

        read()
        waiting = exporter.current().get("des_migration_pending_files")
        assert waiting == WAITING_DAYS * FILES_PER_DAY
        if each.kind == "postgres":
            costs.append(postgres_rows_read(each, read))
        elif each.kind == "mysql":
            costs.append(mysql_rows_read(each, read))
        else:
            costs.append(sqlite_steps(read, monkeypatch))
    small, large = costs
    assert 0 < large <= small * 1.1 + 10


@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_the_exporter_survives_a_restart_of_the_database(
    server: str,
    private_postgres: Callable[..., PostgresServer],
    private_mysql: Callable[..., MySqlServer],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    running = private_postgres() if server == "postgres" else private_mysql(server)
    database = database_on(running)
    settings = fill(database, files_table, tmp_path, 20)
    exporter = Exporter(settings)
    assert exporter.read_once() is None
    files = exporter.current().get("des_migration_pending_files")

    running.kill9()
    problem = exporter.read_once()
    assert problem is not None
    assert "cannot be reached" in problem
    down = exporter.current()
    assert down.get("des_database_up", "config") == 0
    assert down.get("des_migration_pending_files") == files, "the last value stays"
    assert exporter.health.live() is None

    running.start()
    assert exporter.read_once() is None
    up = exporter.current()
    assert up.get("des_database_up", "config") == 1
    assert up.get("des_exporter_failed_reads_total") == 1
    assert time.time() - (up.get("des_exporter_last_read_timestamp_seconds") or 0) < 60
    exporter.close()


def test_a_server_that_never_answers_does_not_hold_up_the_end(
    private_postgres: Callable[[], PostgresServer], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    server = private_postgres()
    config = write_config(fill(database_on(server), files_table, tmp_path, 20), tmp_path / "c.yaml")
    with exporter(config) as (url, process):
        wait_until(lambda: "des_migration_pending_files " in scrape(url))
        with frozen(server):
            wait_until(lambda: time.time() - last_read(url) > 1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LAST_READ_S + 20) == 143


def last_read(url: str) -> float:
    """When the exporter last read everything, as it serves it."""
    found = re.search(r"^des_exporter_last_read_timestamp_seconds (\S+)$", scrape(url), re.M)
    assert found
    return float(found[1])


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """All processes of the server stand still, the first one first: it starts no others then."""
    os.kill(server.pid, signal.SIGSTOP)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for pid in map(int, children):
        os.kill(pid, signal.SIGSTOP)  # who has ended is a zombie, as long as nobody asks for it
    try:
        yield
    finally:
        for pid in (server.pid, *map(int, children)):
            os.kill(pid, signal.SIGCONT)
