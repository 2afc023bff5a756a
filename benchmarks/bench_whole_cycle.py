"""A whole `des-admin run` from SQLite: files a second, and the peak memory of a day of a million.

The runner is a process of its own, with ledger, exceptions, watermark, fsync and verification; its
memory is that of all its processes together, sampled while it works.
"""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml
from harness import (
    ROOT,
    CorpusSpec,
    describe_machine,
    make_corpus,
    print_table,
    run_watched,
    scratch_directory,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'runner'}{os.pathsep}{ROOT}"}


def make_project(place: Path, paths: list[str], sizes: list[int], rows: int) -> Path:
    """A database with `rows` rows in one day that point at the files in turn; its config file."""
    place.mkdir()
    (place / "shards").mkdir()
    database = sqlite3.connect(place / "files.db")
    database.execute(
        "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at TEXT NOT NULL,"
        " file_location TEXT NOT NULL, size_bytes INTEGER, archived BOOLEAN NOT NULL DEFAULT 0)"
    )
    step = 86_000 / rows
    database.executemany(
        "INSERT INTO files (uid, created_at, file_location, size_bytes) VALUES (?, ?, ?, ?)",
        (
            (
                f"document-{n:08d}",
                time.strftime("2024-03-01 %H:%M:%S", time.gmtime(1 + n * step)),
                paths[n % len(paths)],
                sizes[n % len(sizes)],
            )
            for n in range(rows)
        ),
    )
    database.commit()
    database.close()
    config = place / "des-admin.yaml"
    tree = {
        "database": {"url": f"sqlite:///{place / 'files.db'}"},
        "packer": {"output_dir": str(place / "shards"), "source_roots": ["/"]},
    }
    config.write_text(yaml.safe_dump(tree))
    des_admin(config, "migrate", "up", "--yes", "--quiet")
    return config


def des_admin(config: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "des_admin", "--config", str(config), *arguments],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )


def run_once(config: Path) -> tuple[float, float]:
    """Seconds, from start to end of the process, and peak MiB."""
    return run_watched(
        [sys.executable, "-m", "watermark_orchestrator", "--config", str(config)], ENVIRONMENT
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the day of a million")
    options = parser.parse_args()
    print(describe_machine())
    with scratch_directory("cycle") as place:
        files = make_corpus(CorpusSpec("small", options.files, 8192), place / "source")
        paths, sizes = [f.path for f in files], [f.size for f in files]
        taken = [
            run_once(make_project(place / f"round{n}", paths, sizes, options.files))
            for n in range(options.rounds)
        ]
        seconds = statistics.median(second for second, _ in taken)
        print_table(
            f"{options.files:,} files of about 8 KiB, from SQLite, start-up included",
            ["median", "files/s", "peak memory of all processes"],
            [
                [
                    f"{seconds:.1f} s",
                    f"{options.files / seconds:,.0f}",
                    f"{max(mib for _, mib in taken):.0f} MiB",
                ]
            ],
        )
        if options.rows:
            tiny = make_corpus(CorpusSpec("tiny", 2_000, 100), place / "tiny")
            config = make_project(
                place / "million", [f.path for f in tiny], [f.size for f in tiny], options.rows
            )
            seconds, mib = run_once(config)
            print_table(
                f"{options.rows:,} rows in one day, files of about 100 bytes",
                ["time", "files/s", "peak memory of all processes"],
                [[f"{seconds:.0f} s", f"{options.rows / seconds:,.0f}", f"{mib:.0f} MiB"]],
            )


if __name__ == "__main__":
    main()
