"""What the users of the configuration may do: what is missing is named before a job fails on it."""

from __future__ import annotations

import os
from pathlib import Path

from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.database import Database, run
from des_core.identifiers import Dialect
from des_core.sql_catalog import config_statement

# Without these the runner cannot work; the others are for migrations.
RUNNER_NEEDS = ("read", "write")


def check_privileges(patient: Patient) -> Check:
    """The source may be read, our tables written, and migrations run."""
    missing = [*_missing_in_source(patient), *_missing_in_config(patient.config)]
    if not missing:
        return ok("privileges", "may read files, write our tables and migrate")
    words = f"this user may not {', nor '.join(dict.fromkeys(missing))}"
    if any(name.startswith(RUNNER_NEEDS) for name in missing):
        return failed("privileges", words, "GRANT it, or name another user in database.url")
    return warning(
        "privileges",
        f"{words}: enough for the runner, not for migrations",
        "des-admin migrate sql up > up.sql, for a user who may",
    )


def _missing_in_source(patient: Patient) -> list[str]:
    database, table = patient.source, patient.settings.database.table
    statement = patient.reader.catalog.get("privileges_source")
    values: dict[str, object] = {}
    if database.dialect is Dialect.POSTGRES:
        values = {"table_name": table.quoted(Dialect.POSTGRES)}
    elif database.dialect is Dialect.MYSQL:
        values = {"schema_name": table.schema, "table_only": table.name}
    with database.read() as connection:
        return [row.name for row in run(connection, statement, values) if not row.is_held]


def _missing_in_config(database: Database) -> list[str]:
    statement = config_statement(database.dialect, "privileges_config")
    with database.read() as connection:
        missing = [row.name for row in run(connection, statement) if not row.is_held]
    path = database.engine.url.database
    if database.dialect is Dialect.SQLITE and path and path != ":memory:":
        # The directory too: that is where the journal is made.
        places = (Path(path), Path(path).absolute().parent)
        missing += [f"write {p}" for p in places if p.exists() and not os.access(p, os.W_OK)]
    return missing
