"""Tables that are not quite tables: a whole life works, or is refused before it begins."""

from pathlib import Path

import pytest

from db.test_server_settings import live_there_and_back
from des_core.basics.errors import DesError, ExitCode
from des_core.migration.apply import upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.settings.config import Settings
from support.program.archive import make_settings
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase

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
