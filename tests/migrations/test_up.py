"""The way up, on filled tables of all three databases."""

from des_core.migration.apply import upgrade
from support.program.migrating import index_names, settings_for
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase, to_microseconds


def test_up_seeds_at_the_newest_archived_row(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    table = files_table(database, 100, days=5, archived_days=3, holes=7, files=False)
    report = upgrade(settings_for(database))
    assert report.revisions == ("0001_ledger", "0002_created_at_index", "0003_watermark")
    newest = max(row.created_at for row in table.rows.values() if row.archived)
    [(until, lag, fence)] = database.rows(
        "SELECT archived_until, lag_days, fence FROM des_archive_config"
    )
    assert (to_microseconds(until), lag, fence) == (to_microseconds(newest), 7, 0)
    found = database.rows("SELECT uid, reason FROM des_archive_exception WHERE resolved_at IS NULL")
    holes = {u for u, r in table.rows.items() if not r.archived and r.created_at <= newest}
    assert set(found) == {(uid, "pending_at_seed") for uid in holes}
    assert "idx_files_created_at" in index_names(database)
    assert upgrade(settings_for(database)).revisions == ()
