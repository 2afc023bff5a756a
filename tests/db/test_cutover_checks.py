"""What doctor and gate say before a cutover: advice by numbers, obstacles, versions, packers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from des_core.basics.identifiers import Dialect
from des_core.checks import Check, cutover, examine
from des_core.ledger.revisions import Direction
from des_core.migration.apply import make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.gate.checks import server_is_able
from des_core.migration.state.server_traps import RowVersions, find_traps
from support.program.archive import make_settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")


def checks_of(settings: Any) -> dict[str, Check]:
    return {check.name: check for check in examine(settings)}


def test_a_small_table_in_order_needs_no_migration(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 400, days=8, archived_days=5, holes=2, files=False)
    database.execute("ANALYZE TABLE files" if database.kind == "mysql" else "ANALYZE files")
    settings = make_settings(database, tmp_path / "out")
    found = checks_of(settings)
    assert found["advice"].status == "ok"
    assert "about 400 rows, 2 holes" in found["advice"].detail
    assert "not needed for speed" in found["advice"].detail
    assert found["obstacles"].status == "ok"


@pytest.mark.parametrize(
    ("rows", "words"), [(10, "migrate, each of these rows"), (1000, "migrate if UPDATEs")]
)
def test_many_rows_speak_for_it(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    words: str,
) -> None:
    files_table(database, 300, days=8, archived_days=5, files=False)
    database.execute("ANALYZE TABLE files" if database.kind == "mysql" else "ANALYZE files")
    monkeypatch.setattr(cutover, "MANY_ROWS", rows)
    monkeypatch.setattr(cutover, "FEW_ROWS", 10)
    assert words in checks_of(make_settings(database, tmp_path / "out"))["advice"].detail


def test_holes_everywhere_speak_against_it(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 300, days=8, archived_days=6, holes=60, files=False)
    found = checks_of(make_settings(database, tmp_path / "out"))["advice"]
    assert found.status == "warning"
    assert "archiving is not in order" in found.detail


def test_an_old_packer_is_noticed(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 100, days=8, archived_days=5, files=False)
    settings = make_settings(database, tmp_path / "out")
    upgrade(settings)
    assert checks_of(settings)["old packer"].status == "ok"
    database.execute("UPDATE files SET archived = TRUE")
    found = checks_of(settings)["old packer"]
    assert found.status == "warning"
    assert "per-record packer still writes" in found.detail


@pytest.mark.postgres
def test_what_hangs_on_a_table_of_postgres(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("postgres")
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute_script(
        [
            "CREATE PUBLICATION of_files FOR TABLE files",
            "CREATE TABLE notes (uid text REFERENCES files (uid))",
            "CREATE TABLE special () INHERITS (files)",
            "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER watching ON ddl_command_start EXECUTE FUNCTION watch()",
        ]
    )
    connection = database.connect()
    connection.execute("UPDATE notes SET uid = uid")
    connection.execute("PREPARE TRANSACTION 'half done'")
    try:
        found = checks_of(make_settings(database, tmp_path / "out"))["obstacles"]
    finally:
        connection.autocommit = True
        connection.execute("ROLLBACK PREPARED 'half done'")
    assert found.status == "warning"
    for words in (
        "publication of_files",
        "foreign key notes_uid_fkey of notes",
        "child table special",
        "event trigger watching",
        "prepared transaction half done",
    ):
        assert words in found.detail


@pytest.mark.postgres
def test_a_table_that_gets_its_rows_from_elsewhere(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Without the column here, the subscription would apply nothing more."""
    database = make_database("postgres")
    files_table(database, 20, days=2, archived_days=1, files=False)
    at = make_url(database.url)
    database.execute_script(
        [
            "CREATE PUBLICATION of_files FOR TABLE files",
            f"CREATE SUBSCRIPTION of_{database.name} CONNECTION 'host={at.host} port={at.port}"
            f" dbname={at.database} user={at.username} password={at.password}' PUBLICATION of_files"
            " WITH (enabled = false, create_slot = false, slot_name = NONE, copy_data = false)",
        ]
    )
    try:
        settings = make_settings(database, tmp_path / "out")
        found = checks_of(settings)["obstacles"]
        plan = make_plan(settings, direction=Direction.UP, options=DROP)
    finally:
        database.execute(f"DROP SUBSCRIPTION of_{database.name}")
    assert f"subscription of_{database.name}" in found.detail
    texts = next(finding for finding in plan.gate if finding.check == "texts")
    assert texts.is_warning
    assert f"subscription of_{database.name}" in texts.text


