"""Connections that a script opened in its own way, is in the middle of, or interrupts."""

import asyncio
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pymysql
import pytest
from psycopg.rows import dict_row

from db.test_field_settings import add_odd_uids
from db.test_guide_script import state_of
from des_core.basics.errors import ConfigError, DatabaseUnreachable, UsageError
from des_core.database.borrowed import left_as_it_was
from des_core.database_source import SourceDatabaseConfig
from des_core.packer_planner import PackerConfig
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator import WatermarkMigrationOrchestrator


def orchestrate(connection: Any, database: TestDatabase, out: Path) -> Any:
    return WatermarkMigrationOrchestrator(
        db_connection=connection,
        config_connection=connection,
        source_config=SourceDatabaseConfig(dsn=database.url, lag_days=7, page_size=1000),
        packer_config=PackerConfig(output_dir=str(out), n_bits=4, workers=1),
    )


def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


# What a script may set on its connection, so that rows and texts come in another form.
FORMS: dict[str, dict[str, Any]] = {
    "sqlite": {"row_factory": by_name, "text_factory": bytes},
    "postgres": {"row_factory": dict_row, "cursor_factory": psycopg.ClientCursor},
    "mysql": {
        "cursorclass": pymysql.cursors.SSDictCursor,
        "use_unicode": False,
        "decoders": {},
    },
}


def test_rows_in_the_form_that_a_script_likes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=20, days=5)
    add_odd_uids(table)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    if database.kind == "mysql":
        connection.set_character_set("latin1", "latin1_german1_ci")
    before = state_of(connection, database)
    connection.rollback()
    for name, value in FORMS[database.kind].items():
        setattr(connection, name, value)
    used = orchestrate(connection, database, tmp_path / "out")
    asyncio.run(used.initialize())
    assert asyncio.run(used.get_pending_stats())["pending_files"] == len(table.rows)
    assert asyncio.run(used.run_cycle()).files_out == len(table.rows)
    for name, value in FORMS[database.kind].items():
        assert getattr(connection, name) == value
        plain = {"row_factory": None, "text_factory": str}.get(name)
        setattr(connection, name, plain or getattr(database.connect(), name))
    assert state_of(connection, database) == before
    if database.kind == "mysql":
        assert (connection.charset, connection.collation) == ("latin1", "latin1_german1_ci")
    assert check_truth(table, database, tmp_path / "out") == {}


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_times_in_the_form_that_a_script_likes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Without a zone, as many scripts want them: the watermark would be hours off."""

    class Local(psycopg.types.datetime.TimestamptzLoader):
        def load(self, data: Any) -> datetime:
            return super().load(data).astimezone(ZoneInfo("Asia/Kathmandu")).replace(tzinfo=None)

    table = files_table(database, rows=20, days=5)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    connection.adapters.register_loader("timestamptz", Local)
    used = orchestrate(connection, database, tmp_path / "out")
    assert asyncio.run(used.run_cycle()).files_out == len(table.rows)
    assert check_truth(table, database, tmp_path / "out") == {}
    [[now]] = connection.execute("SELECT now()").fetchall()
    assert now.tzinfo is None


def test_what_a_script_has_not_committed_is_neither_committed_nor_lost(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=20, days=5)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    used = orchestrate(connection, database, tmp_path / "out")
    connection.cursor().execute("UPDATE files SET size_bytes = size_bytes + 1")
    for call in (used.initialize, used.get_pending_stats, used.run_cycle):
        with pytest.raises(UsageError, match="middle of a transaction"):
            asyncio.run(call())
    grown = "SELECT COUNT(*) FROM files WHERE size_bytes > :size"
    size = database.value("SELECT MAX(size_bytes) FROM files")
    assert database.value(grown, {"size": size}) == 0
    connection.commit()
    assert database.value(grown, {"size": size}) > 0
    assert asyncio.run(used.get_pending_stats())["pending_files"] == 20


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_transaction_that_has_only_read_is_no_hindrance(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Which psycopg begins at the first SELECT, and a failed one; but not a block of its own."""
    files_table(database, rows=20, days=5)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    used = orchestrate(connection, database, tmp_path / "out")
    connection.execute("SELECT COUNT(*) FROM files")
    assert asyncio.run(used.get_pending_stats())["pending_files"] == 20
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM nowhere")
    assert asyncio.run(used.get_pending_stats())["pending_files"] == 20
    connection.autocommit = True
    with connection.transaction():
        connection.execute("SELECT COUNT(*) FROM files")
        with pytest.raises(UsageError, match="middle of a transaction"):
            asyncio.run(used.run_cycle())
    assert asyncio.run(used.run_cycle()).files_out == 20


