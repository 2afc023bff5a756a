"""What `plan compression` foretells, against what cycles then take: bytes and processor time.

Each corpus is packed by real cycles from PostgreSQL, with a dictionary and without, on as many days
as it has; the plan is made before. Time is processor time of the packing processes, because the
plan cannot know what else a machine does: a cycle that finds nothing is taken off, which is what a
start costs.
"""

import argparse
import json
import resource
import statistics
from collections.abc import Callable
from pathlib import Path

from bench_corpora import CORPORA, write_corpus
from harness import (
    TINY,
    Claim,
    SourceFile,
    describe_machine,
    make_corpus,
    print_claims,
    print_table,
    scratch_directory,
)
from postgres_archive import Copy, PostgresArchive, des_admin, postgres_archive, run_cycle

PLAN = ("--output", "json", "plan", "compression", "--cores", "1")
TOLERATED_S, TOLERATED_BYTES = 0.25, 0.10


def processor_s(work: Callable[[], object]) -> float:
    """User and system seconds of what `work` starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def foretold(copy: Copy, *, dictionary: bool) -> tuple[float, int]:
    """Processor seconds and bytes of all that waits, at level 3."""
    document = json.loads(des_admin(copy.config, *PLAN))
    plan = document["plan"]
    found = [w for w in plan["ways"] if w["level"] == 3 and w["dictionary"] is dictionary]
    return found[0]["pending_s"], found[0]["pending_bytes"]


def taken(copy: Copy, *, dictionary: bool) -> tuple[float, int]:
    """The same, of a real cycle."""
    with copy.config.open("a") as config:
        config.write(f"  compression:\n    dictionary: {str(dictionary).lower()}\n")
    whole = processor_s(lambda: run_cycle(copy.config))
    start = processor_s(lambda: run_cycle(copy.config))
    shards = [*copy.output.glob("*.des"), *copy.output.glob("_dictionaries/*")]
    return whole - start, sum(path.stat().st_size for path in shards)


def compare(name: str, days: int, options: argparse.Namespace) -> list[Claim]:
    with scratch_directory(name) as place, postgres_archive(place) as archive:
        files = corpus(name, place / "source", options.most)
        archive.fill(files, days)
        rows, claims = [], []
        for dictionary in (False, True):
            label = f"{name}, {days} day(s)" + (", dictionaries" if dictionary else "")
            plan_s, plan_bytes, real_s, real_bytes = measure(archive, dictionary, options.rounds)
            rows.append([label, f"{plan_s:.2f} s", f"{real_s:.2f} s", f"{plan_s / real_s:.2f} ×"])
            rows[-1] += [f"{plan_bytes:,}", f"{real_bytes:,}", f"{plan_bytes / real_bytes:.2f} ×"]
            off_s, off_bytes = abs(plan_s / real_s - 1), abs(plan_bytes / real_bytes - 1)
            claims.append(Claim(f"{label}: time is off by", off_s, TOLERATED_S))
            claims.append(Claim(f"{label}: size is off by", off_bytes, TOLERATED_BYTES))
    head = ["", "processor, foretold", "taken", "", "bytes, foretold", "taken", ""]
    print_table(f"{name}: {len(files):,} files", head, rows)
    return claims


def corpus(name: str, place: Path, most: int) -> list[SourceFile]:
    if name == "tiny":
        return make_corpus(TINY.scaled(most / TINY.files), place)
    make, usual = CORPORA[name]
    return write_corpus(make(min(most, usual)), place)


def measure(
    archive: PostgresArchive, dictionary: bool, rounds: int
) -> tuple[float, float, float, float]:
    """Foretold seconds and bytes, then those taken; medians."""
    found = []
    for _ in range(rounds):
        with archive.copy() as copy:
            plan = foretold(copy, dictionary=dictionary)
            found.append((*plan, *taken(copy, dictionary=dictionary)))
    a, b, c, d = (statistics.median(column) for column in zip(*found, strict=True))
    return a, b, c, d


def main() -> None:
    """Print a table for each corpus, then the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=20_000, help="files of a corpus, at most")
    parser.add_argument("--only", choices=("tiny", *CORPORA))
    options = parser.parse_args()
    print(f"## Plans\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    claims: list[Claim] = []
    for name, days in (("tiny", 1), ("tiny", 20), ("json", 1), ("phrases", 1), ("documents", 1)):
        if options.only in (None, name):
            claims += compare(name, days, options)
    print_claims(claims)


if __name__ == "__main__":
    main()
