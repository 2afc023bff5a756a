"""The per-record way beside the watermark, on the same files, with the same engine, on PostgreSQL.

`des-migrate` packs and then marks each row by UPDATEs of 1,000 uids; a cycle packs and moves one
row. Counted: UPDATE statements by pg_stat_statements and write-ahead log by its position, from the
start of the program to its end.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from harness import (
    TINY,
    Claim,
    describe_machine,
    make_corpus,
    print_claims,
    print_table,
    scratch_directory,
)
from postgres_archive import Copy, PostgresArchive, postgres_archive, run_cycle, run_program

CYCLE, PER_RECORD = "des-admin: a cycle", "des-migrate, 1,000 rows an UPDATE"
STATISTICS = {"shared_preload_libraries": "pg_stat_statements", "max_wal_size": "8GB"}
UPDATES = (
    "SELECT coalesce(sum(calls), 0)::float8, coalesce(sum(total_exec_time), 0)::float8 / 1000"
    " FROM pg_stat_statements WHERE query LIKE 'UPDATE%%' AND dbid ="
    " (SELECT oid FROM pg_database WHERE datname = %s)"
)
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8"
# Seconds, UPDATE statements, their seconds, bytes of write-ahead log.
Figures = tuple[float, float, float, float]


def measure(archive: PostgresArchive, program: Callable[[Path], None]) -> Figures:
    """One run on a fresh copy."""
    with archive.copy() as copy, archive.server.connect() as connection:
        connection.autocommit = True
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_stat_statements_reset()")
        before, started = _number(connection.execute(WAL)), time.perf_counter()
        program(copy.config)
        seconds = time.perf_counter() - started
        wal = _number(connection.execute(WAL)) - before
        [(calls, update_s)] = connection.execute(UPDATES, (copy.name,)).fetchall()
        _check(archive, copy)
        return seconds, float(calls), float(update_s), wal


def _number(cursor) -> float:
    [[value]] = cursor.fetchall()
    return float(value)


def _check(archive: PostgresArchive, copy: Copy) -> None:
    """Everything was packed and is marked, in one way or the other."""
    with archive.server.connect(copy.name) as connection:
        exists = "SELECT to_regclass('des_archive_config') IS NOT NULL"
        [[has_watermark]] = connection.execute(exists).fetchall()
        left = "SELECT count(*) FROM files WHERE " + (
            "created_at > (SELECT archived_until FROM des_archive_config)"
            if has_watermark
            else "NOT archived"
        )
        if _number(connection.execute(left)):
            raise SystemExit("some files were not packed")


def migrate(config: Path) -> None:
    run_program("des_admin.per_record_cli", "--config", str(config), "--quiet")


def main() -> None:
    """Print the figures of both ways, for a million files, and the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    options = parser.parse_args()
    print(
        f"## The per-record way\n\n{describe_machine()}; medians of {options.rounds}, warm cache."
    )
    with scratch_directory("per-record") as place:
        files = make_corpus(TINY.scaled(options.scale), place / "source")
        found = {CYCLE: [], PER_RECORD: []}
        with postgres_archive(place, **STATISTICS) as one:
            other = PostgresArchive(one.server, place)
            one.fill(files)
            other.fill(files, migrated=False)
            for _ in range(options.rounds):
                found[CYCLE].append(measure(one, run_cycle))
                found[PER_RECORD].append(measure(other, migrate))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in found.items()
    }
    million = 1e6 / len(files)
    print_table(
        f"{len(files):,} files of about 2 KiB; database figures for a million files",
        ["", "took", "UPDATEs", "their time", "write-ahead log"],
        [
            [
                name,
                f"{seconds:.1f} s",
                f"{calls:,.0f}" if name == CYCLE else f"{calls * million:,.0f}",
                f"{update_s * 1000:,.1f} ms" if name == CYCLE else f"{update_s * million:,.1f} s",
                f"{wal * million / 1e6:,.1f} MB",
            ]
            for name, (seconds, calls, update_s, wal) in medians.items()
        ],
    )
    ours, theirs = medians[CYCLE], medians[PER_RECORD]
    print_claims(
        [
            Claim("whole run: des-migrate takes", theirs[0] / ours[0], 8, at_most=False),
            Claim("UPDATE statements: des-migrate makes", theirs[1] / ours[1], 8, at_most=False),
            Claim("time of UPDATEs: des-migrate takes", theirs[2] / ours[2], 8, at_most=False),
            Claim("write-ahead log: des-migrate writes", theirs[3] / ours[3], 8, at_most=False),
        ]
    )


if __name__ == "__main__":
    main()
