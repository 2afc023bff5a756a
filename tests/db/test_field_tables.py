"""Tables that are not quite tables: a whole life works, or is refused before it begins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.test_server_settings import live_there_and_back
from des_core.basics.errors import DesError, ExitCode, Refused
from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.settings.config import Settings
from support.program.archive import make_settings
from support.program.migrating import rows_by_formula
from support.rows.bulk import create_files_table, insert_rows
from support.rows.filesdata import FileRow, FilesTableFactory, canonical_rows
from support.rows.shape import TableShape
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.per_record import pack_per_record

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
GENERATED = {
    "sqlite": "ALTER TABLE files ADD COLUMN {column} GENERATED ALWAYS AS ({words}) VIRTUAL",
    "postgres": "ALTER TABLE files ADD COLUMN {column} GENERATED ALWAYS AS ({words}) STORED",
    "mysql": "ALTER TABLE files ADD COLUMN {column} GENERATED ALWAYS AS ({words}) STORED",
}


def refused(settings: Settings, database: TestDatabase, words: str) -> DesError:
    """By name, and nothing is made."""
    before = database.table_names(), canonical_rows(database)
    with pytest.raises(DesError, match=words) as caught:
        upgrade(settings)
    assert caught.value.exit_code is not ExitCode.BUG
    assert caught.value.hint
    assert (database.table_names(), canonical_rows(database)) == before
    return caught.value


def test_a_view_of_that_name(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Rows come from elsewhere: no index can be made on it, no column dropped."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    database.execute("ALTER TABLE files RENAME TO documents")
    database.execute("CREATE VIEW files AS SELECT * FROM documents")
    refused(make_settings(database, tmp_path / "out"), database, "view|not a table")


def test_a_column_archived_that_the_server_computes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Nobody can write it, so nobody can go back."""
    files_table(database, 20, days=4, archived_days=2, files=False)
    drop_index = "DROP INDEX idx_files_created_archived"
    database.execute(drop_index + (" ON files" if database.kind == "mysql" else ""))
    database.execute("ALTER TABLE files DROP COLUMN archived")
    column = "archived boolean" if database.kind != "sqlite" else "archived INTEGER"
    database.execute(GENERATED[database.kind].format(column=column, words="size_bytes > 100000"))
    refused(make_settings(database, tmp_path / "out"), database, "generated|computed")


def test_other_columns_that_the_server_computes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, 120, days=10, archived_days=4)
    words = "size_bytes / 1024"
    kind = {"sqlite": "INTEGER", "postgres": "bigint", "mysql": "BIGINT"}[database.kind]
    database.execute(GENERATED[database.kind].format(column=f"size_kib {kind}", words=words))
    live_there_and_back(table, database, make_settings(database, tmp_path / "out"))


