"""What a server refuses becomes the error, the exit code and the advice that it deserves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from des_core.basics.errors import (
    DamagedData,
    DatabaseUnreachable,
    DesError,
    ExitCode,
    Refused,
    TransactionConflict,
)
from des_core.database.connections import Database, open_database
from support.servers.database import TestDatabase
from support.servers.limited_user import limited_name, limited_user

MakeDatabase = Callable[[str], TestDatabase]


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = open_database(url)
    try:
        yield database
    finally:
        database.close()


def said(url: str, sql: str) -> DesError:
    """The error of a statement that is meant to fail."""
    with opened(url) as database, pytest.raises(DesError) as caught, database.write() as tx:
        tx.connection.exec_driver_sql(sql)
    return caught.value


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("25006", DatabaseUnreachable, "takes no writes"),
        ("53100", DatabaseUnreachable, "cannot go on"),
        ("58030", DatabaseUnreachable, "cannot go on"),
        ("53300", DatabaseUnreachable, "no connection left"),
        ("XX001", DamagedData, "files are damaged"),
        ("42501", Refused, "may not do this"),
        ("55P03", Refused, "gave up waiting"),
        ("57014", Refused, "cut off a statement"),
        ("25P03", DatabaseUnreachable, "limit on its time"),
        ("57P05", DatabaseUnreachable, "limit on its time"),
        ("P0001", Refused, "a rule of the database"),
        ("42P07", Refused, "of that name already"),
        ("55000", Refused, "be written as it is"),
        ("22012", Refused, "a rule of the database"),
        ("UF042", Refused, "a rule of the database"),
        ("54000", DatabaseUnreachable, "cannot go on"),
        ("2BP01", Refused, "stands in the way"),
        ("0A000", Refused, "stands in the way"),
        ("428C9", Refused, "stands in the way"),
        ("23505", Refused, "a key that another one has"),
        ("22001", Refused, "does not fit"),
    ],
)
def test_postgres(
    state: str, error: type[DesError], words: str, make_database: MakeDatabase
) -> None:
    raising = f"DO $$ BEGIN RAISE 'as a server says it' USING ERRCODE = '{state}'; END $$"
    found = said(make_database("postgres").url, raising)
    assert type(found) is error
    assert words in str(found)
    assert "as a server says it" in str(found)
    assert found.hint


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (1290, DatabaseUnreachable, "takes no writes"),
        (1114, DatabaseUnreachable, "cannot go on"),
        (1226, DatabaseUnreachable, "no connection left"),
        (1877, DamagedData, "files are damaged"),
        (1142, Refused, "may not do this"),
        (1205, Refused, "gave up waiting"),
        (1969, Refused, "cut off a statement"),
        (3024, Refused, "cut off a statement"),
        (1665, Refused, "by statement"),
        (1644, Refused, "a rule of the database"),
        (1061, Refused, "of that name already"),
        (1036, DatabaseUnreachable, "takes no writes"),
        (1206, DatabaseUnreachable, "cannot go on"),
        (1799, Refused, "innodb_online_alter_log_max_size"),
        (1878, DatabaseUnreachable, "cannot go on"),
        (1406, Refused, "does not fit"),
        (1451, Refused, "stands in the way"),
        *((number, TransactionConflict, "in the way") for number in (1020, 1412, 3101)),
        *((number, DatabaseUnreachable, "be reached") for number in (1047, 1862, 3032, 3118, 3159)),
    ],
)
@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_mysql(
    server: str, number: int, error: type[DesError], words: str, make_database: MakeDatabase
) -> None:
    signal = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'as a server'"
    found = said(make_database(server).url, signal)
    assert type(found) is error
    assert words in str(found)
    assert found.hint


def test_a_connection_that_was_killed_is_unreachable(make_database: MakeDatabase) -> None:
    for kind, sql in (
        ("postgres", "SELECT pg_terminate_backend(pg_backend_pid())"),
        ("mariadb", "KILL CONNECTION_ID()"),
        ("mysql", "KILL CONNECTION_ID()"),
    ):
        assert said(make_database(kind).url, sql).exit_code is ExitCode.DATABASE_UNREACHABLE


@pytest.mark.parametrize("server", ["postgres", "mariadb", "mysql"])
def test_a_user_with_no_connection_left(server: str, make_database: MakeDatabase) -> None:
    database = make_database(server)
    limit = "CONNECTION LIMIT 1" if server == "postgres" else "WITH MAX_USER_CONNECTIONS 1"
    grants = [] if server == "postgres" else [f"GRANT SELECT ON {database.name}.*"]
    with (
        limited_user(database, grants, limit=limit) as limited,
        opened(limited.url) as holder,
        holder.read(),
    ):
        found = said(limited.url, "SELECT 1")
    assert found.exit_code is ExitCode.DATABASE_UNREACHABLE
    assert "no connection left" in str(found)


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
@pytest.mark.parametrize("change", ["ACCOUNT LOCK", "PASSWORD EXPIRE"])
def test_a_user_that_may_not_come_in(server: str, change: str, make_database: MakeDatabase) -> None:
    database = make_database(server)
    with limited_user(database, [f"GRANT SELECT ON {database.name}.*"]) as limited:
        database.execute(f"ALTER USER {limited_name(database)} {change}")
        found = said(limited.url, "SELECT 1")
    assert found.exit_code is ExitCode.DATABASE_UNREACHABLE
    assert "cannot be reached" in str(found)


def test_a_connection_that_was_closed_before_is_unreachable(make_database: MakeDatabase) -> None:
    """PyMySQL says it with the number 0."""
    with (
        opened(make_database("mariadb").url) as database,
        pytest.raises(DatabaseUnreachable),
        database.autocommit() as tx,
    ):
        assert tx.connection.connection.dbapi_connection is not None
        tx.connection.connection.dbapi_connection.close()
        tx.connection.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("query_only = 1", "1", "takes no writes"),
        ("max_page_count = 2", "zeroblob(100000)", "cannot go on"),
    ],
)
def test_sqlite_that_takes_no_writes_or_is_full(
    setting: str, value: str, words: str, make_database: MakeDatabase
) -> None:
    test_database = make_database("sqlite")
    test_database.execute("CREATE TABLE t (a TEXT)")
    with (
        opened(test_database.url) as database,
        pytest.raises(DatabaseUnreachable, match=words),
        database.autocommit() as tx,
    ):
        tx.connection.exec_driver_sql(f"PRAGMA {setting}")
        tx.connection.exec_driver_sql(f"INSERT INTO t VALUES ({value})")


def test_sqlite_that_is_damaged(make_database: MakeDatabase) -> None:
    test_database = make_database("sqlite")
    test_database.execute("CREATE TABLE t (a TEXT)")
    test_database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    test_database.close_connections()
    assert test_database.path is not None
    with test_database.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert isinstance(said(test_database.url, "SELECT COUNT(*), MAX(a) FROM t"), DamagedData)
