"""The config database is lost: manifests and shards give the ledger back, reconcile the rest."""

from datetime import UTC, datetime
from pathlib import Path

from des_core.ledger.watermark_edits import execute_move, plan_adoption
from des_core.migration.apply import upgrade
from des_core.reading.ledger_rebuild import RebuildPlan, execute_rebuild, plan_rebuild
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.rechecking import look_for_late, record_late

LEDGER = (
    "SELECT name, day, bucket, part, files, content_bytes, size_bytes, sha256"
    " FROM des_archive_shard ORDER BY name"
)


def packed(
    database: TestDatabase, files_table: FilesTableFactory, out: Path
) -> tuple[FilesTable, Settings]:
    """Packed in two cycles, with late rows, big files and two that are missing."""
    table = files_table(database, rows=90, days=3, max_size=3000, bad={"missing": 2})
    settings = make_archive(database, out, packer={"big_file_threshold": 2500})
    with open_archive(settings) as archive:
        run_cycle(archive)
        for number in range(6):
            table.add(f"late-{number}", datetime(2024, 1, 2, number, tzinfo=UTC))
        record_late(archive, look_for_late(archive))
        run_cycle(archive)
    return table, settings


def lose_ledger(database: TestDatabase, settings: Settings) -> None:
    for name in sorted(database.table_names()):
        if name.startswith("des_archive_shard"):
            database.execute(f"DROP TABLE {name}")
    for name in sorted(database.table_names()):
        if name.startswith("des_a"):
            database.execute(f"DROP TABLE {name}")
    upgrade(settings)


def rebuild(settings: Settings) -> RebuildPlan:
    with open_archive(settings) as archive:
        plan = plan_rebuild(archive.storage, archive.config)
        execute_rebuild(archive.config, plan, actor="tests", run_id="0" * 32)
    return plan


def test_the_ledger_comes_back_to_the_last_shard(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    before = database.rows(LEDGER)
    lose_ledger(database, settings)
    assert database.rows(LEDGER) == []
    plan = rebuild(settings)
    assert (plan.problems, plan.missing) == ({}, [])
    assert database.rows(LEDGER) == before
    assert plan.manifests_end is not None
    again = rebuild(settings)
    assert (again.known, again.shards) == (len(before), 0)
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-04 00:00:00'")
    with open_archive(settings) as archive:
        move = plan_adoption(archive.config, archive.source, forget=True, max_captured=1000)
        execute_move(
            archive.config, archive.source, move, action="adopt", actor="tests", reason="rebuilt"
        )
        found = look_for_late(archive, since=datetime(2023, 12, 31, tzinfo=UTC))
        assert found.late == 2, "the files that are missing were exceptions"
        record_late(archive, found)
    assert set(check_truth(table, database, tmp_path / "out")) == set(table.bad)


def test_without_manifests_the_shards_are_enough(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    _, settings = packed(database, files_table, tmp_path / "out")
    before = database.rows(LEDGER)
    manifests = sorted((tmp_path / "out" / "_manifests").iterdir())
    manifests[0].write_bytes(manifests[0].read_bytes()[:-1])
    for path in manifests[1:]:
        path.unlink()
    shard = sorted((tmp_path / "out").glob("*.des"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    database.execute("DELETE FROM des_archive_shard")
    plan = rebuild(settings)
    assert set(plan.problems) == {f"_manifests/{manifests[0].name}", shard.name}
    assert database.rows(LEDGER) == [row for row in before if row[0] != shard.name]
