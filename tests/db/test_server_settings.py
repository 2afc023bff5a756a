"""What a server, a role or a database has set: set aside, or refused by name before all else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from des_core.basics.errors import DatabaseUnreachable, Refused
from des_core.checks import Check, Status, examine
from des_core.database.connections import open_database
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive, make_settings
from support.program.migrating import rows_by_formula
from support.rows.filesdata import FilesTable, FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

PRODUCTS = pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@contextmanager
def set_globally(database: TestDatabase, name: str, value: str) -> Iterator[None]:
    """For every session that begins in the block."""
    database.execute(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        database.execute(f"SET GLOBAL {name} = DEFAULT")


@contextmanager
def set_for_database(database: TestDatabase, **settings: str) -> Iterator[None]:
    """What a DBA says with ALTER DATABASE; roles are told in the same way."""
    for name, value in settings.items():
        database.execute(f"ALTER DATABASE {database.name} SET {name} = '{value}'")
    try:
        yield
    finally:
        connection = database.connect()
        connection.execute("SET default_transaction_read_only = off")
        connection.commit()
        connection.execute(f"ALTER DATABASE {database.name} RESET ALL")
        connection.commit()


def live_there_and_back(table: FilesTable, database: TestDatabase, settings: Settings) -> None:
    upgrade(settings)
    with open_archive(settings) as archive:
        report = run_cycle(archive)
    assert report.files_out > 0
    assert check_truth(table, database, Path(settings.packer.output_dir)) == {}
    expected = rows_by_formula(database, database)
    downgrade(settings)
    assert canonical_rows(database) == expected


def check_named(settings: Settings, name: str) -> Check:
    [found] = [check for check in examine(settings) if check.name == name]
    return found


MODES = [
    ("mariadb", "ANSI_QUOTES"),
    ("mariadb", "ANSI"),
    ("mariadb", "ORACLE"),
    ("mysql", "ANSI"),
    ("mysql", "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES"),
]


@pytest.mark.parametrize(("database", "mode"), MODES, indirect=["database"])
def test_a_mode_that_quotes_with_another_mark(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, mode: str
) -> None:
    """SQLAlchemy learns how to quote from the first connection, whatever comes after it."""
    table = files_table(database, 120, days=10, archived_days=4)
    settings = make_settings(database, tmp_path / "out")
    with set_globally(database, "sql_mode", f"'{mode}'"):
        live_there_and_back(table, database, settings)


@pytest.mark.parametrize("product", ["mariadb", "mysql"])
def test_a_binary_log_of_statements_is_refused_before_anything_is_made(
    product: str,
    private_mysql: Callable[..., object],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    server = private_mysql(product, log_bin="binlog", binlog_format="STATEMENT", server_id="1")
    database = database_on(server)  # type: ignore[arg-type]
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    for work in (lambda: make_plan(settings, direction=Direction.UP), lambda: upgrade(settings)):
        with pytest.raises(Refused, match="binlog_format = STATEMENT") as caught:
            work()
        assert "ROW" in str(caught.value.hint)
    assert database.table_names() == {"files"}
    assert check_named(settings, "limits").status is Status.FAILED
    database.execute("SET GLOBAL binlog_format = 'MIXED'")
    upgrade(settings)
    database.execute("SET GLOBAL binlog_format = 'STATEMENT'")
    with pytest.raises(Refused, match="by statement"), open_archive(settings) as archive:
        run_cycle(archive)
    assert list((tmp_path / "out").glob("*.des")) == []
    database.close_connections()


@PRODUCTS
def test_limits_on_statements_and_idle_sessions_are_set_aside(database: TestDatabase) -> None:
    names = {"mariadb": "max_statement_time", "mysql": "max_execution_time"}
    name = names[database.server]
    with set_globally(database, name, "1000"), set_globally(database, "wait_timeout", "9"):
        opened = open_database(database.url)
        with opened.read() as tx:
            found = tx.connection.exec_driver_sql(f"SELECT @@{name}, @@wait_timeout").one()
        opened.close()
    assert found[0] == 0
    assert found[1] > 3600


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_limits_on_transactions_that_only_read_or_write_are_set_aside(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A transaction that keeps the lease waits for a long ALTER of another database."""
    files_table(database, 10, days=2, files=False)
    kinds = [f"idle_{kind}_transaction_timeout" for kind in ("readonly", "write")]
    with set_globally(database, kinds[0], "7"), set_globally(database, kinds[1], "8"):
        opened = open_database(database.url)
        with opened.read() as tx:
            found = tx.connection.exec_driver_sql(f"SELECT @@{kinds[0]}, @@{kinds[1]}").one()
        opened.close()
        said = check_named(make_settings(database, tmp_path / "out"), "limits").detail
    assert tuple(found) == (0, 0)
    assert all(f"{kind} = {number}" in said for kind, number in zip(kinds, (7, 8), strict=True))


