"""What a connection is like each time it is taken from the pool, and whose errors are whose."""

import pytest
import sqlalchemy as sa

from des_core.basics.errors import DesError
from des_core.database.catalog import Catalog
from des_core.database.connections import open_database
from support.servers.database import TestDatabase

ISOLATION = {
    "postgres": "SELECT current_setting('transaction_isolation')",
    "mysql": "SELECT @@transaction_isolation",
}


def isolation(database: TestDatabase, connection: sa.Connection) -> str:
    name = ISOLATION[database.kind]
    if database.server == "mariadb":
        name = "SELECT @@tx_isolation"
    return str(connection.exec_driver_sql(name).scalar_one()).upper().replace("-", " ")


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_connection_that_ran_without_a_transaction_is_as_before(database: TestDatabase) -> None:
    opened = open_database(database.url)
    for _ in range(2):
        with opened.read() as tx:
            assert isolation(database, tx.connection) == "READ COMMITTED"
        with opened.autocommit() as tx:
            tx.connection.exec_driver_sql("SELECT 1")
    opened.close()


def test_an_error_names_the_database_that_it_came_from(
    database: TestDatabase, config_database: TestDatabase
) -> None:
    """Also where it gets out through a block of another one."""
    source = open_database(database.url, create=True)
    config = open_database(config_database.url, create=True)
    with pytest.raises(DesError) as caught, config.read(), source.engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    source.close()
    config.close()
    assert caught.value.facts["database"] == source.label


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5])
def test_pages_hold_each_row_once(database: TestDatabase, rows: int) -> None:
    """Whatever the last page holds; and no page is asked for that can hold nothing."""
    database.execute("CREATE TABLE counted (number INTEGER)")
    opened = open_database(database.url)
    add = Catalog(opened.dialect).parse("add", "INSERT INTO counted VALUES (:number)")
    with opened.write() as tx:
        assert tx.run_many(add, ({"number": number} for number in range(rows))) == rows
    page = Catalog(opened.dialect).parse(
        "page",
        "SELECT number FROM counted WHERE number > :after ORDER BY number LIMIT :page_size",
    )
    values = {"after": -1, "page_size": 2}
    with opened.read() as tx:
        together = list(tx.pages(page, values, after="number"))
    apart = list(opened.pages(page, values, after="number"))
    opened.close()
    assert together == apart
    assert [row.number for rows in apart for row in rows] == list(range(rows))
    assert all(len(rows) == 2 for rows in apart[:-1])
