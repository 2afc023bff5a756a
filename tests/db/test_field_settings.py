"""A whole life under settings that DBAs have set on roles, databases, servers and files."""

import os
import sqlite3
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from db.test_server_settings import (
    POSTGRES,
    PRODUCTS,
    check_named,
    live_there_and_back,
    set_globally,
)
from des_core.basics.errors import DatabaseUnreachable, DesError, ExitCode, Refused
from des_core.checks import Status
from des_core.database.connections import open_database
from des_core.migration.apply import upgrade
from des_core.settings.config import DatabaseSettings, Settings
from support.program.archive import make_settings
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ODD_UIDS = ["żółw.pdf", "back\\slash\\n", "quote'\"`", "100%s", "日本"]


def made(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> tuple[FilesTable, Settings]:
    table = files_table(database, 120, days=10, archived_days=4)
    add_odd_uids(table)
    return table, make_settings(database, tmp_path / "out")


def add_odd_uids(table: FilesTable) -> None:
    """Files to pack, with uids that a wrong encoding or a wrong escape would change."""
    noon = datetime.combine(table.spec.first_day, time(12), UTC) + timedelta(days=5)
    for uid in ODD_UIDS:
        table.add(uid, noon, uid.encode())


POSTGRES_SETTINGS = {
    "how values are written": {
        "standard_conforming_strings": "off",
        "escape_string_warning": "off",
        "backslash_quote": "on",
        "bytea_output": "escape",
        "DateStyle": "German, DMY",
        "IntervalStyle": "sql_standard",
        "TimeZone": "Asia/Kathmandu",
        "extra_float_digits": "-15",
        "client_encoding": "LATIN1",
        "quote_all_identifiers": "on",
        "transform_null_equals": "on",
        "lc_messages": "C",
    },
    "how transactions go": {
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "lock_timeout": "10s",
        "synchronous_commit": "off",
    },
    "how queries go": {
        "enable_indexscan": "off",
        "enable_bitmapscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "max_parallel_maintenance_workers": "0",
        "maintenance_work_mem": "1MB",
        "work_mem": "64kB",
        "enable_seqscan": "off",
        "jit_above_cost": "0",
        "cursor_tuple_fraction": "0.0001",
    },
    "how it answers": {
        "array_nulls": "off",
        "client_min_messages": "debug1",
        "exit_on_error": "on",
        "session_replication_role": "replica",
        "xmlbinary": "hex",
        "deadlock_timeout": "1ms",
    },
}


@POSTGRES
@pytest.mark.parametrize("group", POSTGRES_SETTINGS)
def test_settings_of_a_postgres_database(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, group: str
) -> None:
    """Said to our own sessions alone, so that the test reads as it always does."""
    table, _ = made(database, files_table, tmp_path)
    said = " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}"
        for name, value in POSTGRES_SETTINGS[group].items()
    )
    ours = replace(database, url=f"{database.url}?options={quote(said)}")
    live_there_and_back(table, database, make_settings(ours, tmp_path / "out"))


MYSQL_SETTINGS = {
    "how careful": {
        "sql_safe_updates": "1",
        "autocommit": "0",
        "sql_auto_is_null": "1",
        "unique_checks": "0",
        "foreign_key_checks": "0",
        "group_concat_max_len": "4",
        "div_precision_increment": "0",
        "innodb_lock_wait_timeout": "1",
        "lock_wait_timeout": "1",
    },
    "how it stores": {
        "default_storage_engine": "MyISAM",
        "character_set_server": "latin1",
        "collation_server": "latin1_german1_ci",
        "explicit_defaults_for_timestamp": "0",
        "time_zone": "'-11:59'",
        "innodb_strict_mode": "1",
        "innodb_default_row_format": "COMPACT",
    },
    "how it isolates": {"transaction_isolation": "SERIALIZABLE", "completion_type": "'CHAIN'"},
    "how it answers": {
        "sql_quote_show_create": "0",
        "max_sort_length": "64",
        "sort_buffer_size": "32768",
        "tmp_table_size": "1024",
        "max_heap_table_size": "16384",
        "net_read_timeout": "1",
        "net_write_timeout": "1",
        "lc_messages": "'de_DE'",
        "lc_time_names": "'de_DE'",
    },
}
PRODUCT_SETTINGS = {
    "mariadb": {"innodb_snapshot_isolation": "1", "alter_algorithm": "COPY"},
    "mysql": {"sql_require_primary_key": "1", "sql_generate_invisible_primary_key": "1"},
}


@PRODUCTS
@pytest.mark.parametrize("group", [*MYSQL_SETTINGS, "of its own"])
def test_settings_of_a_server_of_the_mysql_family(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, group: str
) -> None:
    table, settings = made(database, files_table, tmp_path)
    chosen = MYSQL_SETTINGS.get(group) or PRODUCT_SETTINGS[database.server]
    known = {name for (name, _) in database.rows("SHOW GLOBAL VARIABLES")}
    with ExitStack() as stack:
        for name, value in chosen.items():
            if name in known:
                stack.enter_context(set_globally(database, name, value))
        live_there_and_back(table, database, settings)