def test_a_connection_that_is_closed(database: TestDatabase, tmp_path: Path) -> None:
    connection = database.connect()
    connection.close()
    with pytest.raises(DatabaseUnreachable, match="handed in"):
        asyncio.run(orchestrate(connection, database, tmp_path / "out").initialize())


def test_a_connection_to_a_database_that_is_busy_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "busy.db"
    with closing(sqlite3.connect(path)) as other, closing(sqlite3.connect(path, timeout=0)) as own:
        other.execute("CREATE TABLE made (a)")
        other.execute("BEGIN EXCLUSIVE")
        own.row_factory, own.text_factory, own.isolation_level = sqlite3.Row, bytes, "IMMEDIATE"
        with pytest.raises(DatabaseUnreachable, match="locked"), left_as_it_was(own):
            pass
        found = (own.row_factory, own.text_factory, own.isolation_level)
        assert found == (sqlite3.Row, bytes, "IMMEDIATE")


def test_connections_of_other_kinds_are_refused(tmp_path: Path) -> None:
    class Mine(sqlite3.Connection):
        """A connection of sqlite3 all the same."""

    class Strange:
        def commit(self) -> None: ...

    path = tmp_path / "files.db"
    refused: Callable[[Any], Any] = lambda raw: asyncio.run(  # noqa: E731
        WatermarkMigrationOrchestrator(
            db_connection=raw,
            config_connection=raw,
            source_config=SourceDatabaseConfig(dsn=f"sqlite:///{path}"),
            packer_config=PackerConfig(output_dir=str(tmp_path)),
        ).initialize()
    )
    for raw in (Strange(), psycopg.AsyncConnection.__new__(psycopg.AsyncConnection)):
        with pytest.raises(ConfigError, match="cannot be used"):
            refused(raw)
    own = sqlite3.connect(path, factory=Mine)
    with pytest.raises(Exception, match="no table files"):
        refused(own)
    own.close()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_an_interrupt_in_the_middle_of_a_statement(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """The driver cancels it; the connection is open, and the archive is not locked."""
    files_table(database, rows=20, days=5)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    used = orchestrate(connection, database, tmp_path / "out")
    before = state_of(connection, database)
    in_the_way = database.connect()
    in_the_way.execute("LOCK TABLE des_archive_config")
    waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = :pid"
    pid = connection.info.backend_pid

    def interrupt() -> None:
        while not database.value(waiting, {"pid": pid}):
            pass
        os.kill(os.getpid(), signal.SIGINT)  # asyncio only makes a note of the first
        threading.Event().wait(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(used.run_cycle())
    thread.join()
    in_the_way.rollback()
    assert state_of(connection, database) == before
    assert asyncio.run(used.run_cycle()).files_out == 20


def test_an_interrupt_between_two_statements(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, rows=20, days=5)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    used = orchestrate(connection, database, tmp_path / "out")
    before = state_of(connection, database)
    connection.rollback()

    def interrupt(_event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(used.run_cycle(progress=interrupt))
    assert state_of(connection, database) == before
    connection.rollback()
    assert asyncio.run(used.run_cycle()).files_out == 20
