"""The guide's own script runs unchanged; the same calls work on each driver."""

import asyncio
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from des_core.basics.errors import LockHeld
from des_core.database.connections import open_database
from des_core.database_source import SourceDatabaseConfig
from des_core.locks.lock import hold_lock
from des_core.packer_planner import PackerConfig
from support.crash.truth import check_truth
from support.program.archive import make_archive
from support.program.runner import environment
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator import WatermarkMigrationOrchestrator


def find_guide() -> Path | None:
    for parent in Path(__file__).resolve().parents:
        candidate = parent / "shared" / "guide.pl.md"
        if candidate.is_file():
            return candidate
    return None


@pytest.mark.postgres
def test_the_guides_script_runs_unchanged(
    make_database: Any, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    guide = find_guide()
    if guide is None:
        pytest.skip("the guide is not beside this checkout")
    script = re.search(
        r"^cat > test_watermark.py << 'EOF'\n(.*?)^EOF$", guide.read_text(), re.M | re.S
    )
    assert script is not None
    database = make_database("postgres")
    files_table(database, rows=50, days=5, archived_days=2)
    make_archive(database, tmp_path / "out")
    (tmp_path / "test_watermark.py").write_text(script[1])
    output = Path("/tmp/des_test")  # the script's own output directory
    with suppress(OSError):
        output.rmdir()
    was_there = output.exists()
    url = database.url.replace("postgresql+psycopg://", "postgresql://")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "test_watermark.py")],
        env={**environment(), "DB_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"Pending files:\s+30\b", done.stdout), done.stdout
    assert output.exists() == was_there, "a look at numbers makes nothing"


def test_the_same_calls_on_each_driver(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=50, days=5, archived_days=2, bad={"missing": 1})
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    orchestrator = WatermarkMigrationOrchestrator(
        db_connection=connection,
        config_connection=connection,
        source_config=SourceDatabaseConfig(dsn=database.url, lag_days=7, page_size=1000),
        packer_config=PackerConfig(output_dir=str(tmp_path / "out"), n_bits=4, workers=1),
        delete_source_files=False,
    )

    async def use() -> tuple[dict[str, Any], Any, dict[str, Any]]:
        await orchestrator.initialize()
        before = await orchestrator.get_pending_stats()
        report = await orchestrator.run_cycle()
        return before, report, await orchestrator.get_pending_stats()

    before, report, after = asyncio.run(use())
    assert before["pending_files"] == 30
    assert before["window_start"] < before["window_end"]
    assert (report.files_out, report.files_failed) == (29, 1)
    assert after["pending_files"] == 0
    connection.cursor().execute("SELECT 1")  # still open, still usable
    connection.close()
    assert check_truth(table, database, tmp_path / "out") == dict.fromkeys(table.bad, "missing")


def test_two_connections(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=20, days=2)
    make_archive(database, tmp_path / "out")
    source, config = database.connect(), database.connect()
    orchestrator = WatermarkMigrationOrchestrator(
        db_connection=source,
        config_connection=config,
        source_config=SourceDatabaseConfig(dsn=database.url),
        packer_config=PackerConfig(output_dir=str(tmp_path / "out"), workers=1),
    )

    async def use() -> None:
        await orchestrator.initialize()
        await orchestrator.run_cycle()

    asyncio.run(use())
    source.close()
    config.close()
    assert check_truth(table, database, tmp_path / "out") == {}


STATES = {
    "postgres": "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name",
    "mysql": "SELECT variable_name, variable_value FROM {schema}.session_variables"
    " WHERE variable_name NOT IN ('timestamp', 'rand_seed1', 'rand_seed2', 'pseudo_thread_id',"
    " 'last_insert_id', 'identity', 'insert_id', 'error_count', 'warning_count', 'in_transaction',"
    " 'gtid_current_pos', 'gtid_binlog_pos', 'last_gtid', 'in_predicate_conversion_threshold',"
    " 'original_commit_timestamp', 'statement_id', 'gtid_executed')",
}


def state_of(connection: Any, database: TestDatabase) -> list[Any]:
    """What a script could notice of its own session."""
    if database.kind == "sqlite":
        names = ("synchronous", "foreign_keys", "busy_timeout")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        return [connection.isolation_level, connection.in_transaction, *values]
    schema = "information_schema" if database.server == "mariadb" else "performance_schema"
    with connection.cursor() as cursor:
        cursor.execute(STATES[database.kind].format(schema=schema))
        rows = list(cursor.fetchall())
    autocommit = connection.autocommit
    if database.kind == "mysql":
        return [connection.get_autocommit(), *rows]
    status = connection.info.transaction_status
    if not autocommit:
        connection.rollback()
    return [autocommit, connection.prepare_threshold, status, *rows]


@pytest.mark.parametrize("autocommit", [False, True])
def test_the_connections_come_back_as_they_were(
    autocommit: bool, database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Also after an error: here somebody else holds the lock."""
    files_table(database, rows=20, days=3)
    make_archive(database, tmp_path / "out")
    connection = database.connect()
    if database.kind == "postgres":
        connection.autocommit = autocommit
    elif database.kind == "mysql":
        connection.autocommit(autocommit)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'")
    else:
        connection.isolation_level = None if autocommit else ""
        connection.execute("PRAGMA busy_timeout = 1234")
    orchestrator = WatermarkMigrationOrchestrator(
        db_connection=connection,
        config_connection=connection,
        source_config=SourceDatabaseConfig(dsn=database.url, lag_days=7, page_size=1000),
        packer_config=PackerConfig(output_dir=str(tmp_path / "out"), n_bits=4, workers=1),
    )
    before = state_of(connection, database)
    config = open_database(database.url)
    asyncio.run(orchestrator.initialize())
    assert state_of(connection, database) == before
    with hold_lock(config, "another"), pytest.raises(LockHeld):
        asyncio.run(orchestrator.run_cycle())
    config.close()
    assert state_of(connection, database) == before
    assert asyncio.run(orchestrator.run_cycle()).files_out == 20
    assert state_of(connection, database) == before
