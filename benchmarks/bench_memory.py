"""Peak memory of a cycle over one day of a million rows, and of five million.

All processes of the runner together, each counted by what it does not share and its part of what
it does; the database server is not of them. The rows share a few files, so that only the rows grow.
"""

import argparse
import sys

from harness import (
    Claim,
    CorpusSpec,
    SourceFile,
    describe_machine,
    make_corpus,
    print_claims,
    print_table,
    run_watched,
    scratch_directory,
)
from postgres_archive import PROGRAMS, PostgresArchive, postgres_archive

FILES = CorpusSpec("memory", 2000, 200)
LIMIT_MIB = 300


def measure(archive: PostgresArchive, files: list[SourceFile], rows: int) -> tuple[float, float]:
    """Seconds and MiB of one cycle over so many rows of one day."""
    archive.fill(files, rows=rows)
    with archive.copy() as copy:
        command = [sys.executable, "-m", "watermark_orchestrator", "--config", str(copy.config)]
        return run_watched(command, PROGRAMS)


def main() -> None:
    """Print the peaks and what became of the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, e.g. 0.01")
    options = parser.parse_args()
    print(f"## Memory\n\n{describe_machine()}")
    counts = [int(rows * options.scale) for rows in (1_000_000, 5_000_000)]
    with scratch_directory("memory") as place, postgres_archive(place) as archive:
        files = make_corpus(FILES, place / "source")
        found = {rows: measure(archive, files, rows) for rows in counts}
    print_table(
        "one day of many rows, from PostgreSQL",
        ["rows", "peak of all processes", "took", "rows/s"],
        [
            [f"{rows:,}", f"{mib:.0f} MiB", f"{seconds:.1f} s", f"{rows / seconds:,.0f}"]
            for rows, (seconds, mib) in found.items()
        ],
    )
    few, many = (found[rows][1] for rows in counts)
    print_claims(
        [
            Claim(f"peak at {counts[0]:,} rows", few, LIMIT_MIB, unit=" MiB"),
            Claim(f"peak at {counts[1]:,} rows, of the peak at {counts[0]:,}", many / few, 1.1),
        ]
    )


if __name__ == "__main__":
    main()
