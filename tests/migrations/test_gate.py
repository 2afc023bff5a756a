"""The gate before the column goes: each check refuses on its own, and nothing is changed."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from des_core.basics.errors import Refused
from des_core.ledger.revisions import Direction
from des_core.migration.apply import make_plan, upgrade
from des_core.migration.run import MigrationOptions
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTable, FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.limited_user import limited_user

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
LATE = datetime(2024, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.fixture
def seeded(database: TestDatabase, files_table: FilesTableFactory) -> FilesTable:
    """Everything up to the watermark."""
    table = files_table(database, 60, days=6, archived_days=3, holes=3, files=False)
    upgrade(settings_for(database))
    return table


def refusal(database: TestDatabase, options: MigrationOptions = DROP) -> str:
    """The message with which the drop is refused; the column is still there."""
    with pytest.raises(Refused, match="the column archived stays") as caught:
        upgrade(settings_for(database), options=options)
    assert all(row[4] is not None for row in canonical_rows(database))
    return str(caught.value)


def test_without_a_backup(seeded: FilesTable) -> None:
    options = MigrationOptions(drop_archived=True)
    assert "no backup of this database with files is recorded" in refusal(seeded.database, options)


def test_in_one_go_from_nothing(database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    assert "no backup" in refusal(database, MigrationOptions(drop_archived=True))
    assert "des_archive_config" not in database.table_names()
    upgrade(settings_for(database), options=DROP)
    assert all(row[4] is None for row in canonical_rows(database))


def test_the_backup_is_recorded(seeded: FilesTable) -> None:
    upgrade(settings_for(seeded.database), actor="alice", options=DROP)
    [(actor, details)] = seeded.database.rows(
        "SELECT actor, details FROM des_archive_event WHERE action = 'migrate.drop_archived'"
    )
    assert actor == "alice"
    assert "dump of Monday" in details


def test_while_the_old_packer_marks_rows_above(seeded: FilesTable) -> None:
    seeded.database.execute("UPDATE files SET archived = TRUE WHERE uid = 'doc-0000058.jpg'")
    assert "above the watermark" in refusal(seeded.database)


def test_with_a_row_below_the_seed_that_is_no_exception(seeded: FilesTable) -> None:
    seeded.add("late", LATE)
    text = refusal(seeded.database)
    assert "below the seed" in text
    assert "late" in text


def test_packed_holes_do_not_matter(seeded: FilesTable) -> None:
    seeded.database.execute(
        "UPDATE des_archive_exception SET resolved_at = last_seen, resolution = 'packed'"
    )
    upgrade(settings_for(seeded.database), options=DROP)


def test_without_the_index(seeded: FilesTable) -> None:
    place = " ON files" if seeded.database.kind == "mysql" else ""
    seeded.database.execute("DROP INDEX idx_files_created_at" + place)
    assert "no valid index" in refusal(seeded.database)


def test_with_a_view(seeded: FilesTable) -> None:
    seeded.database.execute("CREATE VIEW pending AS SELECT uid FROM files WHERE NOT archived")
    assert "view pending" in refusal(seeded.database)


def test_with_another_index(seeded: FilesTable) -> None:
    seeded.database.execute("CREATE INDEX old_reports ON files (archived)")
    assert "index old_reports" in refusal(seeded.database)


def test_with_a_trigger(seeded: FilesTable) -> None:
    database = seeded.database
    if database.kind == "postgres":
        database.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.archived := false; RETURN NEW; END'"
        )
        database.execute(
            "CREATE TRIGGER noted BEFORE INSERT ON files FOR EACH ROW EXECUTE FUNCTION note()"
        )
    elif database.kind == "mysql":
        database.execute(
            "CREATE TRIGGER noted BEFORE INSERT ON files FOR EACH ROW SET NEW.archived = 0"
        )
    else:
        database.execute(
            "CREATE TRIGGER noted AFTER INSERT ON files BEGIN"
            " UPDATE files SET archived = 0 WHERE uid = NEW.uid; END"
        )
    assert "trigger noted" in refusal(database)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_with_a_session_that_used_the_column(seeded: FilesTable) -> None:
    database = seeded.database
    connection = database.connect()
    connection.execute("SELECT count(*) FROM files WHERE archived = false")
    text = refusal(database)
    assert f"pid {connection.info.backend_pid}" in text


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_with_a_view_in_another_database(
    seeded: FilesTable, make_database: Callable[[str], TestDatabase]
) -> None:
    database, other = seeded.database, make_database(seeded.database.server)
    other.execute(
        f"CREATE VIEW pending AS SELECT uid FROM {database.name}.files WHERE archived = 0"
    )
    other.execute("CREATE TABLE files (uid INTEGER, archived BOOLEAN)")
    other.execute("CREATE VIEW of_its_own AS SELECT uid FROM files WHERE archived = 0")
    text = refusal(database)
    assert f"view {other.name}.pending" in text
    assert "of_its_own" not in text


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_with_views_and_triggers_that_this_user_may_not_see(seeded: FilesTable) -> None:
    """MariaDB answers those who may not see them as if there were none."""
    database = seeded.database
    database.execute("CREATE VIEW pending AS SELECT uid FROM files WHERE archived = 0")
    database.execute(
        "CREATE TRIGGER noted BEFORE INSERT ON files FOR EACH ROW SET NEW.archived = 0"
    )
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP"
    grants = (f"GRANT {rights} ON {database.name}.*", "GRANT PROCESS ON *.*")
    with limited_user(database, grants) as limited:
        text = refusal(limited)
    assert "views and triggers are hidden from this user" in text


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_sessions_that_this_user_may_not_see_are_a_warning(seeded: FilesTable) -> None:
    database = seeded.database
    owner = f"owner_{database.name[-8:]}"
    database.execute(f"CREATE ROLE {owner}")
    for table in database.table_names():
        database.execute(f'ALTER TABLE "{table}" OWNER TO {owner}')
    database.connect().execute("SELECT count(*) FROM files WHERE archived = false")
    grants = (f"GRANT {owner}", "GRANT USAGE, CREATE ON SCHEMA public")
    try:
        with limited_user(database, grants) as limited:
            plan = make_plan(settings_for(limited), direction=Direction.UP, options=DROP)
    finally:
        database.close_connections()
        database.execute(f"DROP OWNED BY {owner} CASCADE")
        database.execute(f"DROP ROLE {owner}")
    [users] = [finding for finding in plan.gate if finding.check == "users"]
    assert users.is_passed
    assert users.is_warning
    assert "hidden" in users.text


def test_the_plan_shows_every_finding(seeded: FilesTable) -> None:
    seeded.add("late", LATE)
    options = MigrationOptions(drop_archived=True)
    plan = make_plan(settings_for(seeded.database), direction=Direction.UP, options=options)
    failed = {finding.check for finding in plan.gate if not finding.is_passed}
    assert failed == {"backup", "below"}
    assert len(plan.gate) == 6
