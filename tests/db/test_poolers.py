"""Behind PgBouncer: all but migrations and backups works, and leaves nothing in a session.

In transaction mode a session belongs to whoever has a transaction open: what is set, locked or
prepared in it reaches the application's own sessions.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from des_core.backup.create import CreateOptions, create_backup
from des_core.backup.identity import open_target
from des_core.basics.errors import Refused
from des_core.checks import Check, Status, examine
from des_core.database.connections import open_database
from des_core.database.server_settings import is_pooled
from des_core.ledger.revisions import Direction
from des_core.metrics.exporter import Exporter
from des_core.migration.apply import downgrade, make_plan, upgrade
from des_core.migration.compliance import sync_flags
from des_core.settings.config import Settings
from support.crash.truth import check_truth
from support.program.archive import make_settings
from support.program.migrating import rows_by_formula
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.pgbouncer import PgBouncer
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)
MODES = pytest.mark.parametrize("mode", ["transaction", "session"])
# What each client says when it connects, and a pooler says anew for each.
SAID_BY_CLIENTS = frozenset(
    {"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}
)
LEFT = """
SELECT 'setting ' || name FROM pg_settings WHERE source = 'session' AND name <> ALL(%s)
UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements
UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory'
UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relpersistence = 't'
UNION ALL SELECT concat_ws(' ', 'lock', l.locktype, c.relname)
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datname = current_database()
  AND a.backend_type = 'client backend' -- and not autovacuum
LEFT JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid <> pg_backend_pid() AND l.locktype <> 'virtualxid'
  AND c.relnamespace IS DISTINCT FROM CAST('pg_catalog' AS regnamespace)
"""


def behind(pooler: PgBouncer, settings: Settings, *, direct: bool = True) -> Settings:
    """The same archive through the pooler, with the way past it or without."""
    name = open_target(settings.source_url)
    name.database.close()
    pooled = SecretStr(pooler.url(name.name))
    url = SecretStr(settings.source_url) if direct else None
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"url": pooled}),
            "migration": settings.migration.model_copy(update={"url": url}),
        }
    )


def left_behind(pooler: PgBouncer, database: TestDatabase) -> set[Any]:
    """What other clients find in each of the sessions that the pooler holds."""
    clients = [pooler.connect(database.name) for _ in range(5)]
    found = {
        row[0]
        for client in clients
        for row in client.execute(LEFT, (list(SAID_BY_CLIENTS),)).fetchall()
    }
    for client in clients:
        client.close()
    return found


def now() -> datetime:
    return datetime.now(UTC)


def check_named(settings: Settings, name: str) -> Check:
    [found] = [check for check in examine(settings) if check.name == name]
    return found


@MODES
def test_a_life_behind_a_pooler(
    database: TestDatabase,
    mode: str,
    pooled_postgres: Callable[..., PgBouncer],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    table = files_table(database, 200, days=12, archived_days=4, bad={"missing": 2})
    pooler = pooled_postgres(mode)
    settings = behind(pooler, make_settings(database, tmp_path / "out"))
    upgrade(settings)
    with open_archive(settings) as archive:
        report = run_cycle(archive)
    assert report.files_out > 0
    assert len(check_truth(table, database, tmp_path / "out")) == 2
    exporter = Exporter(settings)
    assert exporter.read_once() is None
    exporter.close()
    expected = rows_by_formula(database, database)
    sync_flags(settings)
    assert canonical_rows(database) == expected
    assert [check for check in examine(settings) if check.status is Status.FAILED] == []
    assert left_behind(pooler, database) == set()
    backup = open_target(settings.direct_url)
    create_backup(
        backup,
        settings.database,
        ("source", "config"),
        CreateOptions(tmp_path / "backups"),
        clock=now,
    )
    backup.database.close()
    downgrade(settings)
    assert canonical_rows(database) == expected


@MODES
def test_what_needs_a_session_is_refused_with_the_key_to_set(
    database: TestDatabase,
    mode: str,
    pooled_postgres: Callable[..., PgBouncer],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    files_table(database, 20, days=3, archived_days=1, files=False)
    pooler = pooled_postgres(mode)
    settings = behind(pooler, make_settings(database, tmp_path / "out"), direct=False)
    target = open_target(settings.source_url)
    for work in (
        lambda: make_plan(settings, direction=Direction.UP),
        lambda: upgrade(settings),
        lambda: downgrade(settings),
        lambda: create_backup(
            target,
            settings.database,
            ("source",),
            CreateOptions(tmp_path / "backups"),
            clock=now,
        ),
    ):
        with pytest.raises(Refused, match="pooler") as caught:
            work()
        assert "migration.url" in str(caught.value.hint)
    target.database.close()
    assert database.table_names() == {"files"}
    assert not (tmp_path / "backups").exists()
    found = check_named(settings, "pooler")
    assert found.status is Status.WARNING
    assert "migration.url" in str(found.hint)


def test_a_pooler_that_lets_no_transaction_through_is_named(
    database: TestDatabase,
    pooled_postgres: Callable[..., PgBouncer],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    """Statement mode: `the database cannot be reached` would send people to the network."""
    files_table(database, 20, days=3, archived_days=1, files=False)
    pooler = pooled_postgres("statement")
    settings = behind(pooler, make_settings(database, tmp_path / "out"), direct=False)
    for work in (upgrade, sync_flags, lambda s: open_archive(s).__enter__()):
        with pytest.raises(Refused, match="lets no transaction through") as caught:
            work(settings)
        assert "pool_mode" in str(caught.value.hint)
    assert {check.status for check in examine(settings)} >= {Status.FAILED}
    assert database.table_names() == {"files"}


@MODES
def test_a_pooler_is_told_from_a_server(
    database: TestDatabase, mode: str, pooled_postgres: Callable[..., PgBouncer]
) -> None:
    for url, pooled in ((pooled_postgres(mode).url(database.name), True), (database.url, False)):
        opened = open_database(url)
        assert is_pooled(opened) is pooled
        opened.close()


def test_many_statements_of_one_kind_are_prepared_nowhere(
    database: TestDatabase, pooled_postgres: Callable[..., PgBouncer]
) -> None:
    """psycopg prepares what it has run five times, unless it is told not to."""
    pooler = pooled_postgres("transaction")
    opened = open_database(pooler.url(database.name))
    other = replace(database, url=pooler.url(database.name))
    for number in range(12):
        with opened.read() as tx:
            assert tx.run("backend_pid", {}).scalar_one()
            assert other.value("SELECT 1 + :n", {"n": number}) == 1 + number
    opened.close()
    assert left_behind(pooler, database) == set()
