"""The per-record way beside the watermark, on the same files, on PostgreSQL.

A cycle packs and moves one row. Our `des-migrate` packs with the same engine and then marks the
rows by UPDATEs of 1,000 uids. `per_record_peer.py` is how such packers are commonly written: one
process, an UPDATE for each file, or one for each batch of 1,000, and a commit for each batch.
Counted: UPDATE statements by pg_stat_statements and write-ahead log by its position, from the
start of the program to its end.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
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
from postgres_archive import (
    PROGRAMS,
    Copy,
    PostgresArchive,
    postgres_archive,
    run_cycle,
    run_program,
)

CYCLE, PER_RECORD = "des-admin: a cycle", "des-migrate, 1,000 rows an UPDATE"
PEER_ROW, PEER_BATCH = "one process, an UPDATE a file", "one process, 1,000 rows an UPDATE"
PEER = Path(__file__).with_name("per_record_peer.py")
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


def peer(update: str, config: Path) -> None:
    command = [sys.executable, str(PEER), "--config", str(config), f"--update={update}"]
    subprocess.run(command, env=PROGRAMS, check=True)


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
        found: dict[str, list[Figures]] = {}
        ways = {
            PER_RECORD: migrate,
            PEER_ROW: partial(peer, "row"),
            PEER_BATCH: partial(peer, "batch"),
        }
        with postgres_archive(place, **STATISTICS) as one:
            other = PostgresArchive(one.server, place)
            one.fill(files)
            other.fill(files, migrated=False)
            for _ in range(options.rounds):
                found.setdefault(CYCLE, []).append(measure(one, run_cycle))
                for name, way in ways.items():
                    found.setdefault(name, []).append(measure(other, way))
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
    print_claims([claim for name in ways for claim in compare(name, medians[name], medians[CYCLE])])


def compare(name: str, theirs: list[float], ours: list[float]) -> list[Claim]:
    """The promise is about the packer with an UPDATE for each file; the others stand beside it."""
    subjects = ("whole run", "UPDATE statements", "time of UPDATEs", "write-ahead log")
    return [
        Claim(f"{name}: {subject}", its / mine, 8, at_most=False)
        for subject, its, mine in zip(subjects, theirs, ours, strict=True)
    ]


if __name__ == "__main__":
    main()