def test_a_column_computed_from_archived(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """It would go with the column, or keep it from going: the gate names it."""
    table = files_table(database, 120, days=10, archived_days=4)
    kind = {"sqlite": "INTEGER", "postgres": "boolean", "mysql": "BOOLEAN"}[database.kind]
    database.execute(
        GENERATED[database.kind].format(column=f"is_pending {kind}", words="NOT archived")
    )
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    with pytest.raises(Exception, match=r"is_pending|archived"):
        upgrade(settings, options=DROP)
    assert table.rows


# How an application sees to it that rows are left as they are: aloud, or without a word.
REFUSING = {
    "sqlite": [
        "CREATE TRIGGER guard BEFORE UPDATE ON files BEGIN SELECT RAISE(ABORT, 'hands off'); END"
    ],
    "postgres": [
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'hands off'; END $$",
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION guard()",
    ],
    "mysql": [
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW"
        " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'hands off'"
    ],
}
SWALLOWING = {
    "sqlite": ["CREATE TRIGGER guard BEFORE UPDATE ON files BEGIN SELECT RAISE(IGNORE); END"],
    "postgres": [
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW EXECUTE FUNCTION guard()",
    ],
    "mysql": [
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW SET NEW.archived = OLD.archived"
    ],
}
RULE = {"postgres": ["CREATE RULE guard AS ON UPDATE TO files DO INSTEAD NOTHING"]}
GUARDS = {"refusing": REFUSING, "swallowing": SWALLOWING, "rule": RULE}


def guarded(database: TestDatabase, settings: Settings, guard: str) -> None:
    """The way back is refused while the guard stands, and ends well once it is gone."""
    expected = rows_by_formula(database, database)
    for statement in GUARDS[guard][database.kind]:
        database.execute(statement)
    for _ in range(2):
        with pytest.raises(Refused, match=r"guard|hands off") as caught:
            downgrade(settings)
        assert caught.value.hint
        assert "des_archive_config" in database.table_names()
    kind = "RULE" if guard == "rule" else "TRIGGER"
    database.execute(f"DROP {kind} guard" + (" ON files" if database.kind == "postgres" else ""))
    downgrade(settings)
    assert canonical_rows(database) == expected


@pytest.mark.parametrize("guard", ["refusing", "swallowing"])
def test_a_trigger_that_keeps_rows_as_they_are(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, guard: str
) -> None:
    """What the server calls done is not done: a pending file would read as archived for ever."""
    files_table(database, 120, days=10, archived_days=6, holes=5)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    with open_archive(settings) as archive:
        run_cycle(archive)
    guarded(database, settings, guard)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("guard", ["swallowing", "rule"])
def test_a_trigger_that_keeps_the_added_column_as_it_was_added(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, guard: str
) -> None:
    """It comes back with TRUE in every row, also in those of pending files."""
    files_table(database, 120, days=10, archived_days=6, holes=5)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    upgrade(settings, options=DROP)
    guarded(database, settings, guard)


# It keeps the rows of one uid as they are: of one of them alone a flag is to be written.
KEEPS_ONE_UID = {
    "sqlite": [
        "CREATE TRIGGER guard BEFORE UPDATE ON files WHEN OLD.uid = 'twice'"
        " BEGIN SELECT RAISE(IGNORE); END"
    ],
    "postgres": [
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW WHEN (OLD.uid = 'twice')"
        " EXECUTE FUNCTION guard()",
    ],
    "mysql": [
        "CREATE TRIGGER guard BEFORE UPDATE ON files FOR EACH ROW"
        " SET NEW.archived = IF(OLD.uid = 'twice', OLD.archived, NEW.archived)"
    ],
}


def test_a_trigger_that_keeps_one_of_two_rows_with_one_uid(
    database: TestDatabase, tmp_path: Path
) -> None:
    """The pending one of them hid that the other, packed, still reads as not archived."""
    shape = TableShape(primary_key=("uid", "created_at"))
    create_files_table(database, shape)
    rows = [("old", 1, True), ("twice", 1, False), ("newest", 2, True), ("twice", 4, False)]
    day = datetime(2024, 1, 1, 12, tzinfo=UTC)
    source = tmp_path / "source"
    source.mkdir()
    for uid, days, archived in rows:
        place = source / f"{uid}-{days}"
        place.write_bytes(b"content")
        row = FileRow(uid, day + timedelta(days=days), str(place), 7, archived)
        insert_rows(database, [row], shape)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    (source / "twice-1").unlink()
    with open_archive(settings) as archive:
        assert run_cycle(archive).files_out == 1
    expected = rows_by_formula(database, database)
    assert [row[4] for row in expected if row[0] == "twice"] == [False, True]
    database.execute_script(KEEPS_ONE_UID[database.kind])
    with pytest.raises(Refused, match="'twice' still reads as not archived"):
        downgrade(settings)
    database.execute("DROP TRIGGER guard" + (" ON files" if database.kind == "postgres" else ""))
    downgrade(settings)
    assert canonical_rows(database) == expected


@pytest.mark.parametrize(
    ("database", "guard"),
    [
        ("sqlite", "swallowing"),
        ("postgres", "swallowing"),
        ("postgres", "rule"),
        ("mariadb", "swallowing"),
        ("mysql", "swallowing"),
    ],
    indirect=["database"],
)
def test_a_trigger_that_keeps_packed_rows_from_being_marked(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, guard: str
) -> None:
    """Per-record mode ended as if all was done, with as many rows to pack as before."""
    files_table(database, 20, days=4, archived_days=2)
    settings = make_settings(database, tmp_path / "out")
    database.execute_script(GUARDS[guard][database.kind])
    with pytest.raises(Refused, match=r"not marked: .* guard") as caught:
        pack_per_record(settings, older_than_days=7, batch_size=3)
    assert caught.value.hint
    kind = "RULE" if guard == "rule" else "TRIGGER"
    database.execute(f"DROP {kind} guard" + (" ON files" if database.kind == "postgres" else ""))
    assert pack_per_record(settings, older_than_days=7, batch_size=3).files_marked == 10


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_published_table_without_a_key(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """The server takes no UPDATE of it: refused by name, and the way back ends well later."""
    files_table(database, 20, days=4, archived_days=2)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    with open_archive(settings) as archive:
        run_cycle(archive)
    expected = rows_by_formula(database, database)
    database.execute("ALTER TABLE files REPLICA IDENTITY NOTHING")
    database.execute("CREATE PUBLICATION of_files FOR TABLE files")
    with pytest.raises(Refused, match="replica identity") as caught:
        downgrade(settings)
    assert "REPLICA IDENTITY FULL" in str(caught.value.hint)
    database.execute("ALTER TABLE files REPLICA IDENTITY FULL")
    downgrade(settings)
    assert canonical_rows(database) == expected


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("database", ["postgres", "mariadb", "mysql"], indirect=True)
def test_a_row_without_uid_beside_others_of_its_time(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path, drop: bool
) -> None:
    """It comes first or last of them, and the flags of none are left as the column came back."""
    files_table(
        database, 60, days=6, archived_days=2, files=False, shape=TableShape(primary_key=())
    )
    if database.kind == "postgres":
        database.execute("ALTER TABLE files ALTER COLUMN uid DROP NOT NULL")
    else:
        database.execute("ALTER TABLE files MODIFY uid VARCHAR(255) NULL")
    [[newest]] = database.rows("SELECT MAX(created_at) FROM files")
    for uid in (None, "zz"):
        values = {"uid": uid, "at": newest, "no": False}
        database.execute("INSERT INTO files VALUES (:uid, :at, '/nowhere', 1, :no)", values)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings, options=MigrationOptions(drop_archived=drop, backup="dump of Monday"))
    downgrade(settings)
    flags = database.rows("SELECT uid, archived FROM files WHERE created_at = :at", {"at": newest})
    assert len(flags) == 3
    assert not any(flag for _uid, flag in flags)


HIDDEN = {"mariadb": "IGNORED", "mysql": "INVISIBLE"}


@pytest.mark.filterwarnings("ignore:Unknown schema content")  # SQLAlchemy leaves it out
@pytest.mark.parametrize("database", HIDDEN, indirect=True)
def test_an_index_that_the_server_keeps_and_does_not_use(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """As a DBA leaves it for a week before dropping it: windows need one of their own."""
    table = files_table(database, 120, days=10, archived_days=4)
    settings = make_settings(database, tmp_path / "out")
    add = "ALTER TABLE files ADD INDEX {} (created_at) " + HIDDEN[database.server]
    database.execute(add.format("idx_files_created_at"))
    with pytest.raises(Refused, match="idx_files_created_at") as caught:
        upgrade(settings)
    assert "show it" in str(caught.value.hint)
    assert database.table_names() == {"files", "des_archive_lease"}
    database.execute("ALTER TABLE files RENAME INDEX idx_files_created_at TO mine")
    live_there_and_back(table, database, settings)
    indexes = {row[2] for row in database.rows("SHOW INDEX FROM files")}
    assert indexes == {"PRIMARY", "mine", "idx_files_created_archived"}
    upgrade(settings)
    assert "idx_files_created_at" in {row[2] for row in database.rows("SHOW INDEX FROM files")}


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_the_name_of_the_index_is_taken_by_another_table(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Indexes of all tables share their names there."""
    table = files_table(database, 120, days=10, archived_days=4)
    database.execute("CREATE TABLE other (number integer)")
    database.execute("CREATE INDEX idx_files_created_at ON other (number)")
    settings = make_settings(database, tmp_path / "out")
    with pytest.raises(Refused, match="idx_files_created_at") as caught:
        upgrade(settings)
    assert "another name" in str(caught.value.hint)
    database.execute("DROP INDEX idx_files_created_at")
    live_there_and_back(table, database, settings)
