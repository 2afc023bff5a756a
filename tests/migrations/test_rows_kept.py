"""What is not ours stays as it is: other columns of a row, their clocks, a type that is no flag."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import Refused
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, make_scripts, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.migration.compliance import sync_flags
from support.program.migrating import advance, rows_by_formula, settings_for, watermark_us
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.clients import run_script
from support.servers.database import TestDatabase
from watermark_orchestrator.per_record import pack_per_record

KEEP = MigrationOptions()
pack = partial(pack_per_record, older_than_days=7, batch_size=100)
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
MYSQL_FAMILY = pytest.mark.parametrize("database", ["mariadb", "mysql"], indirect=True)
# Every kind of clock: on the column that decides, on one that may be NULL, on one with a default.
CLOCKS = (
    "ALTER TABLE files MODIFY created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
    " ON UPDATE CURRENT_TIMESTAMP(6)",
    "ALTER TABLE files ADD `changed at` DATETIME NULL ON UPDATE CURRENT_TIMESTAMP",
    "ALTER TABLE files ADD seen TIMESTAMP(3) NOT NULL DEFAULT '2020-01-01 00:00:00'"
    " ON UPDATE CURRENT_TIMESTAMP(3)",
)
NO_FLAGS = {
    "postgres": ("smallint", "char(1)", "text", "numeric"),
    "mysql": ("ENUM('0', '1')", "CHAR(1)", "SET('0', '1')", "DOUBLE", "BIT(2)"),
    "sqlite": ("TEXT", "CHAR(1)"),
}
FLAGS = {
    "postgres": ("yes_or_no",),
    "mysql": ("BIT(1)", "SMALLINT", "TINYINT UNSIGNED"),
    "sqlite": ("INTEGER", ""),
}


def all_but_the_flag(database: TestDatabase) -> list[tuple[Any, ...]]:
    """Every column of every row but archived."""
    return database.rows(
        "SELECT uid, created_at, file_location, size_bytes, `changed at`, seen FROM files"
        " ORDER BY uid"
    )


@MYSQL_FAMILY
@pytest.mark.parametrize("options", [KEEP, DROP], ids=["kept", "dropped"])
def test_no_clock_is_moved(
    database: TestDatabase, files_table: FilesTableFactory, options: MigrationOptions
) -> None:
    files_table(database, 300, days=6, archived_days=3, holes=5, ties=3, files=False)
    for statement in CLOCKS:
        database.execute(statement)
    settings = settings_for(database)
    before = all_but_the_flag(database)
    upgrade(settings)
    advance(settings, 2)
    sync_flags(settings)
    advance(settings, 1)
    expected = rows_by_formula(database, database)
    upgrade(settings, options=options)
    downgrade(settings)
    assert canonical_rows(database) == expected
    assert all_but_the_flag(database) == before


@MYSQL_FAMILY
def test_no_clock_is_moved_by_a_script(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 60, days=6, archived_days=3, holes=5, files=False)
    for statement in CLOCKS:
        database.execute(statement)
    settings = settings_for(database)
    before = all_but_the_flag(database)
    for options in (KEEP, DROP):
        upgrade(settings, options=options)
        advance(settings, 1)
        [script] = make_scripts(settings, direction=Direction.DOWN, options=options)
        run_script(database, script.text)
        assert all_but_the_flag(database) == before


@MYSQL_FAMILY
def test_no_clock_is_moved_by_the_per_record_way(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 40, days=3)
    for statement in CLOCKS:
        database.execute(statement)
    before = all_but_the_flag(database)
    settings = settings_for(database)
    packer = settings.packer.model_copy(update={"output_dir": str(tmp_path / "out")})
    (tmp_path / "out").mkdir()
    pack(settings.model_copy(update={"packer": packer}))
    assert database.value("SELECT COUNT(*) FROM files WHERE archived = 1") > 0
    assert all_but_the_flag(database) == before


@MYSQL_FAMILY
def test_a_config_table_made_by_hand_keeps_no_clock(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """As MariaDB before 10.10 makes the first TIMESTAMP of a table, without a word about it."""
    files_table(database, 40, days=4, archived_days=2, files=False)
    database.execute(
        "CREATE TABLE des_archive_config (id INT PRIMARY KEY,"
        " archived_until TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
        " ON UPDATE CURRENT_TIMESTAMP(6), lag_days INT NOT NULL,"
        " last_updated DATETIME(6) NULL ON UPDATE CURRENT_TIMESTAMP(6))"
    )
    database.execute_script(
        [
            "SET time_zone = '+00:00'",
            "INSERT INTO des_archive_config (id, archived_until, lag_days)"
            " VALUES (1, '2024-01-02 12:00:00', 3)",
        ]
    )
    upgrade(settings_for(database))
    before = watermark_us(database)
    database.execute("UPDATE des_archive_config SET fence = fence + 1")
    assert watermark_us(database) == before
    assert database.value("SELECT last_updated FROM des_archive_config") is None


def retype(database: TestDatabase, kind: str) -> None:
    """The column archived with another type and the same values."""
    if database.kind == "mysql":
        if kind.startswith("ENUM"):
            database.execute("ALTER TABLE files MODIFY archived CHAR(1)")
        database.execute(f"ALTER TABLE files MODIFY archived {kind}")
        return
    if kind == "yes_or_no":
        database.execute("CREATE DOMAIN yes_or_no AS boolean CHECK (VALUE IS NOT NULL)")
    place = " ON files" if database.kind == "mysql" else ""
    database.execute("DROP INDEX idx_files_created_archived" + place)
    database.execute("ALTER TABLE files RENAME COLUMN archived TO was")
    database.execute(f"ALTER TABLE files ADD COLUMN archived {kind} DEFAULT '0'")
    cast = "was" if kind == "yes_or_no" else f"CAST(CAST(was AS integer) AS {kind or 'integer'})"
    database.execute(f"UPDATE files SET archived = {cast}")
    database.execute("ALTER TABLE files DROP COLUMN was")


@pytest.mark.parametrize("number", range(5))
def test_a_type_that_says_neither_yes_nor_no_is_refused(
    database: TestDatabase, files_table: FilesTableFactory, number: int
) -> None:
    kinds = NO_FLAGS[database.kind]
    files_table(database, 20, days=4, archived_days=2, files=False)
    retype(database, kinds[min(number, len(kinds) - 1)])
    settings = settings_for(database)
    for action in (upgrade, lambda s: make_plan(s, direction=Direction.UP), pack):
        with pytest.raises(Refused, match="does not say yes or no") as caught:
            action(settings)
        assert "archived of files" in str(caught.value)
    assert "des_archive_slice" not in database.table_names()


@pytest.mark.parametrize("number", range(3))
def test_other_flags_go_there_and_back(
    database: TestDatabase, files_table: FilesTableFactory, number: int
) -> None:
    kinds = FLAGS[database.kind]
    files_table(database, 60, days=4, archived_days=2, holes=3, files=False)
    retype(database, kinds[min(number, len(kinds) - 1)])
    settings = settings_for(database)
    before = canonical_rows(database)
    upgrade(settings)
    downgrade(settings)
    assert canonical_rows(database) == before


@pytest.mark.parametrize("database", ["mariadb", "mysql", "sqlite"], indirect=True)
def test_another_number_is_not_archived(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """Two means something to somebody; that the file is packed it does not mean."""
    files_table(database, 30, days=4, archived_days=2, files=False)
    uid = database.value("SELECT uid FROM files ORDER BY created_at LIMIT 1")
    database.execute("UPDATE files SET archived = 2 WHERE uid = :uid", {"uid": uid})
    upgrade(settings_for(database))
    assert database.rows("SELECT uid FROM des_archive_exception") == [(uid,)]
