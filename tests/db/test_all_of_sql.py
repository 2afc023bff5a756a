"""Each server understands each statement: no function, column or syntax that one of them lacks.

Nothing is run: the server reads the statement, looks up every name in it, and stops there. What is
outside the queries is run by the tests of migrations, backups and rehearsals on each server.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.migration.apply import upgrade
from des_core.migration.base.migration import open_migration
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

# Asked by the program after it has asked for the version of the server; CREATE TABLE, which
# PostgreSQL does not prepare and which `migrate up` has run.
NOT_ASKED = {"mariadb": {"migration_row_versions"}, "postgres": {"version_table", "lease_prepare"}}
_PARAMETER = re.compile(r"(?<![:\\]):([a-z]\w*)")


def _bare(sql: str) -> str:
    """Without the comments before it."""
    return re.sub(r"\A(\s*--[^\n]*\n)+", "", sql)


def as_postgres(connection: sa.Connection, sql: str) -> None:
    names = list(dict.fromkeys(_PARAMETER.findall(sql)))
    text = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", sql).replace(r"\:", ":")
    connection.exec_driver_sql(
        f"DEALLOCATE ALL; PREPARE s AS {text}", execution_options={"no_parameters": True}
    )


def as_mysql(connection: sa.Connection, sql: str) -> None:
    text = _PARAMETER.sub("?", sql).replace(r"\:", ":")
    connection.execute(sa.text("SET @statement = :text"), {"text": text})
    connection.exec_driver_sql("PREPARE s FROM @statement")


def as_sqlite(connection: sa.Connection, sql: str) -> None:
    values = dict.fromkeys(_PARAMETER.findall(sql))
    connection.execute(sa.text(f"EXPLAIN {sql}"), values)


READ: dict[str, Callable[[sa.Connection, str], None]] = {
    "postgres": as_postgres,
    "mysql": as_mysql,
    "sqlite": as_sqlite,
}


def test_each_query_is_understood(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 10, days=2, archived_days=1, files=False)
    settings = settings_for(database)
    upgrade(settings)
    problems: dict[str, Any] = {}
    with open_migration(settings) as migration:
        statements = list(migration.source_catalog.list())
        left_out = NOT_ASKED.get(database.server, set())
        for statement in statements:
            if statement.name in left_out:
                continue
            # SQLAlchemy makes a list of what stands behind IN.
            text = re.sub(r"\bIN (:\w+)", r"IN (\1)", _bare(statement.escaped))
            try:
                with migration.source.engine.connect() as connection:
                    READ[database.kind](connection, text)
            except sa.exc.DBAPIError as exc:
                problems[statement.name] = str(exc.orig)
    assert len(statements) > 100
    assert problems == {}


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_a_function_that_is_gone_is_found(database: TestDatabase) -> None:
    """MySQL 9 has no SHA1() any more."""
    with database.session() as session, pytest.raises(sa.exc.DBAPIError, match="SHA1"):
        as_mysql(session, "SELECT SHA1(:text)")
