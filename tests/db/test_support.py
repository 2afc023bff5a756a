"""The fixtures themselves: other tests believe what they say."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from pydantic import SecretStr

from des_core.settings.config import DatabaseSettings
from support.rows.filesdata import DEFECTS, FileRow, FilesTableFactory, canonical_rows
from support.rows.shape import AWKWARD, TableShape, UidType
from support.servers.database import TestDatabase, to_microseconds
from support.servers.kinds import MIXED_SERVERS
from support.servers.mysql import MySqlServer, Product
from support.servers.postgres import PostgresServer


def test_database_is_fresh_and_speaks_sql(database: TestDatabase) -> None:
    assert database.table_names() == set()
    database.execute("CREATE TABLE t (a INTEGER, b VARCHAR(20))")
    assert database.execute("INSERT INTO t VALUES (:a, :b)", {"a": 1, "b": "it's 100 %"}) == 1
    assert database.rows("SELECT a, b FROM t") == [(1, "it's 100 %")]
    assert database.value("SELECT count(*) FROM t WHERE b LIKE '%100%'") == 1


def test_connections_left_open_do_not_hold_up_the_end(database: TestDatabase) -> None:
    database.execute("CREATE TABLE t (a INTEGER)")
    cursor = database.connect().cursor()
    cursor.execute("SELECT * FROM t")
    cursor.close()


def test_config_database_is_another_one(
    database: TestDatabase, config_database: TestDatabase
) -> None:
    assert config_database.server == database.server
    assert config_database.url != database.url


@pytest.mark.parametrize(
    ("database", "config_database"),
    MIXED_SERVERS,
    indirect=True,
)
def test_config_database_may_be_of_another_kind(
    database: TestDatabase, config_database: TestDatabase
) -> None:
    assert {database.value("SELECT 1"), config_database.value("SELECT 1")} == {1}
    assert config_database.server != database.server


def test_files_table_holds_what_it_promises(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    bad = dict.fromkeys(DEFECTS, 2)
    table = files_table(database, 300, days=6, archived_days=2, holes=5, bad=bad)

    rows = canonical_rows(database)
    assert rows == sorted(
        (row.uid, to_microseconds(row.created_at), row.location, row.size_bytes, row.archived)
        for row in table.rows.values()
    )
    assert len(rows) == 300
    assert len(table.holes) == 5
    assert sum(row[4] for row in rows) == len(table.archived) == 100 - 5
    assert len(table.bad) == 2 * len(DEFECTS)
    assert not set(table.bad) & table.holes
    for uid, row in table.rows.items():
        if row.defect is None:
            content = Path(row.location).read_bytes()
            assert content == table.expected_content(uid)
            assert len(content) == row.size_bytes


def test_bad_files_are_bad_in_the_named_way(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, 40, days=2, bad=dict.fromkeys(DEFECTS, 1))
    place = {row.defect: Path(row.location) for row in table.rows.values() if row.defect}
    assert not os.path.lexists(place["missing"])
    assert place["directory"].is_dir()
    assert place["fifo"].is_fifo()
    assert stat.S_ISSOCK(place["socket"].stat().st_mode)
    assert place["dangling_link"].is_symlink() and not place["dangling_link"].exists()
    assert not place["relative"].is_absolute()
    [wrong] = [row for row in table.rows.values() if row.defect == "wrong_size"]
    assert Path(wrong.location).stat().st_size == wrong.size_bytes - 1


def test_rows_can_be_added_later(database: TestDatabase, files_table: FilesTableFactory) -> None:
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC)
    odd = FileRow("O'Brien/%:\n☃", moment, "/nowhere", 3)
    table = files_table(database, 10, days=1, extra=(odd,))
    table.add("late-1", moment + timedelta(microseconds=1), b"late")
    assert table.expected_content("late-1") == b"late"
    assert {odd.uid, "late-1"} < {row[0] for row in canonical_rows(database)}


@pytest.mark.parametrize("uid_type", ["text", "integer", "uuid"])
def test_table_may_have_another_shape(
    database: TestDatabase, files_table: FilesTableFactory, uid_type: UidType
) -> None:
    zone = ZoneInfo("America/New_York")
    shape = replace(AWKWARD, uid_type=uid_type, size_bytes=None, zone=zone)
    if database.kind == "postgres":
        shape = replace(shape, schema="Other's")
    table = files_table(database, 30, days=3, archived_days=1, shape=shape)
    assert canonical_rows(database, shape) == sorted(
        (row.uid, to_microseconds(row.created_at), row.location, None, row.archived)
        for row in table.rows.values()
    )
    first = min(row.created_at for row in table.rows.values())
    created_at = database.quote(shape.created_at)
    earliest = database.value(f"SELECT min({created_at}) FROM {shape.qualified(database)}")
    assert str(earliest)[:19] == str(first.astimezone(zone))[:19] == "2023-12-31 19:00:00"


def test_shape_names_the_keys_of_the_configuration(database: TestDatabase) -> None:
    settings = DatabaseSettings(url=SecretStr(database.url), **AWKWARD.settings())
    assert settings.location_column == "group"
    assert DatabaseSettings(
        url=SecretStr(database.url), **TableShape().settings()
    ) == DatabaseSettings(url=SecretStr(database.url))


def test_stock_fixture_of_pytest_postgresql(postgresql: "psycopg.Connection[object]") -> None:
    with postgresql.cursor() as cursor:
        assert cursor.execute("SELECT current_user").fetchone() == ("des_test",)


def test_private_postgres_keeps_what_it_committed(
    private_postgres: Callable[..., PostgresServer],
) -> None:
    server = private_postgres(log_min_messages="fatal")
    name = server.create_database()
    with server.connect(name) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    for end in (server.kill9, lambda: server.stop("immediate"), lambda: server.stop("fast")):
        end()
        assert not server.is_running
        server.start()
        with server.connect(name) as connection:
            assert connection.execute("SELECT a FROM t").fetchone() == (1,)


@pytest.mark.parametrize("product", ["mariadb", "mysql"])
def test_private_mysql_keeps_what_it_committed(
    product: Product, private_mysql: Callable[..., MySqlServer]
) -> None:
    server = private_mysql(product, max_connections="20")
    name = server.create_database()
    with server.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT 1 AS a")
    for end in (server.kill9, server.stop):
        end()
        assert not server.is_running
        server.start()
        with server.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT a, @@max_connections FROM t")
            assert cursor.fetchone() == (1, 20)
