"""Killed at many moments and run again, a migration ends where an undisturbed one ends."""

import pytest

from des_core.database.connections import open_database
from des_core.ledger.events import check_chain
from support.crash.killing import migrate_with_kills
from support.program.migrating import index_names, open_exceptions, settings_for, watermark_us
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import MIXED_SERVERS

# `make soak`: at least so many kills on each way; in CI a few.
MANY_KILLS = 20


@pytest.mark.parametrize("drop_archived", [False, True], ids=["kept", "dropped"])
def test_killed_up_and_down(
    database: TestDatabase, files_table: FilesTableFactory, drop_archived: bool, rounds: int
) -> None:
    is_long = rounds >= MANY_KILLS
    least, grow = (MANY_KILLS, 2) if is_long else (2, 20)
    table = files_table(database, 80, days=5, archived_days=3, holes=5, files=False)
    before = canonical_rows(database)
    newest = max(row.created_at for row in table.rows.values() if row.archived)
    holes = {u for u, r in table.rows.items() if not r.archived and r.created_at <= newest}
    for seed in range(min(rounds // MANY_KILLS, 5) + 1 if is_long else 2):
        kills = migrate_with_kills(
            database, "up", drop_archived=drop_archived, grow=grow, seed=seed
        )
        assert kills >= least
        assert watermark_us(database) == round(newest.timestamp() * 1_000_000)
        assert {uid for uid, _at in open_exceptions(database)} == holes
        gone = all(row[4] is None for row in canonical_rows(database))
        assert gone is drop_archived
        assert migrate_with_kills(database, "down", grow=grow, seed=seed) >= least
        assert canonical_rows(database) == before
        assert "idx_files_created_archived" in index_names(database)
        assert "idx_files_created_at" not in index_names(database)
    config = open_database(settings_for(database).config_url)
    with config.read() as tx:
        assert check_chain(tx).broken_at is None
    config.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "config_database"),
    MIXED_SERVERS,
    indirect=True,
)
def test_killed_with_two_databases(
    database: TestDatabase, config_database: TestDatabase, files_table: FilesTableFactory
) -> None:
    files_table(database, 80, days=5, archived_days=3, holes=5, files=False)
    before = canonical_rows(database)
    migrate_with_kills(database, "up", config=config_database, drop_archived=True, grow=5)
    assert len(open_exceptions(config_database)) == 5
    migrate_with_kills(database, "down", config=config_database, grow=5)
    assert canonical_rows(database) == before
