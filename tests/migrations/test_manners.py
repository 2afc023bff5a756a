"""Beside live sessions: short waits, blockers named, work that was cut off repaired."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from des_core.basics.errors import Refused
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice, open_migration
from des_core.migration.state.tables import find_created_at_index
from support.program.migrating import index_names, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
PATIENT = {"lock_timeout": 1.0}


class Holder:
    """A session that read `files` and has not ended its transaction, until it is told to."""

    def __init__(self, database: TestDatabase, *, keeps_snapshot: bool = False) -> None:
        self.connection = database.connect()
        cursor = self.connection.cursor()
        if database.kind == "postgres":
            cursor.execute("BEGIN" + " ISOLATION LEVEL REPEATABLE READ" * keeps_snapshot)
        else:
            cursor.execute("START TRANSACTION")
        cursor.execute("SELECT COUNT(uid) FROM files")
        cursor.fetchall()

    def let_go(self) -> None:
        self.connection.rollback()


def longest_select_s(database: TestDatabase, stop: threading.Event) -> float:
    """Another client, reading one row again and again: its longest wait."""
    connection = database.connector()
    longest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        cursor = connection.cursor()
        cursor.execute("SELECT uid FROM files WHERE uid = 'doc-0000001.txt'")
        cursor.fetchall()
        connection.rollback()
        longest = max(longest, time.monotonic() - began)
        stop.wait(0.02)
    connection.close()
    return longest


@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_an_open_transaction_is_named_and_outlasted(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, server: str
) -> None:
    database = make_database(server)
    files_table(database, 60, days=5, archived_days=3, files=False)
    settings = settings_for(database, migration=PATIENT)
    upgrade(settings)
    holder = Holder(database)
    waits: list[str] = []

    def listen(notice: Notice) -> None:
        if notice.text.startswith("waiting"):
            waits.append(notice.text)
            if len(waits) == 2:
                holder.let_go()

    stop, found = threading.Event(), list[float]()
    client = threading.Thread(target=lambda: found.append(longest_select_s(database, stop)))
    client.start()
    try:
        upgrade(settings, options=DROP, report=listen)
    finally:
        stop.set()
        client.join()
    assert len(waits) >= 2
    assert "session" in waits[0]
    # One second of lock_timeout; the rest is what a busy machine takes to answer.
    assert found[0] < 1.0 + 3.0
    assert all(row[4] is None for row in canonical_rows(database))


@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_blockers_stand_in_the_plan(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, server: str
) -> None:
    database = make_database(server)
    files_table(database, 10, days=1, files=False)
    holder = Holder(database)
    plan = make_plan(settings_for(database), direction=Direction.UP)
    assert len(plan.blockers) == 1
    assert "session" in str(plan.blockers[0])
    holder.let_go()


@pytest.mark.postgres
def test_what_a_cut_off_build_left_is_repaired(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> None:
    database = make_database("postgres")
    files_table(database, 40, days=4, archived_days=2, files=False)
    settings = settings_for(database)
    _break_build(database, "CREATE INDEX CONCURRENTLY idx_files_created_at ON files (created_at)")
    with open_migration(settings) as migration:
        assert find_created_at_index(migration) is None
    plan = make_plan(settings, direction=Direction.UP)
    assert "drop_leftover" in {statement.step for statement in plan.statements}
    upgrade(settings)
    with open_migration(settings) as migration:
        index = find_created_at_index(migration)
    assert index is not None
    assert index.name == "idx_files_created_at"
    downgrade(settings)
    database.execute("DROP INDEX idx_files_created_archived")
    upgrade(settings)
    _break_build(
        database,
        "CREATE INDEX CONCURRENTLY idx_files_created_archived ON files (created_at, archived)",
    )
    downgrade(settings)
    definition = database.value(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_files_created_archived'"
    )
    assert "WHERE (archived = false)" in definition
    assert database.value("SELECT bool_and(indisvalid) FROM pg_index")


def test_an_equal_index_of_another_name_is_used(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute("CREATE INDEX by_time ON files (created_at, uid)")
    settings = settings_for(database)
    upgrade(settings, options=DROP)
    assert index_names(database) == {"by_time"}
    downgrade(settings)
    assert index_names(database) == {"by_time", "idx_files_created_archived"}


def test_an_index_that_was_there_before_stays(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute("CREATE INDEX idx_files_created_at ON files (created_at)")
    settings = settings_for(database)
    upgrade(settings)
    downgrade(settings)
    assert "idx_files_created_at" in index_names(database)


def test_a_name_that_is_taken_is_refused(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute("CREATE INDEX idx_files_created_at ON files (size_bytes)")
    with pytest.raises(Refused, match="does not do what is needed"):
        upgrade(settings_for(database))
    assert "des_archive_slice" not in database.table_names()


def _break_build(database: TestDatabase, statement: str) -> None:
    """Leave an invalid index: the build waits for an open transaction and is ended there."""
    holder = Holder(database, keeps_snapshot=True)
    builder = database.connect()
    builder.autocommit = True
    pid = builder.info.backend_pid

    def build() -> None:
        with pytest.raises(Exception, match="terminat"):
            builder.execute(statement)

    thread = threading.Thread(target=build)
    thread.start()
    watcher: Any = database.connect()
    watcher.autocommit = True
    waiting = (
        "SELECT 1 FROM pg_stat_progress_create_index WHERE pid = %s AND phase LIKE 'waiting%%old%%'"
    )
    while watcher.execute(waiting, (pid,)).fetchone() is None:
        assert thread.is_alive()
    watcher.execute("SELECT pg_terminate_backend(%s)", (pid,))
    thread.join()
    holder.let_go()
