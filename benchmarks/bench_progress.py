"""`progress` and `progress --daily` at 100,000 and at 10,000,000 rows, and what they replace.

Both tables lie on one PostgreSQL server, hold ten years, and have as much waiting and the same
ledger: 30 days of 256 shards. The counting queries are those that one writes by hand against the
table: what waits, what is archived, and 30 days one by one. Measured are the answers on an open
connection, which is what the database and our thinking cost, and whole commands, where starting
Python is most of it: `des-admin progress` against psql.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import yaml
from harness import (
    ROOT,
    Claim,
    describe_machine,
    print_claims,
    print_table,
    scratch_directory,
)
from postgres_archive import PROGRAMS
from pydantic import SecretStr

sys.path.insert(0, str(ROOT / "tests"))

from des_core.database.connections import Database, open_database
from des_core.ledger.slices import SliceRecord, add_slice
from des_core.migration.apply import upgrade
from des_core.progress.now import read_days, read_progress
from des_core.records import ShardRecord
from des_core.rows.reader import SourceReader
from des_core.settings.config import DatabaseSettings, PackerSettings, Settings
from support.servers.database import TestDatabase
from support.servers.kinds import database_on
from support.servers.postgres import PostgresServer, find_postgres

WAITING = 20_000
DAYS, SHARDS = 30, 256
TABLE = (
    "CREATE TABLE files (uid text PRIMARY KEY, created_at timestamptz NOT NULL,"
    " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL)"
)
# The newest rows wait: as many in each table.
FILL = (
    "INSERT INTO files SELECT 'file-' || i, now() - interval '10 days'"
    " - interval '1 second' * (315360000.0 * ({rows} - i) / {rows}), '/mnt/' || i, 1000,"
    " i <= {rows} - {waiting} FROM generate_series(1, {rows}) AS i"
)
MARK = "(SELECT archived_until FROM des_archive_config WHERE id = 1)"
BY_HAND = (
    "SELECT archived_until, lag_days, now() - interval '1 day' * lag_days FROM des_archive_config",
    "SELECT count(*), min(created_at), max(created_at), sum(size_bytes) FROM files"
    f" WHERE created_at > {MARK} AND created_at <= now() - interval '7 days'",
    f"SELECT count(*), sum(size_bytes) FROM files WHERE created_at <= {MARK}",
    "SELECT date(created_at) AS day, count(*), sum(size_bytes) FROM files"
    f" WHERE created_at <= {MARK} AND created_at > {MARK} - interval '30 days'"
    " GROUP BY day ORDER BY day DESC LIMIT 30",
)


def make_table(database: TestDatabase, rows: int, waiting: int) -> Settings:
    """Rows, migrated, with a ledger of 30 days."""
    database.execute_script([TABLE, FILL.format(rows=rows, waiting=waiting)])
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database.url)),
        packer=PackerSettings(output_dir="/tmp"),
    )
    upgrade(settings)
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE files")
    with closing(open_database(settings.source_url)) as config:
        fill_ledger(config, database.value("SELECT archived_until FROM des_archive_config"))
    return settings


def fill_ledger(config: Database, until: datetime) -> None:
    """A slice for each of the days before the watermark."""
    for number in range(DAYS):
        end = until.astimezone(UTC) - timedelta(days=number)
        record = SliceRecord(
            run_id=f"{number:032d}",
            kind="window",
            window_start=end - timedelta(days=1),
            window_end=end,
            files_in=SHARDS * 1000,
            files_out=SHARDS * 1000,
            files_failed=0,
            files_present=0,
            bytes_in=SHARDS * 8_000_000,
            bytes_out=SHARDS * 3_000_000,
            started_at=end,
            finished_at=end + timedelta(minutes=1),
            versions="{}",
        )
        day = end.date()
        shards = [
            ShardRecord(
                f"{day:%Y%m%d}_{n:02X}_0000.des", day, n, 0, 1000, 8_000_000, 3_000_000, "0" * 64
            )
            for n in range(SHARDS)
        ]
        with config.write() as tx:
            add_slice(tx, record, shards)


Answers = dict[str, Callable[[], object]]


def open_answers(settings: Settings, stack: ExitStack) -> Answers:
    """Each answer, on one open connection."""
    config = stack.enter_context(closing(open_database(settings.source_url)))
    source = SourceReader(config, settings.database)

    def by_hand() -> None:
        with config.read() as tx:
            for statement in BY_HAND:
                tx.connection.exec_driver_sql(statement).all()

    return {
        "progress": lambda: read_progress(config, source),
        "progress --daily": lambda: read_days(config, source, days=DAYS),
        "counting by hand": by_hand,
    }


def commands(settings: Settings, psql: Path, place: Path) -> Answers:
    """Each command, from its start to its end."""
    url = settings.source_url
    config = place / f"{url.rpartition('/')[2]}.yaml"
    config.write_text(yaml.safe_dump({"database": {"url": url}, "packer": {"output_dir": "/tmp"}}))
    admin = [sys.executable, "-m", "des_admin", "--config", str(config), "progress"]
    counting = [str(psql), "-qAt", *(part for query in BY_HAND for part in ("-c", query))]

    def run(*command: str) -> None:
        subprocess.run(command, env=PROGRAMS, check=True, stdout=subprocess.DEVNULL)

    return {
        "des-admin progress": partial(run, *admin),
        "des-admin progress --daily": partial(run, *admin, "--daily"),
        "psql, counting by hand": partial(run, *counting, url.replace("+psycopg", "")),
    }


def take_turns(tables: list[Answers], rounds: int) -> list[dict[str, float]]:
    """Median milliseconds of each answer about each table, both in the same minutes."""
    times: list[dict[str, list[float]]] = [{name: [] for name in each} for each in tables]
    for name in tables[0]:
        for _ in range(rounds + 1):
            for answers, kept in zip(tables, times, strict=True):
                began = time.perf_counter()
                answers[name]()
                kept[name].append((time.perf_counter() - began) * 1000)
    # The first round warms the caches.
    return [{name: statistics.median(all_[1:]) for name, all_ in kept.items()} for kept in times]


def print_figures(
    title: str, sizes: list[int], few: dict[str, float], many: dict[str, float]
) -> None:
    print_table(
        title,
        ["", *(f"{rows:,} rows" for rows in sizes), "ratio"],
        [
            [
                name,
                f"{few[name]:,.1f} ms",
                f"{many[name]:,.1f} ms",
                f"{many[name] / few[name]:.2f} ×",
            ]
            for name in few
        ],
    )


def main() -> None:
    """Print the times and the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, e.g. 0.01")
    options = parser.parse_args()
    binaries = find_postgres()
    if binaries is None:
        raise SystemExit("no PostgreSQL server found: apt install postgresql")
    print(f"## Progress\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    sizes = [int(rows * options.scale) for rows in (100_000, 10_000_000)]
    waiting = int(WAITING * min(1.0, options.scale))
    with PostgresServer(binaries, {"shared_buffers": "512MB"}) as server:
        tables = [make_table(database_on(server), rows, waiting) for rows in sizes]
        psql = binaries.directory / "psql"
        with scratch_directory("progress") as place, ExitStack() as stack:
            few, many = take_turns([open_answers(each, stack) for each in tables], options.rounds)
            started = take_turns(
                [commands(each, psql, place) for each in tables], min(options.rounds, 7)
            )
    print_figures(f"PostgreSQL, {waiting:,} rows waiting in each table", sizes, few, many)
    print_figures("whole commands, from their start to their end", sizes, *started)
    whole = many["progress"] + many["progress --daily"]
    print_claims(
        [
            *(
                Claim(f"{name}: growth of its time", many[name] / few[name], 1.2)
                for name in ("progress", "progress --daily")
            ),
            Claim("counting by hand takes", many["counting by hand"] / whole, 50, at_most=False),
        ]
    )


if __name__ == "__main__":
    main()