@PRODUCTS
def test_a_limit_on_the_rows_that_a_select_may_look_at(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 20, days=2, files=False)
    with set_globally(database, "max_join_size", "1"):
        opened = open_database(database.url)
        with opened.read() as tx:
            rows = tx.connection.exec_driver_sql("SELECT * FROM files AS a JOIN files AS b").all()
        opened.close()
    assert len(rows) == 400


@PRODUCTS
def test_a_server_that_only_reads_is_refused_by_name(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    names = {"mariadb": "tx_read_only", "mysql": "transaction_read_only"}
    with set_globally(database, names[database.server], "1"):
        with pytest.raises(DatabaseUnreachable, match="takes no writes"):
            upgrade(settings)
        found = check_named(settings, "writes")
    assert found.status is Status.FAILED
    assert database.table_names() == {"files"}


@POSTGRES
@pytest.mark.parametrize("path", ["nowhere", "nowhere, public"])
def test_a_search_path(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, path: str
) -> None:
    """By role: one that leads to no schema is refused before anything is made."""
    table, settings = made(database, files_table, tmp_path)
    database.execute(f"ALTER DATABASE {database.name} SET search_path = {path}")
    if "public" in path:
        live_there_and_back(table, database, settings)
        return
    with pytest.raises(DesError, match="search_path") as caught:
        upgrade(settings)
    assert caught.value.exit_code in (ExitCode.WRONG_SCHEMA, ExitCode.REFUSED, ExitCode.USAGE)


@POSTGRES
def test_a_watermark_that_the_search_path_does_not_reach(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Not found is not absent: a second watermark beside the first would be a second truth."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    database.execute("CREATE SCHEMA other")
    database.execute(f"ALTER DATABASE {database.name} SET search_path = other")
    far = settings.database.model_copy(update={"table_name": "public.files"})
    far = DatabaseSettings.model_validate({**far.model_dump(), "url": database.url})
    with pytest.raises(Refused, match="search_path does not reach"):
        upgrade(settings.model_copy(update={"database": far}))
    assert database.value("SELECT COUNT(*) FROM pg_class WHERE relname = 'des_archive_config'") == 1


@POSTGRES
def test_row_level_security_of_the_table(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Of the owner's own table a policy hides nothing; one that is forced on owners is refused."""
    table, settings = made(database, files_table, tmp_path)
    database.execute("ALTER TABLE files ENABLE ROW LEVEL SECURITY")
    live_there_and_back(table, database, settings)


def names_of(database: TestDatabase) -> dict[str, object]:
    pragmas = ("journal_mode", "user_version", "application_id", "auto_vacuum", "encoding")
    return {name: database.value(f"PRAGMA {name}") for name in pragmas}


@SQLITE
@pytest.mark.parametrize("mode", ["WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY"])
def test_a_file_of_sqlite_stays_as_it_was_set(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, mode: str
) -> None:
    assert database.path is not None
    with sqlite3.connect(database.path) as raw:
        raw.execute("PRAGMA encoding = 'UTF-16'")
        raw.execute("PRAGMA auto_vacuum = FULL")
        raw.execute(f"PRAGMA journal_mode = {mode}")
        raw.execute("PRAGMA user_version = 4711")
        raw.execute("PRAGMA application_id = 42")
    raw.close()
    table, settings = made(database, files_table, tmp_path)
    before = names_of(database)
    live_there_and_back(table, database, settings)
    assert names_of(database) == before


@SQLITE
@pytest.mark.parametrize("kind", ["STRICT", "WITHOUT ROWID", "STRICT, WITHOUT ROWID"])
def test_a_table_of_another_kind_of_sqlite(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, kind: str
) -> None:
    table, settings = made(database, files_table, tmp_path)
    database.execute_script(
        [
            "ALTER TABLE files RENAME TO plain",
            "DROP INDEX idx_files_created_archived",
            "CREATE TABLE files (uid TEXT NOT NULL PRIMARY KEY, created_at TEXT NOT NULL,"
            " file_location TEXT, size_bytes INTEGER, archived INTEGER NOT NULL DEFAULT 0)"
            f" {kind}",
            "INSERT INTO files SELECT uid, created_at, file_location, size_bytes, archived"
            " FROM plain",
            "DROP TABLE plain",
            "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
            " WHERE archived = FALSE",
        ]
    )
    live_there_and_back(table, database, settings)


@SQLITE
def test_a_directory_that_takes_no_journal(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """SQLite writes a journal beside its file; without room for it nothing is written."""
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    assert database.path is not None
    files_table(database, 20, days=4, archived_days=2, files=False)
    settings = make_settings(database, tmp_path / "out")
    database.path.parent.chmod(0o500)
    try:
        with pytest.raises(DatabaseUnreachable):
            upgrade(settings)
    finally:
        database.path.parent.chmod(0o700)
    assert database.table_names() == {"files"}
