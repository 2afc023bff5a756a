"""Times and days are bound as our own tables hold them, in every dialect."""

from datetime import date, datetime, timedelta, timezone

import pytest

from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog
from des_core.database.connections import open_database
from des_core.database.stored_time import day_from_stored, from_stored
from support.servers.database import TestDatabase

MOMENT = datetime(2024, 11, 1, 1, 30, 0, 7, tzinfo=timezone(timedelta(hours=2)))
COLUMNS = {
    "postgres": "moment timestamptz, day date",
    "mysql": "moment DATETIME(6), day DATE",
    "sqlite": "moment TEXT, day TEXT",
}
INSERT = "INSERT INTO held (moment, day) VALUES (:moment, :day)"


def test_a_time_is_bound_as_our_tables_hold_it(database: TestDatabase) -> None:
    database.execute(f"CREATE TABLE held ({COLUMNS[database.kind]})")
    opened = open_database(database.url)
    add = Catalog(opened.dialect).parse("add", INSERT)
    with opened.write() as tx:
        tx.run(add, {"moment": MOMENT, "day": date(2024, 10, 31)})
        tx.connection.execute(add.clause, [{"moment": MOMENT, "day": None}] * 2)
    look = Catalog(opened.dialect).parse("look", "SELECT * FROM held WHERE moment = :moment")
    with opened.read() as tx:
        rows = tx.run(look, {"moment": MOMENT}).all()
    opened.close()
    assert [from_stored(row.moment) for row in rows] == [MOMENT] * 3
    assert day_from_stored(rows[0].day) == date(2024, 10, 31)
    if database.kind == "sqlite":
        assert rows[0].moment == "2024-10-31 23:30:00.000007"
        assert rows[0].day == "2024-10-31"


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_naive_time_of_the_application_is_left_as_it_is(database: TestDatabase) -> None:
    kind = "timestamp" if database.kind == "postgres" else "DATETIME(6)"
    database.execute(f"CREATE TABLE held (moment {kind}, day DATE)")
    opened = open_database(database.url)
    naive = MOMENT.replace(tzinfo=None)
    with opened.write() as tx:
        tx.run(Catalog(opened.dialect).parse("add", INSERT), {"moment": naive, "day": None})
    opened.close()
    assert database.value("SELECT moment FROM held") == naive


def test_a_statement_is_parsed_once() -> None:
    catalog = Catalog(Dialect.POSTGRES)
    assert catalog.get("watermark_read") is catalog.get("watermark_read")
    assert catalog.get("watermark_read").clause is catalog.get("watermark_read").clause