def make_slow(database: TestDatabase, trigger: str, seconds: float) -> None:
    """Each row takes so long at that event."""
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$"
    )
    database.execute(f"CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION slow()")


@POSTGRES
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_heartbeat_in_the_middle_of_a_transaction(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    """A stricter default than READ COMMITTED would end each commit that takes as long as one."""
    monkeypatch.setattr("des_core.locks.lock.HEARTBEAT_S", 0.02)
    table = files_table(database, 60, days=3, archived_days=1)
    make_archive(database, tmp_path / "out")
    make_slow(database, "TRIGGER slow BEFORE INSERT ON des_archive_slice", 0.2)
    said = quote(f"-c default_transaction_isolation={level}".replace("e r", "e\\ r"))
    ours = replace(database, url=f"{database.url}?options={said}")
    with open_archive(make_settings(ours, tmp_path / "out")) as archive:
        assert run_cycle(archive).files_out == 40
    assert check_truth(table, database, tmp_path / "out") == {}


@POSTGRES
def test_a_short_wait_for_locks_is_set_aside(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A heartbeat keeps the lease's row for as long as its commit takes (a slow standby, say)."""
    monkeypatch.setattr("des_core.locks.lock.HEARTBEAT_S", 0.02)
    table = files_table(database, 60, days=6, archived_days=1)
    make_archive(database, tmp_path / "out")
    at_commit = "CONSTRAINT TRIGGER slow AFTER UPDATE ON des_archive_lease"
    make_slow(database, f"{at_commit} DEFERRABLE INITIALLY DEFERRED", 0.1)
    ours = replace(database, url=f"{database.url}?options={quote('-c lock_timeout=20ms')}")
    with open_archive(make_settings(ours, tmp_path / "out")) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}


LIMITS = {"statement_timeout": "500ms", "idle_in_transaction_session_timeout": "500ms"}


@POSTGRES
def test_limits_of_a_role_or_database_are_set_aside(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, 120, days=10, archived_days=4)
    settings = make_settings(database, tmp_path / "out")
    # What the test itself asks may take its time.
    none = quote(" ".join(f"-c {name}=0" for name in LIMITS))
    patient = replace(database, url=f"{database.url}?options={none}")
    with set_for_database(database, **LIMITS):
        opened = open_database(database.url)
        with opened.write() as tx:
            tx.connection.exec_driver_sql("SELECT pg_sleep(1)")
        opened.close()
        found = check_named(settings, "limits")
        live_there_and_back(table, patient, settings)
    assert found.status is Status.OK
    assert "statement_timeout = 500ms" in found.detail


@POSTGRES
def test_sessions_that_end_when_idle_are_opened_again(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    if database.value("SELECT current_setting('server_version_num')::int") < 140000:
        pytest.skip("idle_session_timeout is not known before PostgreSQL 14")
    files_table(database, 10, days=2, files=False)
    with set_for_database(database, idle_session_timeout="2s"):
        opened = open_database(database.url)
        for _ in range(2):
            with opened.read() as tx:
                tx.connection.exec_driver_sql("SELECT 1")
            database.value("SELECT pg_sleep(3)")
        opened.close()
        found = check_named(make_settings(database, tmp_path / "out"), "limits")
    assert "idle_session_timeout = 2" in found.detail


@POSTGRES
def test_a_database_that_was_frozen_is_left_frozen(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A DBA says so before the data go elsewhere: a write of ours would be lost there."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    with set_for_database(database, default_transaction_read_only="on"):
        with pytest.raises(DatabaseUnreachable, match="takes no writes"):
            upgrade(settings)
        found = check_named(settings, "writes")
    assert found.status is Status.FAILED
    assert "transaction_read_only = on" in found.detail
    assert database.table_names() == {"files"}
