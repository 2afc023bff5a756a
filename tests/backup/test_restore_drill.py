"""The drill: drop the database, restore it by the runbook's own words; nothing is missing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from des_core.migration.apply import upgrade
from support.pages.documents import SHOWN_ONLY, Block, Desk, read_sections, sit_down
from support.program.archive import make_settings
from support.program.runner import write_config
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.lost import lose_database
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

pytestmark = pytest.mark.slow
RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook" / "backup.md"
TITLES = {
    "postgres": "Restore from a backup",
    "mariadb": "Restore from a backup on MariaDB or MySQL",
    "mysql": "Restore from a backup on MariaDB or MySQL",
    "sqlite": "Restore from a backup on SQLite",
}
DEPENDS_ON_NOW = {"now", "behind_seconds"}
COLUMNS = {
    "des_archive_shard": "name, slice_id, day, bucket, part,"
    " files, content_bytes, size_bytes, sha256"
}
OWN_TABLES = ("des_archive_slice", "des_archive_shard", "des_archive_exception")


@pytest.fixture
def desk(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Desk:
    """An archive after its first cycles, with a backup of it in `backups`."""
    files_table(database, rows=1500, days=30, archived_days=10, holes=5, min_size=1)
    settings = make_settings(
        database, tmp_path / "shards", backup={"dir": str(tmp_path / "backups")}
    )
    write_config(settings, tmp_path / "des-admin.yaml")
    upgrade(settings)
    with open_archive(settings) as archive:
        run_cycle(archive)
    return sit_down(tmp_path, database)


def answer(desk: Desk, command: str) -> Any:
    """What a command prints as JSON."""
    done = desk.run(Block("sh", f"{command} --output json", 0))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def view(desk: Desk) -> dict[str, Any]:
    """Everything that must be the same before the loss and after the restore."""
    progress = answer(desk, "des-admin progress --exact")
    return {
        "progress": {key: progress[key] for key in progress.keys() - DEPENDS_ON_NOW},
        "verify": answer(desk, "des-admin verify"),
        "watermark": answer(desk, "des-admin watermark show")["archived_until"],
        "exceptions": answer(desk, "des-admin exceptions list"),
        "files": canonical_rows(desk.database),
        "ledger": [
            # When a shard was last verified is not lost with a database: `verify` says it anew.
            desk.database.rows(f"SELECT {COLUMNS.get(table, '*')} FROM {table} ORDER BY 1")
            for table in OWN_TABLES
        ],
    }


def restore(desk: Desk, stop_before: str) -> None:
    """Run the blocks of the section up to the first that mentions `stop_before`."""
    [section] = [s for s in read_sections(RUNBOOK) if s.title == TITLES[desk.database.server]]
    for block in section.blocks:
        if block.language in SHOWN_ONLY:
            continue
        if stop_before in block.text:
            if desk.database.server == "mysql":
                # Its statistics follow some seconds after the rows.
                desk.database.execute("ANALYZE TABLE files")
            return
        done = desk.run(block)
        assert done.returncode in block.exit_codes, f"{block.text}\n{done.stdout}\n{done.stderr}"
    raise AssertionError(f"no block mentions {stop_before!r}")


def test_nothing_is_missing_after_a_restore(desk: Desk) -> None:
    desk.run(Block("sh", "des-admin backup create", 0)).check_returncode()
    before = view(desk)
    assert before["progress"]
    lose_database(desk.database)
    restore(desk, stop_before="des-admin watermark show")
    assert view(desk) == before


def test_shards_newer_than_the_backup_are_found_again(
    desk: Desk, files_table: Callable[..., object]
) -> None:
    """Packed after the backup, unknown to the restored ledger: adopted, not packed twice."""
    desk.run(Block("sh", "des-admin watermark rewind 5d --reason drill --yes", 0))
    desk.run(Block("sh", "des-admin backup create", 0)).check_returncode()
    desk.run(Block("sh", "des-admin run", 0)).check_returncode()
    before = view(desk)
    shards = sorted(path.name for path in (desk.directory / "shards").glob("*.des"))
    lose_database(desk.database)
    restore(desk, stop_before="des-admin watermark show")
    assert view(desk)["watermark"] < before["watermark"]
    assert desk.run(Block("sh", "des-admin run", 0)).returncode == 0
    after = view(desk)
    assert (after["watermark"], after["files"]) == (before["watermark"], before["files"])
    assert shards == sorted(path.name for path in (desk.directory / "shards").glob("*.des"))
