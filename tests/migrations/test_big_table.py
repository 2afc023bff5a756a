"""A big table without an index on created_at is not read for its seed: the index comes first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from des_core.ledger.revisions import Direction
from des_core.migration import plan as plan_module
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions
from support.program.inside import run_here
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.postgres import wait_for_statistics

DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
REST = ("0003_watermark", "0004_drop_archived")


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is a big one."""
    monkeypatch.setattr(plan_module, "MOST_ROWS_TO_SCAN", 10)


@pytest.mark.postgres
def test_no_plan_and_no_seed_reads_the_table(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory
) -> None:
    database = make_database("postgres")
    files_table(database, 5000, days=10, archived_days=8, holes=5, files=False)
    _know_only_what_waits(database)
    before = canonical_rows(database)
    settings = settings_for(database)
    rows = _rows_scanned(database)
    plan = make_plan(settings, direction=Direction.UP, options=DROP)
    assert _rows_scanned(database) == rows
    assert plan.continues
    assert plan.seed is None
    assert plan.revisions == ("0001_ledger", "0002_created_at_index")
    assert {finding.check for finding in plan.gate} == {
        "backup",
        "users",
        "texts",
        "back",
        "server",
    }
    upgrade(settings, options=DROP, plan=plan)
    built = _rows_scanned(database)  # the index was built: that reads the table twice
    rest = make_plan(settings, direction=Direction.UP, options=DROP)
    assert not rest.continues
    assert rest.revisions == REST
    assert rest.seed is not None
    upgrade(settings, options=DROP, plan=rest)
    assert _rows_scanned(database) == built
    downgrade(settings)
    assert canonical_rows(database) == before


def test_without_a_plan_it_goes_through(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 300, days=10, archived_days=8, holes=5, files=False)
    _know_only_what_waits(database)
    before = canonical_rows(database)
    settings = settings_for(database)
    # On MySQL and MariaDB the per-record packer's index has every row, and serves as well.
    assert make_plan(settings, direction=Direction.UP).continues is (database.kind != "mysql")
    report = upgrade(settings, options=DROP)
    assert report.revisions == ("0001_ledger", "0002_created_at_index", *REST)
    downgrade(settings)
    assert canonical_rows(database) == before


def test_a_hash_is_good_for_what_was_seen(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    files_table(database, 300, days=10, archived_days=8, holes=5, files=False)
    _know_only_what_waits(database)
    config = tmp_path / "config.yaml"
    sections = {"database": {"url": database.url}, "packer": {"output_dir": str(tmp_path)}}
    config.write_text(yaml.safe_dump(sections))

    def call(*arguments: str) -> dict[str, Any]:
        done = run_here("--config", str(config), "--output", "json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    seen = []
    while not (plan := call("migrate", "plan"))["is_empty"]:
        report = call("migrate", "up", "--yes", "--plan", plan["plan"]["hash"])
        seen.append((plan["plan"]["continues"], report["revisions"][-1]))
    whole = [(False, "0003_watermark")]
    parts = [(True, "0002_created_at_index"), *whole]
    assert seen == (whole if database.kind == "mysql" else parts)


def _know_only_what_waits(database: TestDatabase) -> None:
    """The index of the guide, which leaves out what is archived; MySQL and MariaDB have no such."""
    if database.kind == "mysql":
        database.execute("ANALYZE TABLE files")
        return
    database.execute_script(
        [
            "DROP INDEX idx_files_created_archived",
            "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
            " WHERE archived = FALSE",
            "ANALYZE files",
        ]
    )


def _rows_scanned(database: TestDatabase) -> int:
    """Rows of `files` that were read by going through all of it."""
    wait_for_statistics(database)
    return int(
        database.value("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'files'")
    )
