"""What the users of the configuration may do: what is missing is named before a job fails on it."""

from __future__ import annotations

import os
from pathlib import Path

from des_core.basics.identifiers import Dialect
from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.database.catalog import config_statement
from des_core.database.connections import Database
from des_core.database.grants import read_table_needs
from des_core.database.mysql_grants import (
    EVERY_TABLE,
    Grant,
    default_schema,
    find_missing,
    is_granted,
    read_grants,
)
from des_core.database.roles import Place, Role

# Without these the runner cannot work; the others are for migrations.
RUNNER_NEEDS = ("read", "write")
# MySQL and MariaDB: the privilege, on the table itself or on all of its schema.
SOURCE_NEEDS = {
    "read the table": "SELECT",
    "set its flags": "UPDATE",
    "change its columns": "ALTER",
    "change its indexes": "INDEX",
    "see its triggers": "TRIGGER",
}
SOURCE_SCHEMA_NEEDS = {"see what views read": "SHOW VIEW"}
CONFIG_SCHEMA_NEEDS = {
    "create tables": "CREATE",
    "empty our tables": "DELETE",
    "drop our tables": "DROP",
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
        "des-admin migrate sql up > up.sql, for a user who may; "
        "or: des-admin sql grants admin --to USER",
    )


def _missing_in_source(patient: Patient) -> list[str]:
    database, table = patient.source, patient.settings.database.table
    statement = patient.reader.catalog.get("privileges_source")
    if database.dialect is Dialect.MYSQL:
        grants = read_grants(database, statement)
        schema = table.schema or default_schema(database)
        return [
            *find_missing(grants, SOURCE_NEEDS, schema, table.name),
            *find_missing(grants, SOURCE_SCHEMA_NEEDS, schema, EVERY_TABLE),
        ]
    is_postgres = database.dialect is Dialect.POSTGRES
    values = {"table_name": table.quoted(Dialect.POSTGRES)} if is_postgres else {}
    with database.read() as tx:
        return [row.name for row in tx.run(statement, values) if not row.is_held]


def _missing_in_config(database: Database) -> list[str]:
    statement = config_statement(database.dialect, "privileges_config")
    if database.dialect is Dialect.MYSQL:
        grants, schema = read_grants(database, statement), default_schema(database)
        return [
            *_unusable_tables(grants, schema),
            *find_missing(grants, CONFIG_SCHEMA_NEEDS, schema, EVERY_TABLE),
        ]
    with database.read() as tx:
        missing = [row.name for row in tx.run(statement) if not row.is_held]
    path = database.engine.url.database
    if database.dialect is Dialect.SQLITE and path and path != ":memory:":
        # The directory too: that is where the journal is made.
        places = (Path(path), Path(path).absolute().parent)
        missing += [f"write {p}" for p in places if p.exists() and not os.access(p, os.W_OK)]
    return missing


def _unusable_tables(grants: list[Grant], schema: str) -> list[str]:
    """Our tables that this user may not use as the runner does; nothing, or one phrase."""
    needs = read_table_needs(Dialect.MYSQL, Role.RUNNER, Place.CONFIG)
    tables = [
        table
        for table, privileges in needs.items()
        if not all(is_granted(grants, privilege, schema, table) for privilege in privileges)
    ]
    return [f"read and write {', '.join(tables)}"] if tables else []
