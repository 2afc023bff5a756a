"""Nothing runs that the plan does not list: every statement is recorded and looked for in it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.basics.identifiers import Dialect
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.migration.plan import MigrationPlan
from des_core.settings.config import Settings
from support.program.migrating import advance, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.rows.partitioned import partition_files
from support.servers.database import TestDatabase

KEEP = MigrationOptions()
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
PURGE = MigrationOptions(purge=True)
# What has nothing to do with either table: manners of the connection, transactions, the lock.
SILENT = re.compile(
    r"\s*(SET|PRAGMA|BEGIN|COMMIT|ROLLBACK|SHOW|DESCRIBE|SAVEPOINT)\b|.*\bdes_archive_lock\b|.*\bdes_archive_lease\b",
    re.IGNORECASE | re.DOTALL,
)
READS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
FILES = re.compile(r"\b(FROM|JOIN|UPDATE|INTO)\s+[\"`]?files\b", re.IGNORECASE)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The text of every statement that is sent to any database while the block runs."""
    seen: list[str] = []

    def hear(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", hear)


def normal(text: str) -> str:
    """A statement without its layout, and with one sign for a parameter of any driver."""
    text = re.sub(r"--[^\n]*", " ", text)
    text = re.sub(r"%\(\w+\)s(::\w+)?|(?<![:\w\\]):\w+(?!:)", "?", text)
    return " ".join(text.replace("%%", "%").split())


def unlisted(seen: list[str], plan: MigrationPlan) -> list[str]:
    """What ran and is not in the plan, reads of the catalogue and of our own tables aside."""
    listed = {normal(statement.sql) for statement in plan.statements}
    found = []
    for text in map(normal, seen):
        if SILENT.match(text) or (READS.match(text) and not FILES.search(text)):
            continue
        if text not in listed:
            found.append(text)
    return sorted(set(found))


def there(settings: Settings, options: MigrationOptions = KEEP) -> None:
    """Up by its plan, with every statement held against it."""
    plan = make_plan(settings, direction=Direction.UP, options=options)
    with recorded() as seen:
        upgrade(settings, options=options, plan=plan)
    assert seen
    assert unlisted(seen, plan) == []


def back(settings: Settings, options: MigrationOptions = KEEP) -> None:
    """Down by its plan, with every statement held against it."""
    plan = make_plan(settings, direction=Direction.DOWN, options=options)
    with recorded() as seen:
        downgrade(settings, options=options, plan=plan)
    assert seen
    assert unlisted(seen, plan) == []


@pytest.mark.parametrize("sessions", [1, 2])
@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
def test_there_and_back(
    database: TestDatabase,
    files_table: FilesTableFactory,
    options: MigrationOptions,
    sessions: int,
) -> None:
    if sessions > 1 and database.kind == Dialect.SQLITE:
        sessions = 1
    files_table(database, 300, days=6, archived_days=4, holes=9, ties=3, files=False)
    settings = settings_for(database)
    before = canonical_rows(database)
    there(settings, options)
    there(settings, options)
    back(settings, MigrationOptions(sessions=sessions))
    assert canonical_rows(database) == before
    there(settings, options)
    advance(settings, 1)
    back(settings, PURGE)
    assert "des_archive_event" not in database.table_names()


@pytest.mark.parametrize(
    ("database", "config_database"),
    [("sqlite", "postgres"), ("postgres", "mariadb"), ("mariadb", "sqlite")],
    indirect=True,
)
def test_in_two_databases(
    database: TestDatabase, config_database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 200, days=5, archived_days=3, holes=5, files=False)
    settings = settings_for(database, config_database)
    there(settings, DROP)
    advance(settings, 1)
    back(settings, PURGE)


def test_step_by_step(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 60, days=5, archived_days=3, holes=2, files=False)
    settings = settings_for(database)
    there(settings)
    there(settings, DROP)
    back(settings)


def test_a_config_table_made_by_hand(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    kinds = {"postgres": "TIMESTAMP", "mysql": "DATETIME", "sqlite": "TEXT"}
    files_table(database, 60, days=5, archived_days=3, holes=2, files=False)
    database.execute(
        "CREATE TABLE des_archive_config (id INTEGER PRIMARY KEY,"
        f" archived_until {kinds[database.kind]} NOT NULL, lag_days INTEGER NOT NULL)"
    )
    database.execute("INSERT INTO des_archive_config VALUES (1, '2024-01-03 12:00:00', 3)")
    there(settings_for(database))


def test_a_table_without_the_column(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 60, days=5, files=False)
    place = " ON files" if database.kind == "mysql" else ""
    database.execute("DROP INDEX idx_files_created_archived" + place)
    database.execute("ALTER TABLE files DROP COLUMN archived")
    settings = settings_for(database)
    there(settings)
    back(settings)
    assert all(row[4] is not None for row in canonical_rows(database))


@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
@pytest.mark.postgres
def test_a_partitioned_table(
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    options: MigrationOptions,
) -> None:
    database = make_database("postgres")
    files_table(database, 60, days=5, archived_days=3, holes=2, files=False)
    partition_files(database, 6)
    settings = settings_for(database)
    there(settings, options)
    back(settings)
