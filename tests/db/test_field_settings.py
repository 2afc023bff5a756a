"""A whole life under settings that DBAs have set on roles, databases, servers and files."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from db.test_server_settings import (
    POSTGRES,
    PRODUCTS,
    live_there_and_back,
    set_for_database,
    set_globally,
)
from des_core.settings.config import Settings
from support.program.archive import make_settings
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ODD_UIDS = ["żółw.pdf", "back\\slash\\n", "quote'\"`", "100%s", "日本"]


def made(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> tuple[FilesTable, Settings]:
    """A table with uids that a wrong encoding or a wrong escape would change."""
    table = files_table(database, 120, days=10, archived_days=4)
    for number, uid in enumerate(ODD_UIDS):
        rename(database, f"doc-{number:07}.jpg", uid)
    return table, make_settings(database, tmp_path / "out")


def rename(database: TestDatabase, old: str, new: str) -> None:
    database.execute("UPDATE files SET uid = :new WHERE uid = :old", {"new": new, "old": old})


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
    },
}


@POSTGRES
@pytest.mark.parametrize("group", POSTGRES_SETTINGS)
def test_settings_of_a_postgres_database(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, group: str
) -> None:
    table, settings = made(database, files_table, tmp_path)
    with set_for_database(database, **POSTGRES_SETTINGS[group]):
        live_there_and_back(table, database, settings)


MYSQL_SETTINGS = {
    "how careful": {
        "sql_safe_updates": "1",
        "autocommit": "0",
        "sql_auto_is_null": "1",
        "sql_big_selects": "0",
        "max_join_size": "1",
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
    "how it isolates": {"transaction_isolation": "SERIALIZABLE"},
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
