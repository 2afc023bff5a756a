"""Servers as the field has them: a whole life works on them, or is refused before it begins."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from db.test_field_settings import add_odd_uids
from db.test_field_tables import refused
from db.test_server_settings import (
    POSTGRES,
    PRODUCTS,
    live_there_and_back,
    set_globally,
)
from des_core.basics.errors import DatabaseUnreachable, DesError, ExitCode, Refused
from des_core.checks import Status, examine
from des_core.database.connections import open_database
from des_core.database.server_settings import require_primary
from des_core.ledger.watermark_edits import plan_move
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from support.crash.truth import check_truth, read_open_exceptions, read_watermark_value
from support.program.archive import make_archive, make_settings
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.limited_user import limited_user
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import plan_cycle, retry_now, run_cycle
from watermark_orchestrator.retrying import Selection

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")


@pytest.mark.postgres
def test_a_database_that_knows_no_encoding(
    postgres_server, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """SQL_ASCII: the server gives back the bytes that it got, whatever they are."""
    database = database_on(postgres_server)
    name = f"{database.name}_ascii"
    with postgres_server.connect() as session:
        session.autocommit = True
        session.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    url = postgres_server.url(name)

    def connect() -> Any:
        connection = postgres_server.connect(name)
        connection.execute("SET client_encoding TO 'UTF8'")
        connection.commit()
        return connection

    ascii = replace(database, name=name, url=f"{url}?client_encoding=utf8", connector=connect)
    table = files_table(ascii, 120, days=10, archived_days=4)
    settings = make_settings(replace(ascii, url=url), tmp_path / "out")
    add_odd_uids(table)
    live_there_and_back(table, ascii, settings)
    broken = "convert_from('\\xff'::bytea, 'SQL_ASCII')"
    ascii.execute(f"UPDATE files SET archived = FALSE, file_location = {broken}")
    upgrade(settings)
    with open_archive(settings) as archive, pytest.raises(Refused, match="not UTF-8"):
        run_cycle(archive)
    postgres_server.drop_database(name)
    postgres_server.drop_database(database.name)


@POSTGRES
def test_a_watermark_in_a_database_that_knows_fewer_letters(
    postgres_server, database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A file with such a name that is missing would stop every run."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    name = f"{database.name}_latin1"
    with postgres_server.connect() as session:
        session.autocommit = True
        session.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    config = replace(database, name=name, url=postgres_server.url(name))
    refused(make_settings(database, tmp_path / "out", config), database, "encoding LATIN1")
    assert config.table_names() == set()
    postgres_server.drop_database(name)


@POSTGRES
def test_no_room_for_temporary_files(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """The index is larger than the memory that it may take: the server says no, and why."""
    files_table(database, 30_000, days=10, archived_days=4, files=False)
    said = quote("-c temp_file_limit=64kB -c maintenance_work_mem=1MB -c work_mem=64kB")
    ours = replace(database, url=f"{database.url}?options={said}")
    settings = make_settings(ours, tmp_path / "out")
    before = canonical_rows(database)
    with pytest.raises(DatabaseUnreachable, match="temp_file_limit"):
        upgrade(settings)
    assert canonical_rows(database) == before
    upgrade(make_settings(database, tmp_path / "out"))
    downgrade(make_settings(database, tmp_path / "out"))
    assert canonical_rows(database) == before


@POSTGRES
def test_a_role_that_may_make_nothing(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """As any role on PostgreSQL 15 that owns neither the database nor its schema."""
    files_table(database, 40, days=4, archived_days=2, files=False)
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # PostgreSQL 14 grants it
    with limited_user(
        database, ["GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES, TRIGGER ON files"]
    ) as lowly:
        refused(make_settings(lowly, tmp_path / "out"), database, "permission|may not")


@POSTGRES
def test_sequences_that_begin_anew(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Logical replication brings rows and no sequences: so after a failover to such a replica."""
    table = files_table(database, 60, days=10, archived_days=4)
    settings = make_archive(database, tmp_path / "out")
    with open_archive(settings) as archive:
        run_cycle(archive)
    table.add("new", datetime.now(UTC) - timedelta(days=8), b"new")
    keys = {"slice": "slice_id", "event": "event_id", "exception": "exception_id"}
    for name, key in keys.items():
        database.execute(f"ALTER SEQUENCE des_archive_{name}_{key}_seq RESTART WITH 1")
    with pytest.raises(Refused, match="a key that another") as caught, open_archive(settings) as a:
        run_cycle(a)
    assert "setval" in str(caught.value.hint)
    for name, key in keys.items():
        of = f"'des_archive_{name}', '{key}'"
        newest = f"(SELECT MAX({key}) FROM des_archive_{name})"
        database.value(f"SELECT setval(pg_get_serial_sequence({of}), {newest})")
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}


