"""Tables that inherit from `files`: on PostgreSQL, a statement on it reads and writes them, too."""

from collections.abc import Callable

import pytest

from des_core.backup.identity import Target
from des_core.backup.partitions import with_partitions
from des_core.basics.errors import Refused
from des_core.basics.identifiers import TableName
from des_core.checks import examine
from des_core.database.connections import open_database
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.state.tables import estimate_rows
from des_core.settings.config import Settings
from support.program.migrating import advance, rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

pytestmark = pytest.mark.postgres
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
INDEX = "CREATE INDEX ON later (created_at)"


@pytest.fixture
def database(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> TestDatabase:
    """What is of the third day or later lies in a child table."""
    made = make_database("postgres")
    files_table(made, 120, days=8, archived_days=4, holes=6, files=False)
    made.execute_script(
        [
            "CREATE TABLE later () INHERITS (files)",
            "WITH moved AS (DELETE FROM ONLY files WHERE created_at >= (SELECT MIN(created_at)"
            " + INTERVAL '2 days' FROM files) RETURNING *) INSERT INTO later TABLE moved",
            "ANALYZE",
        ]
    )
    return made


@pytest.fixture
def settings(database: TestDatabase) -> Settings:
    return settings_for(database)


def test_a_child_without_an_index_is_refused_before_anything_is_made(
    database: TestDatabase, settings: Settings
) -> None:
    """Each window would read it from end to end."""
    with pytest.raises(Refused, match="child tables") as caught:
        upgrade(settings)
    assert "CREATE INDEX CONCURRENTLY" in str(caught.value.hint)
    assert "des_archive_config" not in database.table_names()
    database.execute(INDEX)
    upgrade(settings)
    with open_migration(settings) as migration:
        assert estimate_rows(migration) == 120


def test_a_child_that_came_later_is_seen(database: TestDatabase, settings: Settings) -> None:
    """By doctor, and by the checks before the drop."""
    database.execute(INDEX)
    upgrade(settings)
    database.execute("CREATE TABLE latest () INHERITS (later)")
    [index] = [check for check in examine(settings) if check.name == "index"]
    assert index.status == "failed"
    assert "latest" in index.detail
    with pytest.raises(Refused, match=r"without an index on created_at: latest"):
        upgrade(settings, options=DROP)


def test_there_and_back_past_a_trigger_of_a_child(
    database: TestDatabase, settings: Settings
) -> None:
    """It kept flags from being written, and the way back ended as if they had been."""
    database.execute(INDEX)
    upgrade(settings)
    upgrade(settings, options=DROP)
    advance(settings, 1)
    expected = rows_by_formula(database, database)
    database.execute_script(
        [
            "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER guard BEFORE UPDATE ON later FOR EACH ROW EXECUTE FUNCTION guard()",
        ]
    )
    with pytest.raises(Refused, match="trigger guard"):
        downgrade(settings)
    database.execute("DROP TRIGGER guard ON later")
    downgrade(settings)
    assert canonical_rows(database) == expected


def test_a_column_that_a_child_has_of_its_own_stays(
    database: TestDatabase, settings: Settings
) -> None:
    """It would outlive the drop, and come back into use with the flags of that day."""
    database.execute_script(
        [
            "CREATE TABLE own (LIKE later INCLUDING ALL) INHERITS (files)",
            "CREATE INDEX ON own (created_at)",
            INDEX,
        ]
    )
    upgrade(settings)
    with pytest.raises(Refused, match="child table own"):
        upgrade(settings, options=DROP)


def test_a_dump_of_chosen_tables_has_the_child(database: TestDatabase) -> None:
    opened = open_database(database.url)
    chosen = with_partitions(Target(database.url, opened), (TableName("files", None),))
    opened.close()
    assert [table.name for table in chosen] == ["files", "later"]
