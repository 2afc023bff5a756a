"""The gate before the column goes: each check refuses on its own, and nothing is changed."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from des_core.basics.errors import Refused
from des_core.checks import examine
from des_core.ledger.revisions import Direction
from des_core.migration.apply import make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions
from support.program.migrating import index_names, settings_for
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
    assert "below the initial watermark" in text
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


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
def test_views_of_other_databases_that_this_user_may_not_see_are_a_warning(
    seeded: FilesTable, make_database: Callable[[str], TestDatabase]
) -> None:
    database, other = seeded.database, make_database(seeded.database.server)
    other.execute(
        f"CREATE VIEW pending AS SELECT uid FROM {database.name}.files WHERE archived = 0"
    )
    grants = (f"GRANT ALL ON {database.name}.*", "GRANT PROCESS ON *.*")
    with limited_user(database, grants) as limited:
        plan = make_plan(settings_for(limited), direction=Direction.UP, options=DROP)
    [users] = [finding for finding in plan.gate if finding.check == "users"]
    assert (users.is_passed, users.is_warning) == (True, True)
    assert "views of other databases" in users.text


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
    assert len(plan.gate) == 9


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE STATISTICS both_of (dependencies) ON archived, size_bytes FROM files", "both_of"),
        (
            "CREATE FUNCTION waiting() RETURNS bigint LANGUAGE sql"
            " BEGIN ATOMIC SELECT count(*) FROM files WHERE NOT archived; END",
            "waiting",
        ),
        ("CREATE MATERIALIZED VIEW kept AS SELECT uid FROM files WHERE archived", "kept"),
        ("CREATE RULE keep AS ON UPDATE TO files WHERE NEW.archived DO NOTHING", "files"),
    ],
)
def test_with_anything_that_depends_on_the_column(
    seeded: FilesTable, statement: str, named: str
) -> None:
    """No list of kinds: the catalogue is asked."""
    seeded.database.execute(statement)
    assert named in refusal(seeded.database)


@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_routines_and_whole_rows_are_named(seeded: FilesTable) -> None:
    database = seeded.database
    if database.kind == "postgres":
        database.execute(
            "CREATE FUNCTION by_text() RETURNS bigint LANGUAGE sql AS"
            " 'SELECT count(*) FROM files WHERE archived'"
        )
        database.execute("CREATE TABLE copies (was files)")
        named = ["routine by_text()", "copies.was"]
    else:
        database.execute("CREATE PROCEDURE by_text() SELECT COUNT(*) FROM files WHERE archived = 1")
        database.execute(
            "CREATE EVENT at_night ON SCHEDULE EVERY 1 DAY DO"
            " UPDATE files SET archived = 1 WHERE uid = 'x'"
        )
        named = [f"procedure {database.name}.by_text", f"event {database.name}.at_night"]
    plan = make_plan(settings_for(database), direction=Direction.UP, options=DROP)
    [found] = [finding for finding in plan.gate if finding.check == "texts"]
    assert found.is_warning
    for name in named:
        assert name in found.text


@pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE files ROW_FORMAT=COMPRESSED",
        "ALTER TABLE files ADD FULLTEXT INDEX words (file_location)",
        "ALTER TABLE files ADD SYSTEM VERSIONING",
    ],
)
def test_what_the_server_refuses_is_refused_before_anything_goes(
    seeded: FilesTable, change: str
) -> None:
    database = seeded.database
    if "VERSIONING" in change and database.server == "mysql":
        change = "ALTER TABLE files ADD FULLTEXT INDEX names (uid)"
    database.execute(change)
    before = canonical_rows(database)
    with pytest.raises(Refused, match="this server would not drop it") as caught:
        upgrade(settings_for(database), options=DROP)
    assert "nothing was changed" in str(caught.value.hint)
    assert canonical_rows(database) == before
    assert "idx_files_created_archived" in index_names(database)
    assert "des_archive_trial" not in database.table_names()
    assert database.value("SELECT COUNT(*) FROM des_archive_event WHERE action LIKE '%drop%'") == 0


@pytest.mark.parametrize("database", ["sqlite", "mariadb", "mysql"], indirect=True)
def test_a_check_of_the_table_keeps_the_column(seeded: FilesTable) -> None:
    database = seeded.database
    check = "CHECK (archived IN (0, 1) OR uid = '')"
    if database.kind == "mysql":
        database.execute(f"ALTER TABLE files ADD CONSTRAINT sane {check}")
    else:
        [(text,)] = database.rows("SELECT sql FROM sqlite_master WHERE name = 'files'")
        end = text.rindex(")")
        database.execute_script(
            [
                "ALTER TABLE files RENAME TO plain",
                "DROP INDEX idx_files_created_archived",
                f"{text[:end]}, {check}{text[end:]}",
                "INSERT INTO files SELECT * FROM plain",
                "DROP TABLE plain",
                "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
                " WHERE archived = FALSE",
                "CREATE INDEX idx_files_created_at ON files (created_at)",
            ]
        )
    with pytest.raises(Refused, match="the column archived stays"):
        upgrade(settings_for(database), options=DROP)
    assert "idx_files_created_archived" in index_names(database)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("engine", ["MyISAM", "Aria"])
def test_an_engine_without_transactions_is_refused_in_the_plan(
    database: TestDatabase, files_table: FilesTableFactory, engine: str
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute(f"ALTER TABLE files MODIFY uid VARCHAR(80) NOT NULL, ENGINE={engine}")
    with pytest.raises(Refused, match=f"stored by {engine}"):
        make_plan(settings_for(database), direction=Direction.UP)


FIRES = {
    "postgres": [
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.size_bytes = 0; RETURN NEW; END'",
        "CREATE TRIGGER touched BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION touch()",
        "CREATE TRIGGER elsewhere BEFORE UPDATE OF size_bytes ON files"
        " FOR EACH ROW EXECUTE FUNCTION touch()",
        "CREATE TRIGGER born BEFORE INSERT ON files FOR EACH ROW EXECUTE FUNCTION touch()",
    ],
    "mysql": [
        "CREATE TRIGGER touched BEFORE UPDATE ON files FOR EACH ROW SET NEW.size_bytes = 0",
        "CREATE TRIGGER born BEFORE INSERT ON files FOR EACH ROW SET NEW.size_bytes = 0",
    ],
    "sqlite": [
        "CREATE TRIGGER touched AFTER UPDATE ON files BEGIN SELECT 1; END",
        "CREATE TRIGGER born AFTER INSERT ON files BEGIN SELECT 1; END",
    ],
}


def test_what_fires_when_flags_are_written_is_named(seeded: FilesTable) -> None:
    database = seeded.database
    database.execute_script(FIRES[database.kind])
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.DOWN)
    [found] = [finding for finding in plan.gate if finding.check == "triggers"]
    [check] = [check for check in examine(settings) if check.name == "obstacles"]
    for text in (found.text, check.detail):
        assert "trigger touched" in text
        assert "fires trigger born" not in text
        assert "elsewhere" not in text