@POSTGRES
def test_a_schema_in_capitals_that_the_role_is_led_to(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    schema = 'Das "Archiv"'
    quoted = schema.replace('"', '""')
    table = files_table(database, 120, days=10, archived_days=4)
    database.execute(f'CREATE SCHEMA "{quoted}"')
    database.execute(f'ALTER TABLE files SET SCHEMA "{quoted}"')
    with limited_user(database) as owner:
        name = str(sa.make_url(owner.url).username)
        database.execute(f'ALTER ROLE {name} SET search_path = "{quoted}"')
        database.execute(f'ALTER SCHEMA "{quoted}" OWNER TO {name}')
        database.execute(f'ALTER TABLE "{quoted}".files OWNER TO {name}')
        seen = replace(owner, connector=lambda: pytest.fail("connects by its URL"))
        live_there_and_back(table, seen, make_settings(owner, tmp_path / "out"))


@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_a_standby_that_nobody_hears(
    private_postgres: Callable[..., object], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Every commit of everybody waits for it. Who only reads is answered, and a run goes on."""
    server = private_postgres()
    database = database_on(server)  # type: ignore[arg-type]
    table = files_table(database, 60, days=10, archived_days=4)
    settings = make_archive(database, tmp_path / "out")
    administrator = database.connect()
    administrator.autocommit = True

    def tell(names: str) -> None:
        administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        administrator.execute("SELECT pg_reload_conf()")

    tell("nobody")
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with open_archive(settings) as archive:
                run_cycle(archive)
        except BaseException as exc:
            failed.append(exc)

    runner = threading.Thread(target=run)
    runner.start()
    deadline = time.monotonic() + 60
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    while administrator.execute(waits).fetchone() == (0,):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {check.name for check in examine(settings) if check.status is Status.FAILED} == set()
    assert runner.is_alive()
    tell("")
    runner.join(60)
    assert not runner.is_alive()
    assert failed == []
    assert check_truth(table, database, tmp_path / "out") == {}
    database.close_connections()


@PRODUCTS
@pytest.mark.parametrize("packet", ["65536", "1048576"])
def test_a_server_that_takes_small_packets(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, packet: str
) -> None:
    """Rows of many exceptions, events, shards and slices are more than one packet has room for."""
    table = files_table(database, 3_000, days=10, archived_days=4, bad={"missing": 900}, holes=900)
    settings = make_settings(database, tmp_path / "out", migration={"max_failure_ratio": 1.0})
    with set_globally(database, "max_allowed_packet", packet):
        upgrade(settings)
        with open_archive(settings) as archive:
            run_cycle(archive)
        open_ones = read_open_exceptions(database)
        downgrade(settings)
    assert len(open_ones) >= 900
    assert table.rows


@PRODUCTS
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_storage_engine", "MEMORY"),
        ("character_set_server", "utf16"),
        ("transaction_isolation", "'READ-UNCOMMITTED'"),
        ("innodb_default_row_format", "REDUNDANT"),
    ],
)
def test_one_setting_of_the_mysql_family(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    name: str,
    value: str,
) -> None:
    table = files_table(database, 120, days=10, archived_days=4)
    if not database.rows(f"SHOW GLOBAL VARIABLES LIKE '{name}'"):
        name = "tx_isolation"
    with set_globally(database, name, value):
        live_there_and_back(table, database, make_settings(database, tmp_path / "out"))


@pytest.mark.mariadb
def test_names_in_small_letters(
    private_mysql: Callable[..., object], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """lower_case_table_names = 1: a name in other letters is refused, with the right one."""
    server = private_mysql("mariadb", lower_case_table_names="1")
    database = database_on(server)  # type: ignore[arg-type]
    table = files_table(database, 120, days=10, archived_days=4)
    other = make_settings(database, tmp_path / "out", database={"table_name": "Files"})
    assert "did you mean files?" in str(refused(other, database, "no table Files").hint)
    live_there_and_back(table, database, make_settings(database, tmp_path / "out"))
    database.close_connections()


@pytest.mark.mysql
def test_transactions_that_have_names_of_their_own(
    private_mysql: Callable[..., object], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """gtid_mode, as every replicated MySQL has it: some statements are refused then."""
    server = private_mysql(
        "mysql", log_bin="binlog", server_id="1", gtid_mode="ON", enforce_gtid_consistency="ON"
    )
    database = database_on(server)  # type: ignore[arg-type]
    table = files_table(database, 120, days=10, archived_days=4)
    settings = make_settings(database, tmp_path / "out")
    live_there_and_back(table, database, settings)
    upgrade(settings, options=DROP)
    downgrade(settings)
    database.close_connections()


@PRODUCTS
def test_a_server_that_stops_taking_writes_in_the_middle(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Before a failover, say: the run ends by name, and the next one goes on."""
    table = files_table(database, 120, days=10, archived_days=4)
    settings = make_archive(database, tmp_path / "out")
    name = {"mariadb": "read_only", "mysql": "super_read_only"}[database.server]
    grants = [f"GRANT ALL ON `{database.name}`.*"]
    slices = []

    with (
        limited_user(database, grants) as ours,
        open_archive(make_settings(ours, tmp_path / "out")) as archive,
    ):

        def freeze(event: object) -> None:
            if getattr(event, "kind", "") == "slice_started":
                slices.append(event)
            if len(slices) == 3:
                database.execute(f"SET GLOBAL {name} = 1")

        try:
            with pytest.raises(DatabaseUnreachable, match="takes no writes"):
                run_cycle(archive, progress=freeze)
        finally:
            database.execute(f"SET GLOBAL {name} = 0")
            if name.startswith("super"):
                database.execute("SET GLOBAL read_only = 0")
    # What the next process does, as this one would be gone.
    database.execute("UPDATE des_archive_lease SET token = ''")
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_rows_are_read_as_they_are_now(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """A system-versioned table has the rows of any day, and the server was told to show others."""
    table = files_table(database, 60, days=6, archived_days=2)
    database.execute("ALTER TABLE files ADD SYSTEM VERSIONING")
    settings = make_archive(database, tmp_path / "out")
    long_ago = "'2020-01-01 00:00:00'"
    with set_globally(database, "system_versioning_asof", long_ago), open_archive(settings) as a:
        run_cycle(a)
    assert check_truth(table, database, tmp_path / "out") == {}


@PRODUCTS
def test_rows_are_not_read_from_a_replica(
    database: TestDatabase,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    """It may lack rows that were committed long ago, and a window would close without them."""
    table = files_table(database, 60, days=10, archived_days=4)
    config = make_database("sqlite")
    settings = make_archive(database, tmp_path / "out", config)
    before = read_watermark_value(config)
    with set_globally(database, "read_only", "1"), open_archive(settings) as archive:
        reader, ledger, to = archive.source, archive.config, before + timedelta(days=1)
        for work in (
            lambda: plan_cycle(archive),
            lambda: run_cycle(archive),
            lambda: retry_now(archive, Selection()),
            lambda: plan_move(ledger, reader, to, max_captured=100),
            lambda: upgrade(settings, options=DROP),
        ):
            with pytest.raises(DatabaseUnreachable, match=r"read_only = on.*replica") as caught:
                work()
            assert "primary" in str(caught.value.hint)
        [found] = [check for check in examine(settings) if check.name == "source"]
        assert found.status is Status.FAILED
    assert read_watermark_value(config) == before
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, config, tmp_path / "out") == {}


@PRODUCTS
def test_a_new_connection_leads_to_a_replica(database: TestDatabase) -> None:
    """After a failover the same name may be another server's; the pool connects anew by itself."""
    opened = open_database(database.url)
    try:
        require_primary(opened)
        with set_globally(database, "read_only", "1"):
            with opened.read() as tx:
                session = tx.connection.connection.driver_connection.thread_id()
            database.execute(f"KILL {session}")
            for _ in range(3):
                with pytest.raises(DatabaseUnreachable, match="a replica may lack"):
                    opened.read().__enter__()
            assert opened.engine.pool.checkedout() == 0
        with opened.read() as tx:
            assert tx.connection.connection.driver_connection.thread_id() != session
        with opened.write():
            pass
    finally:
        opened.close()


@pytest.mark.sqlite
def test_a_file_that_another_process_has_for_itself(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("connections", "manners"):
        monkeypatch.setattr(f"des_core.database.{module}.SQLITE_BUSY_TIMEOUT_S", 0.2)
    database = make_database("sqlite")
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    with alone(database), pytest.raises(DesError, match="database is locked") as caught:
        upgrade(settings)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert database.table_names() == {"files"}
    upgrade(settings)


@contextmanager
def alone(database: TestDatabase) -> Iterator[None]:
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA locking_mode = EXCLUSIVE'); c.execute('BEGIN EXCLUSIVE');"
        "c.execute('UPDATE files SET size_bytes = size_bytes'); c.execute('COMMIT');"
        "print('mine', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(database.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"mine\n"
        try:
            yield
        finally:
            other.stdin.close()
            other.wait()
