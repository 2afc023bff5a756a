"""Plain Alembic: the same revisions, the same gate, the same lock."""

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import yaml

from des_core.basics.errors import LockHeld, Refused, WrongSchema
from des_core.basics.identifiers import Dialect
from des_core.database.catalog import Catalog
from des_core.database.connections import open_database
from des_core.ledger.revisions import REVISIONS, Direction
from des_core.locks.lock import hold_lock
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.operations.versions import operations_of, script_directory
from des_core.migration.status import read_status
from des_core.migration.steps.sql_file import load_steps
from migrations.test_scripts import schema_of
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.clients import run_script
from support.servers.database import TestDatabase

ROOT = Path(__file__).resolve().parents[2]


def alembic(
    database: TestDatabase, folder: Path, *arguments: str, config: TestDatabase | None = None
) -> "subprocess.CompletedProcess[str]":
    """`alembic` as a user types it, in a checkout."""
    content = {"database": {"url": database.url}, "packer": {"output_dir": "/nowhere"}}
    if config is not None:
        content["watermark"] = {"config_db_url": config.url}
    path = folder / "des-admin.yaml"
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "alembic", "-x", f"config={path}", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line in which Alembic says that it failed."""
    assert "Traceback" not in done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return line


def versions(database: TestDatabase) -> list[str]:
    return sorted(v for (v,) in database.rows("SELECT version_num FROM des_admin_version"))


def test_upgrade_heads_meets_the_gate_then_goes_through(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 40, days=4, archived_days=2, holes=2, files=False)
    before = canonical_rows(database)
    refused = alembic(database, tmp_path, "upgrade", "heads")
    assert refused.returncode != 0
    assert "no backup of this database with files is recorded" in refusal(refused)
    assert versions(database) == ["0002_created_at_index", "0003_watermark"]
    assert canonical_rows(database) == before
    done = alembic(database, tmp_path, "-x", "backup=Monday", "upgrade", "heads")
    assert done.returncode == 0, done.stderr
    assert versions(database) == ["0003_watermark", "0004_drop_archived"]
    current = alembic(database, tmp_path, "current")
    assert "0003_watermark" in current.stdout
    assert "0004_drop_archived" in current.stdout
    back = alembic(database, tmp_path, "downgrade", "source@base")
    assert back.returncode == 0, back.stderr
    assert versions(database) == ["0003_watermark"]
    back = alembic(database, tmp_path, "downgrade", "config@0001_ledger")
    assert back.returncode == 0, back.stderr
    assert canonical_rows(database) == before
    refused = alembic(database, tmp_path, "downgrade", "config@base")
    assert refused.returncode != 0
    assert "forgets" in refusal(refused)


def test_one_step_back_and_a_partial_way_back_are_understood(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 40, days=4, archived_days=2, holes=2, files=False)
    before, settings = canonical_rows(database), settings_for(database)
    for target in ("-1", "0001_ledger"):
        done = alembic(database, tmp_path, "-x", "backup=Monday", "upgrade", "heads")
        assert done.returncode == 0, done.stdout
        assert all(row[4] is None for row in canonical_rows(database))
        done = alembic(database, tmp_path, "downgrade", target)
        assert done.returncode == 0, done.stdout
        assert canonical_rows(database) == before
        status = read_status(settings)
        assert status.has_archived_column
        assert not status.revisions[-1].is_applied
        assert (status.watermark is None) is (target == "0001_ledger")
    assert versions(database) == ["0001_ledger", "0002_created_at_index"]
    upgrade(settings, options=MigrationOptions(drop_archived=True, backup="Monday"))
    assert all(row[4] is None for row in canonical_rows(database))
    alembic(database, tmp_path, "downgrade", "0001_ledger")
    downgrade(settings)
    assert canonical_rows(database) == before
    assert versions(database) == ["0001_ledger"]


def test_one_step_back_where_both_branches_have_a_head(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Alembic calls this ambiguous; here the newest revision goes, and nothing is said of it."""
    files_table(database, 20, days=2, archived_days=1, files=False)
    upgrade(settings_for(database))
    assert versions(database) == ["0002_created_at_index", "0003_watermark"]
    done = alembic(database, tmp_path, "downgrade", "-1")
    assert done.returncode == 0, done.stdout
    assert versions(database) == ["0001_ledger", "0002_created_at_index"]
    assert "Warning" not in done.stderr