@pytest.mark.postgres
def test_a_publication_that_names_the_column_closes_the_gate(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("postgres")
    if database.value("SELECT current_setting('server_version_num')::int") < 150000:
        pytest.skip("column lists of publications came with PostgreSQL 15")
    files_table(database, 20, days=2, archived_days=1, files=False)
    database.execute("CREATE PUBLICATION of_files FOR TABLE files (uid, archived)")
    plan = make_plan(
        make_settings(database, tmp_path / "out"), direction=Direction.UP, options=DROP
    )
    users = next(finding for finding in plan.gate if finding.check == "users")
    assert not users.is_passed
    assert "publication of_files" in users.text


def test_triggers_and_foreign_keys_are_named(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    kind = {"mysql": "VARCHAR(255)", "postgres": "text", "sqlite": "TEXT"}[database.kind]
    database.execute(f"CREATE TABLE notes (uid {kind}, FOREIGN KEY (uid) REFERENCES files (uid))")
    found = checks_of(make_settings(database, tmp_path / "out"))["obstacles"]
    assert "foreign key" in found.detail
    assert "notes" in found.detail


def test_the_plan_shows_the_budget_of_instant_changes(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    settings = make_settings(database, tmp_path / "out")
    versions = make_plan(settings, direction=Direction.UP, options=DROP).row_versions
    budgets = {"mariadb": RowVersions(None, None), "mysql": RowVersions(0, 255)}
    assert versions == budgets.get(database.server)
    with open_migration(settings) as migration:
        assert server_is_able(migration).is_passed
    assert checks_of(settings)["version"].status == "ok"


def test_a_spent_budget_is_not_enough() -> None:
    assert RowVersions(62, 64).is_enough
    assert not RowVersions(63, 64).is_enough
    assert RowVersions(None, 64).is_enough
    assert str(RowVersions(63, 64)) == "63 of 64 row versions used; there and back need 2"


def versions() -> Iterator[tuple[Dialect, tuple[int, ...], bool, str]]:
    yield Dialect.POSTGRES, (10, 23), False, "rewriting the table"
    yield Dialect.POSTGRES, (14, 3), False, "broken index"
    yield Dialect.POSTGRES, (14, 4), False, ""
    yield Dialect.POSTGRES, (18, 0), False, ""
    yield Dialect.SQLITE, (3, 34, 1), False, "cannot drop"
    yield Dialect.SQLITE, (3, 40, 1), False, ""
    yield Dialect.MYSQL, (10, 3, 39), True, "copying the table"
    yield Dialect.MYSQL, (10, 11, 19), True, ""
    yield Dialect.MYSQL, (8, 0, 28), False, "copying the table"
    yield Dialect.MYSQL, (8, 0, 29), False, "fail to recover"
    yield Dialect.MYSQL, (8, 0, 30), False, "XtraBackup"
    yield Dialect.MYSQL, (8, 4, 0), False, "tried on 9.7"
    yield Dialect.MYSQL, (9, 7, 4), False, ""


@pytest.mark.parametrize(("dialect", "version", "is_mariadb", "words"), list(versions()))
def test_what_is_known_of_versions(
    dialect: Dialect, version: tuple[int, ...], is_mariadb: bool, words: str
) -> None:
    texts = "; ".join(trap.text for trap in find_traps(dialect, version, is_mariadb=is_mariadb))
    assert words in texts
    assert bool(texts) is bool(words)
