"""--max-lag: waiting for a replica that is behind, and saying so where that cannot be."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from des_core.basics.errors import DatabaseUnreachable, Refused, UsageError
from des_core.ledger.revisions import Direction
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.base.migration import MigrationOptions, Notice, open_migration
from des_core.migration.compliance import sync_flags
from des_core.migration.flags.throttle import require_lag_is_known
from support.program.archive import adopt_move, make_settings
from support.program.migrating import rows_by_formula, settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import database_on, require_server
from support.servers.postgres import PostgresServer, find_postgres
from support.servers.standby import standby_of
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

MAX_LAG_S = 0.5
PATIENCE_S = 30.0


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    binaries = find_postgres()
    if binaries is None:
        require_server("PostgreSQL")
    with PostgresServer(binaries) as server:
        yield server


def wait_for_lag(database: TestDatabase) -> None:
    """Until the primary knows that its standby is behind; each write makes the standby report."""
    deadline = time.monotonic() + PATIENCE_S
    sql = "SELECT COALESCE(EXTRACT(EPOCH FROM MAX(replay_lag)), 0) FROM pg_stat_replication"
    while database.value(sql) <= MAX_LAG_S:
        assert time.monotonic() < deadline, "the standby never fell behind"
        database.execute("UPDATE des_archive_config SET last_updated = NOW()")


@pytest.mark.postgres
def test_a_standby_that_is_behind_is_waited_for(
    primary: PostgresServer, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """And no run reads its rows there: windows would close without those that it lacks."""
    database = database_on(primary)
    files_table(database, 60, days=5, archived_days=2, files=False)
    settings = settings_for(database)
    upgrade(settings)
    database.execute(
        "UPDATE des_archive_config SET archived_until = :until", {"until": "2024-01-04 00:00:00"}
    )
    adopt_move(settings)
    with standby_of(primary) as standby:
        replay = standby.connect()
        replay.autocommit = True
        replay.execute("SELECT pg_wal_replay_pause()")
        wait_for_lag(database)
        behind = make_settings(
            replace(database, url=standby.url(database.name)), tmp_path / "out", database
        )
        refused = pytest.raises(DatabaseUnreachable, match=r"in_hot_standby = on.*may lack rows")
        with open_archive(behind) as archive, refused:
            run_cycle(archive)
        expected = rows_by_formula(database, database)
        said: list[str] = []

        def listen(notice: Notice) -> None:
            said.append(notice.text)
            if notice.text.startswith("replicas are"):
                replay.execute("SELECT pg_wal_replay_resume()")

        sync_flags(settings, options=MigrationOptions(max_lag_s=MAX_LAG_S), report=listen)
        replay.close()
        assert [text for text in said if text.startswith("replicas are")], said
        assert canonical_rows(database) == expected


@pytest.mark.postgres
def test_a_lag_that_is_hidden_is_said_or_refused(
    primary: PostgresServer, files_table: FilesTableFactory
) -> None:
    database = database_on(primary)
    files_table(database, 10, days=2, archived_days=1, files=False)
    upgrade(settings_for(database))
    database.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow'")
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO narrow")
    place = f"{primary.host}:{primary.port}/{database.name}"
    narrow = settings_for(replace(database, url=f"postgresql+psycopg://narrow:narrow@{place}"))
    with standby_of(primary):
        options = MigrationOptions(max_lag_s=5.0)
        with (
            open_migration(narrow, options=options) as migration,
            pytest.raises(Refused, match="hidden"),
        ):
            require_lag_is_known(migration)
        said: list[str] = []
        with open_migration(narrow, report=lambda notice: said.append(notice.text)) as migration:
            require_lag_is_known(migration)
        assert "hidden" in said[0]
        database.execute("GRANT pg_read_all_stats TO narrow")
        with open_migration(narrow, options=options) as migration:
            require_lag_is_known(migration)


@pytest.mark.parametrize("server", ["mariadb", "sqlite"])
def test_where_the_server_cannot_know_it_is_refused_before_anything_changes(
    make_database: Callable[[str], TestDatabase], files_table: FilesTableFactory, server: str
) -> None:
    database = make_database(server)
    files_table(database, 10, days=2, archived_days=1, files=False)
    settings = settings_for(database)
    upgrade(settings)
    before = canonical_rows(database)
    options = MigrationOptions(max_lag_s=5.0)
    with pytest.raises(UsageError, match="PostgreSQL only"):
        make_plan(settings, direction=Direction.DOWN, options=options)
    with pytest.raises(UsageError, match="PostgreSQL only"):
        downgrade(settings, options=options)
    with pytest.raises(UsageError, match="PostgreSQL only"):
        sync_flags(settings, options=options)
    assert canonical_rows(database) == before
    assert database.value("SELECT COUNT(*) FROM des_archive_config") == 1