def test_below_the_ledger_only_when_asked(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    upgrade(settings_for(database))
    assert "forgets" in refusal(alembic(database, tmp_path, "downgrade", "base"))
    assert versions(database) == ["0002_created_at_index", "0003_watermark"]
    done = alembic(database, tmp_path, "-x", "purge=yes", "downgrade", "base")
    assert done.returncode == 0, done.stdout
    assert versions(database) == []
    assert "des_archive_event" not in database.table_names()


@pytest.mark.parametrize("target", ["heads", "config@head"])
def test_sql_leaves_the_same_schema(
    database: TestDatabase,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
    target: str,
) -> None:
    other = make_database(database.server)
    for place in (database, other):
        files_table(place, 40, days=4, archived_days=2, holes=2, files=False)
    written = alembic(other, tmp_path, "upgrade", target, "--sql")
    assert written.returncode == 0, written.stdout
    run_script(other, written.stdout)
    done = alembic(database, tmp_path, "-x", "backup=Monday", "upgrade", target)
    assert done.returncode == 0, done.stdout
    assert schema_of(other) == schema_of(database)
    assert versions(other) == versions(database)
    way = "heads:0001_ledger" if target == "heads" else "0003_watermark:0001_ledger"
    written = alembic(other, tmp_path, "downgrade", way, "--sql")
    assert written.returncode == 0, written.stdout
    run_script(other, written.stdout)
    done = alembic(database, tmp_path, "downgrade", "0001_ledger")
    assert done.returncode == 0, done.stdout
    assert schema_of(other) == schema_of(database)
    left, right = canonical_rows(other), canonical_rows(database)
    assert [(row[0], row[1], row[4]) for row in left] == [(r[0], r[1], r[4]) for r in right]


@pytest.mark.parametrize(("database", "config_database"), [("sqlite", "postgres")], indirect=True)
def test_sql_for_two_databases_is_asked_for_one_by_one(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    both = alembic(database, tmp_path, "upgrade", "heads", "--sql", config=config_database)
    assert "-x database=config" in refusal(both)
    for name, place in (("config", config_database), ("source", database)):
        arguments = ("-x", f"database={name}", "upgrade", "heads", "--sql")
        written = alembic(database, tmp_path, *arguments, config=config_database)
        assert written.returncode == 0, written.stdout
        run_script(place, written.stdout)
    assert upgrade(settings_for(database, config_database)).revisions == ()
    assert versions(config_database) == ["0003_watermark"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_version_file_names_every_step_of_its_sql(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """What only a script or an adoption needs stands in the SQL file alone."""
    files_table(database, 5, days=1, files=False)
    with open_migration(settings_for(database)) as migration:
        for revision, direction in product(REVISIONS, Direction):
            named = {item.name for item in operations_of(revision, direction)}
            for dialect in Dialect:
                catalog = Catalog(dialect, migration.settings.database)
                steps = load_steps(catalog, f"{revision.name}.{direction}")
                missing = {step.name for step in steps if not step.only} - named
                assert missing <= {"remember_seed"}, (revision, dialect)


@pytest.mark.parametrize(
    ("database", "config_database"),
    [("sqlite", "postgres"), ("postgres", "sqlite")],
    indirect=True,
)
def test_each_branch_goes_to_its_own_database(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    arguments = ("-x", "backup=Monday", "upgrade", "heads")
    done = alembic(database, tmp_path, *arguments, config=config_database)
    assert done.returncode == 0, done.stderr
    assert versions(database) == ["0004_drop_archived"]
    assert versions(config_database) == ["0003_watermark"]


@pytest.mark.sqlite
def test_stamp_and_unknown_arguments_are_refused(
    tmp_path: Path, make_database, files_table
) -> None:  # type: ignore[no-untyped-def]
    database = make_database("sqlite")
    files_table(database, 5, days=1, files=False)
    stamped = alembic(database, tmp_path, "stamp", "heads")
    assert stamped.returncode != 0
    assert "claim what was not done" in refusal(stamped)
    unknown = alembic(database, tmp_path, "-x", "bakcup=x", "upgrade", "heads")
    assert unknown.returncode != 0
    assert "bakcup" in refusal(unknown)


def test_alembic_and_the_product_know_the_same_revisions() -> None:
    script = script_directory()
    found = {
        (entry.revision, entry.down_revision, next(iter(entry.branch_labels)))
        for entry in script.walk_revisions()
    }
    assert found == {(r.name, r.down, r.branch.value) for r in REVISIONS}


def test_an_unknown_revision_is_a_wrong_schema(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=1, files=False)
    settings = settings_for(database)
    upgrade(settings)
    database.execute("INSERT INTO des_admin_version VALUES ('0099_from_the_future')")
    for action in (upgrade, downgrade, read_status, lambda s: make_plan(s, direction=Direction.UP)):
        with pytest.raises(WrongSchema, match="0099_from_the_future"):
            action(settings)


def test_two_at_once_exclude_each_other(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=1, files=False)
    settings = settings_for(database)
    config = open_database(settings.config_url)
    with hold_lock(config, "run"):
        for action in (upgrade, downgrade):
            with pytest.raises(LockHeld) as caught:
                action(settings)
            assert "holder" in caught.value.facts
    config.close()
    upgrade(settings)


def test_a_plan_that_is_no_longer_true_is_refused(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 10, days=1, files=False)
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.UP)
    assert plan.hash == make_plan(settings, direction=Direction.UP).hash
    other = make_plan(settings, direction=Direction.UP, options=MigrationOptions(backup="another"))
    assert plan.hash != other.hash
    upgrade(settings)
    with pytest.raises(Refused, match="have changed"):
        upgrade(settings, plan=plan)
