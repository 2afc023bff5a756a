"""The exporter's read costs the same at 100,000 and at 10,000,000 rows.

One database of each size, on SQLite and on PostgreSQL, in the same run: once with everything
archived but the newest day, once with so much waiting that the count stops at its limit.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness import describe_machine, print_table, scratch_directory
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from des_core.config import DatabaseSettings, PackerSettings, Settings
from des_core.metrics.exporter import Exporter
from des_core.migration.apply import upgrade
from support.database import TestDatabase, sqlite_database
from support.postgres_server import PostgresServer, find_postgres
from support.servers import database_on

SIZES = (100_000, 10_000_000)
READS = 30
HEADER = ["database", "waiting", *(f"{size:,} rows" for size in SIZES), "ratio"]
TABLE = {
    "sqlite": "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at TEXT NOT NULL,"
    " file_location TEXT NOT NULL, size_bytes INTEGER, archived INTEGER NOT NULL)",
    "postgres": "CREATE TABLE files (uid text PRIMARY KEY, created_at timestamptz NOT NULL,"
    " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL)",
}
# Rows evenly over the ten years that end ten days ago; the last thousandth is not archived.
FILL = {
    "sqlite": "INSERT INTO files WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < {rows}) SELECT 'file-' || i, strftime('%Y-%m-%d %H:%M:%f', 'now', '-10 days',"
    " '-' || (315360000.0 * ({rows} - i) / {rows}) || ' seconds') || '000',"
    " '/mnt/' || i, 1000, i <= {rows} * 0.999 FROM n",
    "postgres": "INSERT INTO files SELECT 'file-' || i, now() - interval '10 days'"
    " - interval '1 second' * (315360000.0 * ({rows} - i) / {rows}), '/mnt/' || i, 1000,"
    " i <= {rows} * 0.999 FROM generate_series(1, {rows}) AS i",
}
SINCE = {
    "sqlite": "UPDATE des_archive_config SET archived_until = '2000-01-01 00:00:00.000000'",
    "postgres": "UPDATE des_archive_config SET archived_until = '2000-01-01 00:00:00+00'",
}


def fill(database: TestDatabase, rows: int) -> Settings:
    """`files` with so many rows, migrated."""
    database.execute_script([TABLE[database.kind], FILL[database.kind].format(rows=rows)])
    database.execute("ANALYZE files")
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database.url)),
        packer=PackerSettings(output_dir="/tmp"),
    )
    upgrade(settings)
    return settings


def time_reads(settings: Settings) -> tuple[float, float]:
    """Median milliseconds of a read, and how many files it saw waiting."""
    exporter = Exporter(settings)
    problem = exporter.read_once()
    if problem is not None:
        raise SystemExit(problem)
    times = []
    for _ in range(READS):
        began = time.perf_counter()
        exporter.read_once()
        times.append(time.perf_counter() - began)
    waiting = exporter.current().get("des_migration_pending_files") or 0
    exporter.close()
    return statistics.median(times) * 1000, waiting


def compare(name: str, make: Callable[[int], TestDatabase]) -> list[list[str]]:
    """Two lines of the table: little waiting, much waiting."""
    databases = [make(size) for size in SIZES]
    settings = [fill(database, size) for database, size in zip(databases, SIZES, strict=True)]
    few = [time_reads(each) for each in settings]
    for database in databases:
        database.execute(SINCE[database.kind])
    many = [time_reads(each) for each in settings]
    return [_line(name, few), _line(name, many)]


def _line(name: str, found: list[tuple[float, float]]) -> list[str]:
    (small, waiting_small), (large, waiting_large) = found
    waiting = f"{waiting_small:,.0f} / {waiting_large:,.0f}"
    return [name, waiting, f"{small:.2f} ms", f"{large:.2f} ms", f"{large / small:.2f} ×"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    only = parser.parse_args().only
    print(describe_machine())
    lines: list[list[str]] = []
    with ExitStack() as stack:
        directory = stack.enter_context(scratch_directory("exporter"))
        if only != "postgres":
            lines += compare("SQLite", lambda size: sqlite_database(directory / f"{size}.sqlite"))
        binaries = find_postgres()
        if only != "sqlite" and binaries is not None:
            server = stack.enter_context(PostgresServer(binaries))
            lines += compare("PostgreSQL", lambda _: database_on(server))
    print_table("One read of the exporter", HEADER, lines)


if __name__ == "__main__":
    main()
