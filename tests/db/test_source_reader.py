"""The reader of `files`: every row of a window exactly once, whatever the columns are like."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from des_core.basics.errors import ConfigError, WrongSchema
from des_core.basics.timestamps import from_us
from des_core.database.connections import Database, open_database
from des_core.records import SourceRow
from des_core.rows.reader import SourceReader
from des_core.settings.config import DatabaseSettings
from support.rows.filesdata import FilesTableFactory
from support.rows.shape import UidType, uid_column_type
from support.servers.database import TestDatabase

DAY = datetime(2024, 1, 2, tzinfo=UTC)
US = timedelta(microseconds=1)
DAY_LONG = timedelta(days=1)
LATE = datetime(2025, 1, 1, tzinfo=UTC)
ReaderFactory = Callable[..., SourceReader]


def settings_for(database: TestDatabase, **fields: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(database.url), **fields)


@pytest.fixture
def reader_for() -> Iterator[ReaderFactory]:
    """Opens readers, with settings as keyword arguments; closes them at the end."""
    opened: list[Database] = []

    def make(database: TestDatabase, **fields: Any) -> SourceReader:
        opened.append(open_database(database.url))
        return SourceReader(opened[-1], settings_for(database, **fields))

    yield make
    for one in opened:
        one.close()


def read_all(reader: SourceReader, start: datetime, end: datetime) -> list[SourceRow]:
    return [row for page in reader.rows(start, end) for row in page]


def test_window_is_open_below_and_closed_above(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    table = files_table(database, rows=100, days=4, files=False)
    reader = reader_for(database, page_size=7)
    rows = read_all(reader, DAY, DAY + timedelta(days=1))
    wanted = {
        uid for uid, row in table.rows.items() if DAY < row.created_at <= DAY + timedelta(days=1)
    }
    assert {row.uid for row in rows} == wanted
    assert len(rows) == len(wanted)
    for row in rows:
        made = table.rows[row.uid]
        assert from_us(row.created_us) == made.created_at
        assert (row.location, row.size_bytes) == (made.location, made.size_bytes)
    stats = reader.stats(DAY, DAY + timedelta(days=1))
    assert stats.files == len(wanted)
    assert stats.size_bytes == sum(table.rows[uid].size_bytes for uid in wanted)
    assert stats.oldest == min(table.rows[uid].created_at for uid in wanted)
    assert stats.newest == DAY + timedelta(days=1)
    assert reader.first_created_at(DAY, DAY + timedelta(days=1)) == stats.oldest


def test_many_rows_of_one_instant_over_page_borders(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    files_table(database, rows=60, days=2, ties=30, files=False)
    reader = reader_for(database, page_size=7)
    rows = read_all(reader, DAY - timedelta(days=2), DAY + timedelta(days=2))
    assert len(rows) == len({row.uid for row in rows}) == 60


def test_lookup_finds_rows_by_uid_and_time(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    table = files_table(database, rows=20, days=2, files=False)
    reader = reader_for(database)
    uid, made = next(iter(table.rows.items()))
    found = list(
        reader.lookup(
            [(uid, made.created_at), (uid, made.created_at + US), ("no such", made.created_at)]
        )
    )
    assert found[0] is not None
    assert found[0].location == made.location
    assert found[1:] == [None, None]


def test_clock_is_the_servers_and_aware(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    files_table(database, rows=1, files=False)
    clock = reader_for(database).clock()
    assert abs(clock.now - datetime.now(UTC)) < timedelta(minutes=1)


def test_open_transaction_is_seen(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has one writer and no open transactions of others to see")
    files_table(database, rows=1, files=False)
    reader = reader_for(database)
    assert reader.clock().oldest_transaction is None
    other = database.connect()
    other.cursor().execute("UPDATE files SET size_bytes = 1")
    # MariaDB shows transactions from a cache that is renewed when nobody has asked for 0.1 s.
    tries = (threading.Event().wait(0.2 * number) or reader.clock() for number in range(20))
    began = next(clock.oldest_transaction for clock in tries if clock.oldest_transaction)
    assert began is not None
    assert abs(began - datetime.now(UTC)) < timedelta(minutes=1)
    other.rollback()


CREATE = "CREATE TABLE {table} ({uid} {uid_type} PRIMARY KEY, {time} {time_type}, {loc} text)"
NASTY = {"uid": 'u"i`d:x', "time": "select", "loc": "Wo %s ist's?"}


def quoted(database: TestDatabase, name: str) -> str:
    mark = "`" if database.kind == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def raw(database: TestDatabase, sql: str, values: tuple[Any, ...] = ()) -> None:
    """Execute without any parameter style in the way of odd names."""
    connection = database.connect()
    cursor = connection.cursor()
    if database.kind == "sqlite":
        cursor.execute(sql, values)
    else:
        cursor.execute(sql.replace("%", "%%").replace("?", "%s") if values else sql, values or None)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("uid_type", ["text", "integer", "uuid"])
def test_odd_names_and_kinds_of_uid(
    database: TestDatabase, uid_type: UidType, reader_for: ReaderFactory
) -> None:
    times = {"postgres": "timestamptz", "mysql": "datetime(6)", "sqlite": "text"}
    uids = {"text": "a:b%s'\"", "integer": "42", "uuid": "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d"}
    names = {key: quoted(database, value) for key, value in NASTY.items()}
    table = quoted(database, "Files of 2024; DROP")
    sql = CREATE.format(
        table=table,
        uid_type=uid_column_type(database, uid_type),
        time_type=times[database.kind],
        **names,
    )
    raw(database, sql)
    columns = f"({names['uid']}, {names['time']}, {names['loc']})".replace("?", "\x00")
    insert = f"INSERT INTO {table} {columns} VALUES (?, ?, ?)"
    connection = database.connect()
    if database.kind == "sqlite":
        statement = insert.replace("\x00", "?")
        connection.execute(statement, (uids[uid_type], "2024-01-02T10:00:00Z", "/x"))
    else:
        statement = insert.replace("%", "%%").replace("?", "%s").replace("\x00", "?")
        moment = "2024-01-02 10:00:00+00" if database.kind == "postgres" else "2024-01-02 10:00:00"
        connection.cursor().execute(statement, (uids[uid_type], moment, "/x"))
    connection.commit()
    reader = reader_for(
        database,
        table_name='"Files of 2024; DROP"',
        uid_column=NASTY["uid"],
        created_at_column=NASTY["time"],
        location_column=NASTY["loc"],
    )
    expected = datetime(2024, 1, 2, 10, tzinfo=UTC)
    rows = read_all(reader, DAY, DAY + timedelta(days=1))
    assert [(row.uid, from_us(row.created_us)) for row in rows] == [(uids[uid_type], expected)]
    assert rows[0].size_bytes is None
    assert next(reader.lookup([(uids[uid_type], expected)])) is not None
    assert reader.stats(DAY, DAY + timedelta(days=1)).files == 1


def test_naive_times_mean_the_zone_of_the_config(
    database: TestDatabase, reader_for: ReaderFactory
) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite knows no zones: refused, see below")
    kind = "timestamp" if database.kind == "postgres" else "datetime(6)"
    text = "text" if database.kind == "postgres" else "varchar(100)"
    database.execute(
        f"CREATE TABLE files (uid {text} PRIMARY KEY, created_at {kind}, file_location text)"
    )
    zone = ZoneInfo("Europe/Warsaw")
    # Around the night in which 02:00-03:00 was read twice.
    stamps = [datetime(2024, 10, 27, 0, 30) + timedelta(minutes=10 * i) for i in range(40)]
    for number, stamp in enumerate(stamps):
        database.execute("INSERT INTO files VALUES (:u, :c, '/x')", {"u": f"u{number}", "c": stamp})
    reader = reader_for(database, timezone="Europe/Warsaw")
    found: list[SourceRow] = []
    start = datetime(2024, 10, 26, 20, tzinfo=UTC)
    for step in range(60):
        begin = start + timedelta(minutes=15 * step)
        rows = read_all(reader, begin, begin + timedelta(minutes=15))
        for row in rows:
            assert begin < from_us(row.created_us) <= begin + timedelta(minutes=15)
        found += rows
    assert len(found) == len({row.uid for row in found}) == len(stamps)
    first = next(row for row in found if row.uid == "u0")
    assert from_us(first.created_us) == stamps[0].replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize("night", [datetime(2024, 10, 27), datetime(2024, 3, 31)])
def test_each_row_is_found_again_also_in_the_hour_that_the_clocks_skip(
    database: TestDatabase, reader_for: ReaderFactory, night: datetime
) -> None:
    """An application may write an hour that does not exist: nothing checks it."""
    if database.kind == "sqlite":
        pytest.skip("SQLite knows no zones: refused, see below")
    kind = "timestamp" if database.kind == "postgres" else "datetime(6)"
    text = "text" if database.kind == "postgres" else "varchar(100)"
    database.execute(
        f"CREATE TABLE files (uid {text} PRIMARY KEY, created_at {kind}, file_location text)"
    )
    for number in range(40):
        values = {"u": f"u{number}", "c": night + timedelta(minutes=10 * number)}
        database.execute("INSERT INTO files VALUES (:u, :c, '/x')", values)
    reader = reader_for(database, timezone="Europe/Warsaw")
    rows = read_all(reader, night.replace(tzinfo=UTC) - 2 * DAY_LONG, LATE)
    keys = [(row.uid, from_us(row.created_us)) for row in rows]
    assert len(keys) == 40
    assert [None if row is None else row.uid for row in reader.lookup(keys)] == [
        uid for uid, _ in keys
    ]


def test_a_row_is_gone_only_if_that_is_proved(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    table = files_table(database, rows=20, days=2, files=False)
    reader = reader_for(database)
    *_, older, newest = sorted(table.rows.values(), key=lambda row: (row.created_at, row.uid))
    assert not reader.is_gone(older.uid, older.created_at), "it is there"
    assert not reader.is_gone(older.uid, older.created_at - DAY_LONG), "it has another time"
    assert reader.is_gone("no such uid", table.rows[older.uid].created_at - DAY_LONG)
    assert not reader.is_gone("no such uid", newest.created_at), "nothing newer is there"


@pytest.mark.sqlite
def test_sqlite_reads_every_form_of_time(make_database: Any, reader_for: ReaderFactory) -> None:
    database = make_database("sqlite")
    database.execute("CREATE TABLE files (uid TEXT, created_at TEXT, file_location TEXT)")
    database.execute("CREATE INDEX idx_files_created_at ON files (created_at)")
    forms = {
        "space": "2024-01-02 10:00:00",
        "T": "2024-01-02T10:00:00",
        "zulu": "2024-01-02T10:00:00Z",
        "fraction": "2024-01-02T10:00:00.000000Z",
        "offset": "2024-01-02T12:00:00+02:00",
        "other day": "2024-01-01T23:00:00.0-11:00",
    }
    for uid, text in forms.items():
        database.execute("INSERT INTO files VALUES (:u, :c, '/x')", {"u": uid, "c": text})
    moment = datetime(2024, 1, 2, 10, tzinfo=UTC)
    reader = reader_for(database, page_size=2)
    assert {row.uid for row in read_all(reader, moment - US, moment)} == set(forms)
    assert read_all(reader, moment, moment + timedelta(days=1)) == []
    assert {row.created_us for row in read_all(reader, moment - US, moment)} == {
        int(moment.timestamp()) * 1_000_000
    }


@pytest.mark.sqlite
def test_sqlite_refuses_zones(make_database: Any, reader_for: ReaderFactory) -> None:
    database = make_database("sqlite")
    database.execute("CREATE TABLE files (uid TEXT, created_at TEXT, file_location TEXT)")
    with pytest.raises(ConfigError, match="must be UTC"):
        reader_for(database, timezone="Europe/Warsaw")


def test_missing_table_and_columns_are_named(
    database: TestDatabase, files_table: FilesTableFactory, reader_for: ReaderFactory
) -> None:
    files_table(database, rows=1, files=False)
    with pytest.raises(WrongSchema, match="no table filez") as table_error:
        reader_for(database, table_name="filez")
    assert "files" in str(table_error.value.hint)
    with pytest.raises(WrongSchema, match="no column file_locatoin") as column_error:
        reader_for(database, location_column="file_locatoin")
    assert "file_location" in str(column_error.value.hint)


def test_created_at_must_be_a_time(database: TestDatabase, reader_for: ReaderFactory) -> None:
    database.execute(
        "CREATE TABLE files (uid varchar(10), created_at integer, file_location varchar(10))"
    )
    with pytest.raises(WrongSchema, match="created_at"):
        reader_for(database)
