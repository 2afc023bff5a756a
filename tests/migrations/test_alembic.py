"""Plain Alembic: the same revisions, the same gate, the same lock."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from des_core.basics.errors import LockHeld, Refused, WrongSchema
from des_core.database.connections import open_database
from des_core.ledger.revisions import REVISIONS
from des_core.locks.lock import hold_lock
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.environment import script_directory
from des_core.migration.run import MigrationOptions
from des_core.migration.status import read_status
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
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


def versions(database: TestDatabase) -> list[str]:
    return sorted(v for (v,) in database.rows("SELECT version_num FROM des_admin_version"))


def test_upgrade_heads_meets_the_gate_then_goes_through(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 40, days=4, archived_days=2, holes=2, files=False)
    before = canonical_rows(database)
    refused = alembic(database, tmp_path, "upgrade", "heads")
    assert refused.returncode != 0
    assert "no backup of this database with files is recorded" in refused.stderr
    assert "des_archive_config" not in database.table_names()
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
    assert "forgets" in refused.stderr


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
    assert "claim what was not done" in stamped.stderr
    unknown = alembic(database, tmp_path, "-x", "bakcup=x", "upgrade", "heads")
    assert unknown.returncode != 0
    assert "bakcup" in unknown.stderr


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
    for action in (upgrade, downgrade, read_status, lambda s: make_plan(s, direction="up")):
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
    plan = make_plan(settings, direction="up")
    assert plan.hash == make_plan(settings, direction="up").hash
    other = make_plan(settings, direction="up", options=MigrationOptions(backup="another"))
    assert plan.hash != other.hash
    upgrade(settings)
    with pytest.raises(Refused, match="have changed"):
        upgrade(settings, plan=plan)
