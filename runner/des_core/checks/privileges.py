"""What the users of the configuration may do: what is missing is named before a job fails on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.mysql_grants import is_granted, parse_grants
from des_core.checks.patient import Patient
from des_core.database import Database, run
from des_core.identifiers import Dialect
from des_core.migration.live_state import CONFIG_TABLE
from des_core.sql_catalog import Statement, config_statement

# Without these the runner cannot work; the others are for migrations.
RUNNER_NEEDS = ("read", "write")
# MySQL and MariaDB: what is needed for what.
SOURCE_NEEDS = {
    "read the table": ("SELECT",),
    "change its columns": ("ALTER",),
    "change its indexes": ("INDEX",),
}
CONFIG_NEEDS = {
    "create tables": ("CREATE",),
    f"write {CONFIG_TABLE}": ("SELECT", "UPDATE"),
}


def check_privileges(patient: Patient) -> Check:
    """The source may be read, our tables written, and migrations run."""
    missing = [*_missing_in_source(patient), *_missing_in_config(patient.config)]
    if not missing:
        return ok("privileges", "may read files, write our tables and migrate")
    words = f"this user may not {', nor '.join(dict.fromkeys(missing))}"
    if any(name.startswith(RUNNER_NEEDS) for name in missing):
        return failed("privileges", words, "a DBA grants it: des-admin sql grants runner --to USER")
    return warning(
        "privileges",
        f"{words}: enough for the runner, not for migrations",
        "des-admin migrate sql up > up.sql, for a user who may",
    )


def _missing_in_source(patient: Patient) -> list[str]:
    database, table = patient.source, patient.settings.database.table
    statement = patient.reader.catalog.get("privileges_source")
    if database.dialect is Dialect.MYSQL:
        return _missing_grants(database, statement, SOURCE_NEEDS, table.schema, table.name)
    is_postgres = database.dialect is Dialect.POSTGRES
    values = {"table_name": table.quoted(Dialect.POSTGRES)} if is_postgres else {}
    with database.read() as connection:
        return [row.name for row in run(connection, statement, values) if not row.is_held]


def _missing_in_config(database: Database) -> list[str]:
    statement = config_statement(database.dialect, "privileges_config")
    if database.dialect is Dialect.MYSQL:
        return _missing_grants(database, statement, CONFIG_NEEDS, None, CONFIG_TABLE)
    with database.read() as connection:
        missing = [row.name for row in run(connection, statement) if not row.is_held]
    path = database.engine.url.database
    if database.dialect is Dialect.SQLITE and path and path != ":memory:":
        # The directory too: that is where the journal is made.
        places = (Path(path), Path(path).absolute().parent)
        missing += [f"write {p}" for p in places if p.exists() and not os.access(p, os.W_OK)]
    return missing


def _missing_grants(
    database: Database,
    statement: Statement,
    needs: Mapping[str, tuple[str, ...]],
    schema: str | None,
    table: str,
) -> list[str]:
    with database.read() as connection:
        grants = parse_grants(run(connection, statement).scalars())
    schema = schema or database.engine.url.database or ""
    return [
        name
        for name, privileges in needs.items()
        if not all(is_granted(grants, privilege, schema, table) for privilege in privileges)
    ]
