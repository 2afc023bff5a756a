"""The exporter's read costs the same at 100,000 and at 10,000,000 rows.

One database of each size on each server, in the same run: once with a thousandth of the rows
waiting, once with so much waiting that the count stops at its limit. Reads of both take turns.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from harness import describe_machine, print_table, scratch_directory
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from des_core.metrics.exporter import Exporter
from des_core.migration.apply import upgrade
from des_core.settings.config import DatabaseSettings, PackerSettings, Settings
from support.servers.database import TestDatabase, sqlite_database
from support.servers.kinds import database_on
from support.servers.mysql import MySqlServer, find_mariadb, find_mysql
from support.servers.postgres import PostgresServer, find_postgres

SIZES = (100_000, 10_000_000)
READS = 30
TABLE = {
    "sqlite": "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at TEXT NOT NULL,"
    " file_location TEXT NOT NULL, size_bytes INTEGER, archived INTEGER NOT NULL)",
    "postgres": "CREATE TABLE files (uid text PRIMARY KEY, created_at timestamptz NOT NULL,"
    " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL)",
    "mysql": "CREATE TABLE files (uid VARCHAR(64) PRIMARY KEY, created_at DATETIME(6) NOT NULL,"
    " file_location TEXT NOT NULL, size_bytes BIGINT, archived BOOLEAN NOT NULL)",
}
# Rows evenly over the ten years that end ten days ago; the last thousandth is not archived.
FILL = {
    "sqlite": "INSERT INTO files WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < {rows}) SELECT printf('file-%09d', i),"
    " strftime('%Y-%m-%d %H:%M:%f', 'now', '-10 days',"
    " '-' || (315360000.0 * ({rows} - i) / {rows}) || ' seconds') || '000',"
    " '/mnt/' || i, 1000, i <= {rows} * 0.999 FROM n",
    "postgres": "INSERT INTO files SELECT 'file-' || lpad(i::text, 9, '0'),"
    " now() - interval '10 days' - interval '1 second' * (315360000.0 * ({rows} - i) / {rows}),"
    " '/mnt/' || i, 1000,"
    " i <= {rows} * 0.999 FROM generate_series(1, {rows}) AS i",
    "mysql": "INSERT INTO files SELECT CONCAT('file-', LPAD(seq, 9, '0')), UTC_TIMESTAMP(6)"
    " - INTERVAL 10 DAY - INTERVAL (315360000.0 * ({rows} - seq) / {rows}) SECOND,"
    " CONCAT('/mnt/', seq), 1000, seq <= {rows} * 0.999 FROM ({numbers}) AS n"
    " WHERE seq <= {rows} ORDER BY seq",
}
SINCE = {
    "sqlite": "UPDATE des_archive_config SET archived_until = '2000-01-01 00:00:00.000000'",
    "postgres": "UPDATE des_archive_config SET archived_until = '2000-01-01 00:00:00+00'",
    "mysql": "UPDATE des_archive_config SET archived_until = '2000-01-01 00:00:00'",
}
ANALYZE = {"sqlite": "ANALYZE files", "postgres": "ANALYZE files", "mysql": "ANALYZE TABLE files"}


def numbers(rows: int) -> str:
    """A query of the numbers from 1 to `rows` or more, in words that MySQL and MariaDB share."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    places = range(len(str(rows - 1)))
    value = " + ".join(f"{10**place} * p{place}.d" for place in places)
    return f"SELECT 1 + {value} AS seq FROM " + ", ".join(f"({digits}) AS p{n}" for n in places)


def fill(database: TestDatabase, rows: int) -> Settings:
    """`files` with so many rows, migrated."""
    filling = FILL[database.kind].format(rows=rows, numbers=numbers(rows))
    database.execute_script([TABLE[database.kind], filling])
    database.execute(ANALYZE[database.kind])
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database.url)),
        packer=PackerSettings(output_dir="/tmp"),
    )
    upgrade(settings)
    return settings


def time_reads(settings: list[Settings]) -> list[tuple[float, float]]:
    """For each, the median milliseconds of a read, and how many files it saw waiting."""
    exporters = [Exporter(each) for each in settings]
    times: list[list[float]] = [[] for _ in exporters]
    for number in range(READS + 1):
        for exporter, taken in zip(exporters, times, strict=True):
            began = time.perf_counter()
            problem = exporter.read_once()
            if problem is not None:
                raise SystemExit(problem)
            if number:
                taken.append(time.perf_counter() - began)
    waiting = [each.current().get("des_migration_pending_files") or 0 for each in exporters]
    for exporter in exporters:
        exporter.close()
    return [
        (statistics.median(taken) * 1000, files)
        for taken, files in zip(times, waiting, strict=True)
    ]


def compare(name: str, make: Callable[[int], TestDatabase], sizes: list[int]) -> list[list[str]]:
    """Two lines of the table: little waiting, much waiting."""
    databases = [make(size) for size in sizes]
    began = time.monotonic()
    settings = [fill(database, size) for database, size in zip(databases, sizes, strict=True)]
    print(f"{name}: filled and migrated in {time.monotonic() - began:.0f} s", flush=True)
    few = time_reads(settings)
    for database in databases:
        database.execute(SINCE[database.kind])
    return [_line(name, few), _line(name, time_reads(settings))]


def _line(name: str, found: list[tuple[float, float]]) -> list[str]:
    (small, waiting_small), (large, waiting_large) = found
    waiting = f"{waiting_small:,.0f} / {waiting_large:,.0f}"
    return [name, waiting, f"{small:.2f} ms", f"{large:.2f} ms", f"{large / small:.2f} ×"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("sqlite", "postgres", "mariadb", "mysql"))
    parser.add_argument("--sizes", type=int, nargs=2, default=SIZES, metavar="ROWS")
    options = parser.parse_args()
    sizes = list(options.sizes)
    print(describe_machine(), flush=True)
    lines: list[list[str]] = []
    with ExitStack() as stack:
        directory = stack.enter_context(scratch_directory("exporter"))
        if options.only in (None, "sqlite"):
            lines += compare("SQLite", partial(_sqlite, directory), sizes)
        postgres = find_postgres()
        if options.only in (None, "postgres") and postgres is not None:
            running = stack.enter_context(PostgresServer(postgres))
            lines += compare("PostgreSQL", lambda _: database_on(running), sizes)
        for name, binaries in (("MariaDB", find_mariadb()), ("MySQL", find_mysql())):
            if options.only in (None, name.lower()) and binaries is not None:
                server = stack.enter_context(MySqlServer(binaries))
                lines += compare(name, lambda _, on=server: database_on(on), sizes)
    header = ["database", "files waiting", *(f"{size:,} rows" for size in sizes), "ratio"]
    print_table("One read of the exporter", header, lines)


def _sqlite(directory: Path, size: int) -> TestDatabase:
    return sqlite_database(directory / f"{size}.sqlite")


if __name__ == "__main__":
    main()
