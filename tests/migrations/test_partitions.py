"""A partitioned `files` on PostgreSQL goes the whole way there and back, partition by partition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from des_core.basics.errors import Refused
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, make_scripts, upgrade
from des_core.migration.base.migration import MigrationOptions, open_migration
from des_core.migration.state.tables import find_created_at_index
from des_core.migration.work.created_at_index import build_steps
from support.crash.killing import migrate_with_kills
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.program.migrating import index_names, open_exceptions, rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.rows.partitioned import broken_indexes, partition_files
from support.servers.clients import run_script
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

pytestmark = pytest.mark.postgres
DROP = MigrationOptions(drop_archived=True, backup="dump of Monday")
DAYS = 8
# Five ranges of two days, one of them in two parts, and the default partition.
LEAVES, PARENTS = 6, 2


@pytest.fixture
def database(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> TestDatabase:
    made = make_database("postgres")
    files_table(made, 160, days=DAYS, archived_days=4, holes=6, files=False)
    partition_files(made, DAYS)
    return made


def test_up_run_drop_down_twice(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("postgres")
    table = files_table(database, 160, days=DAYS, archived_days=4, holes=6, bad={"missing": 2})
    partition_files(database, DAYS)
    settings = make_archive(database, tmp_path / "out")  # migrates up
    with open_archive(settings) as archive:
        assert run_cycle(archive).files_failed == 2
    assert len(check_truth(table, database, tmp_path / "out")) == 2
    for _ in range(2):
        upgrade(settings, options=DROP)
        assert all(row[4] is None for row in canonical_rows(database))
        assert "idx_files_created_archived" not in index_names(database)
        expected = rows_by_formula(database, database)
        downgrade(settings)
        assert canonical_rows(database) == expected
        assert broken_indexes(database) == []
        assert index_names(database) == {"idx_files_created_archived"}


def test_each_partition_is_built_by_itself(database: TestDatabase) -> None:
    settings = settings_for(database)
    plan = make_plan(settings, direction=Direction.UP)
    steps = [statement.step for statement in plan.statements]
    assert steps.count("create_partition_created_at") == LEAVES
    assert steps.count("create_parent_created_at") == PARENTS
    assert steps.count("attach") == LEAVES + PARENTS - 1
    assert 'the partition "public"."files_1_0"' in " ".join(s.purpose for s in plan.statements)
    assert plan.table_bytes
    upgrade(settings)
    with open_migration(settings) as migration:
        index = find_created_at_index(migration)
    assert index is not None
    database.execute(
        "CREATE TABLE files_9 PARTITION OF files FOR VALUES FROM ('2025-01-01') TO ('2025-01-03')"
    )
    assert "files_9_created_at_idx" in index_names(database, "files_9")
    assert broken_indexes(database) == []


def test_an_equal_index_of_a_partition_is_used(database: TestDatabase) -> None:
    database.execute("CREATE INDEX by_time ON files_0 (created_at)")
    database.execute("CREATE INDEX backwards ON files_2 (created_at DESC)")
    settings = settings_for(database)
    upgrade(settings)
    assert "files_0_idx_files_created_at" not in index_names(database, "files_0")
    assert "files_2_idx_files_created_at" in index_names(database, "files_2")
    assert broken_indexes(database) == []


def test_a_foreign_partition_is_named(database: TestDatabase) -> None:
    database.execute_script(
        [
            "ALTER TABLE files DROP CONSTRAINT files_key",
            "CREATE FOREIGN DATA WRAPPER nothing",
            "CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing",
            "CREATE FOREIGN TABLE files_far PARTITION OF files"
            " FOR VALUES FROM ('2030-01-01') TO ('2030-02-01') SERVER nowhere",
        ]
    )
    with (
        open_migration(settings_for(database)) as migration,
        pytest.raises(Refused, match="files_far is a foreign table"),
    ):
        build_steps(migration)


def test_killed_on_the_way_it_ends_the_same(database: TestDatabase) -> None:
    before = canonical_rows(database)
    assert migrate_with_kills(database, "up", drop_archived=True, grow=16) > 2
    assert len(open_exceptions(database)) == 6
    assert broken_indexes(database) == []
    assert migrate_with_kills(database, "down", grow=16) > 2
    assert canonical_rows(database) == before
    assert broken_indexes(database) == []


def test_what_a_cut_off_build_left_is_repaired(database: TestDatabase) -> None:
    database.execute("CREATE INDEX idx_files_created_at ON ONLY files (created_at)")
    database.execute("CREATE INDEX files_0_idx_files_created_at ON files_0 (created_at)")
    database.execute(
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'files_0_idx_files_created_at'::regclass"
    )
    plan = make_plan(settings_for(database), direction=Direction.UP)
    assert [s.step for s in plan.statements].count("drop_leftover") == 1
    upgrade(settings_for(database))
    assert broken_indexes(database) == []


def test_a_chunk_reads_only_its_partitions(database: TestDatabase) -> None:
    with open_migration(settings_for(database)) as migration:
        statement = migration.source_catalog.get("migration_chunk_next").sql
    plan = "\n".join(
        row[0]
        for row in database.rows(
            f"EXPLAIN {statement}",
            {"page_created_at": "2024-01-06 12:00+00", "page_key": "doc-1", "page_size": 10},
        )
    )
    assert "files_2" in plan
    assert "files_0" not in plan
    assert "files_1_0" not in plan


def test_scripts_leave_what_the_program_leaves(database: TestDatabase) -> None:
    before = canonical_rows(database)
    settings = settings_for(database)
    for direction in Direction:
        [script] = make_scripts(settings, direction=direction, options=DROP)
        run_script(database, script.text)
        assert broken_indexes(database) == []
    assert canonical_rows(database) == before
    assert index_names(database) == {"idx_files_created_archived"}
