"""`migrate sql`: run by the real clients, the scripts leave what the program leaves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_scripts, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.steps.sql_file import get_step
from des_core.settings.config import Settings
from migrations.test_seed import IMPOSSIBLE
from support.program.migrating import rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, add_odd_row, canonical_rows
from support.rows.shape import AWKWARD, TableShape
from support.servers.clients import run_script
from support.servers.database import TestDatabase, to_microseconds
from support.servers.kinds import MIXED_SERVERS

KEEP = MigrationOptions()
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
NASTY = replace(AWKWARD, index="idx_files_created_archived")
MakeDatabase = Callable[[str], TestDatabase]


def run_scripts(
    settings: Settings, direction: Direction, options: MigrationOptions, *places: TestDatabase
) -> None:
    """Each script in order, on the database that it is for."""
    for script in make_scripts(settings, direction=direction, actor="dba", options=options):
        database = places[0] if script.place.startswith("source") else places[-1]
        run_script(database, script.text)


def schema_of(database: TestDatabase) -> dict[str, Any]:
    """Columns and indexes of every table, as the server describes them.

    0 and FALSE are one default: a script cannot know in which words SQLite kept it.
    """
    found = {}
    with database.session() as session:
        inspector = sa.inspect(session)
        for table in sorted(set(inspector.get_table_names()) - {"des_archive_lease"}):
            columns = [
                (
                    column["name"],
                    str(column["type"]),
                    column["nullable"],
                    "FALSE" if column["default"] == "0" else column["default"],
                )
                for column in inspector.get_columns(table)
            ]
            indexes = sorted(
                (str(index["name"]), tuple(index["column_names"]), index["unique"])
                for index in inspector.get_indexes(table)
            )
            found[table] = (columns, indexes, inspector.get_pk_constraint(table))
    return found


def state_of(database: TestDatabase, config: TestDatabase, shape: TableShape) -> dict[str, Any]:
    """What a migration leaves, without clock times, names of people, events and locations."""
    tables = config.table_names()
    state: dict[str, Any] = {
        "files": [(*row[:2], row[4]) for row in canonical_rows(database, shape)],
        "schema": schema_of(database),
        "config schema": schema_of(config),
        "versions": sorted(
            database.rows("SELECT version_num FROM des_admin_version")
            + config.rows("SELECT version_num FROM des_admin_version")
        ),
        "exceptions": [
            (uid, digest, to_microseconds(at), bool(archived), *rest)
            for uid, digest, at, archived, *rest in config.rows(
                "SELECT uid, uid_sha256, created_at, archived, reason, attempts, resolution"
                " FROM des_archive_exception ORDER BY created_at, uid"
            )
        ],
    }
    if "des_archive_config" in tables:
        [(identity, until, lag, fence)] = config.rows(
            "SELECT id, archived_until, lag_days, fence FROM des_archive_config"
        )
        state["watermark"] = (identity, to_microseconds(until), lag, fence)
    jobs = config.rows("SELECT name, cursor_created_at, rows_done FROM des_archive_job")
    state["jobs"] = sorted(
        (name, to_microseconds(cursor), rows)
        for name, cursor, rows in jobs
        if name in ("seed", "retired")
    )
    return state


@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
@pytest.mark.parametrize("shape", [TableShape(), NASTY], ids=["guide", "awkward"])
def test_scripts_do_what_the_program_does(
    database: TestDatabase,
    make_database: MakeDatabase,
    files_table: FilesTableFactory,
    options: MigrationOptions,
    shape: TableShape,
) -> None:
    other = make_database(database.server)
    for place in (database, other):
        files_table(place, 90, days=6, archived_days=4, holes=5, ties=3, files=False, shape=shape)
    by_program = settings_for(database, **shape.settings())
    by_script = settings_for(other, **shape.settings())
    for _ in range(2):
        upgrade(by_program, options=options)
        run_scripts(by_script, Direction.UP, options, other)
        assert state_of(other, other, shape) == state_of(database, database, shape)
        downgrade(by_program)
        run_scripts(by_script, Direction.DOWN, options, other)
        left, right = state_of(other, other, shape), state_of(database, database, shape)
        assert left == right


@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
@pytest.mark.parametrize(
    ("database", "config_database"),
    MIXED_SERVERS,
    indirect=True,
)
def test_two_databases_get_two_scripts(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    options: MigrationOptions,
) -> None:
    files_table(database, 90, days=6, archived_days=4, holes=5, files=False)
    before = canonical_rows(database)
    settings = settings_for(database, config_database)
    run_scripts(settings, Direction.UP, options, database, config_database)
    assert upgrade(settings).revisions == ()
    expected = before
    if options is KEEP:
        expected = rows_by_formula(database, config_database)
    run_scripts(settings, Direction.DOWN, options, database, config_database)
    assert canonical_rows(database) == expected == before
    assert downgrade(settings).revisions == ()


def test_nothing_archived_yet(
    database: TestDatabase, make_database: MakeDatabase, files_table: FilesTableFactory
) -> None:
    other = make_database(database.server)
    for place in (database, other):
        files_table(place, 30, days=3, files=False)
    upgrade(settings_for(database))
    run_scripts(settings_for(other), Direction.UP, KEEP, other)
    shape = TableShape()
    assert state_of(other, other, shape) == state_of(database, database, shape)


@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
@pytest.mark.parametrize("newest", ["2024-03-02", "2024-04-31 10:00:00"])
@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_impossible_days_of_mysql(
    database: TestDatabase,
    make_database: MakeDatabase,
    files_table: FilesTableFactory,
    options: MigrationOptions,
    newest: str,
) -> None:
    """The exception of such a row has another time than the row, and is still its own."""
    other = make_database(database.server)
    for place in (database, other):
        files_table(place, 0)
        for text in IMPOSSIBLE:
            add_odd_row(place, text, uid=text)
            add_odd_row(place, text, uid=f"packed {text}", archived=True)
        add_odd_row(place, newest, uid="newest", archived=True)
    before = dict(database.rows("SELECT uid, archived FROM files"))
    by_program, by_script = settings_for(database), settings_for(other)
    upgrade(by_program, options=options)
    run_scripts(by_script, Direction.UP, options, other)
    for table in ("des_archive_exception", "des_archive_config"):
        columns = "uid, created_at" if table == "des_archive_exception" else "archived_until"
        query = f"SELECT {columns} FROM {table} ORDER BY 1"
        assert other.rows(query) == database.rows(query)
    downgrade(by_program)
    run_scripts(by_script, Direction.DOWN, options, other)
    for place in (database, other):
        assert dict(place.rows("SELECT uid, archived FROM files")) == before


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_exceptions_are_written_from_each_to_its_row(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """MySQL read the whole table, and looked through half of the exceptions for each row."""
    files_table(database, 2000, days=8, archived_days=7, holes=1000, files=False)
    settings = settings_for(database)
    upgrade(settings)
    for table in ("files", "des_archive_exception"):
        database.rows(f"ANALYZE TABLE {table}")
    with open_migration(settings) as migration:
        step = get_step(migration.source_catalog, "0004_drop_archived.down", "write_exceptions")
    form = "FORMAT=TRADITIONAL " if database.server == "mysql" else ""
    plan = database.rows(f"EXPLAIN {form}{step.statement.sql}")
    assert [row[2] for row in plan] == ["e", "files"]
