"""Many days with few files: what a slice and a shard cost, and a cycle that finds nothing.

`python -m watermark_orchestrator --mode single` on PostgreSQL, durable as in production. Each day
is a slice of its own, with its own shards, manifest and commit. With 2**4 buckets a shard of such a
day holds about a dozen files, with the default 2**8 most hold one: the difference is the price of
more buckets than an archive has use for. `doctor` says the same before the first cycle.
"""

import argparse
from contextlib import ExitStack
from functools import partial

from harness import (
    Claim,
    Contest,
    CorpusSpec,
    describe_machine,
    make_corpus,
    print_claims,
    print_table,
    scratch_directory,
)
from postgres_archive import Copy, PostgresArchive, postgres_archive, run_cycle

FEW, MANY = "2**4 buckets", "2**8 buckets"
IDLE = "a cycle that finds nothing"
LEAST_FILES_S = 3_000
MOST_IDLE_PROCESSOR_S = 0.6


class Field:
    """A fresh archive for each round."""

    def __init__(self, archive: PostgresArchive) -> None:
        self.archive = archive
        self._stack = ExitStack()
        self._copy: Copy | None = None

    def prepare(self) -> None:
        self._copy = self._stack.enter_context(self.archive.copy())

    def clean(self) -> None:
        self._stack.close()

    def pack(self, n_bits: int) -> None:
        if self._copy is not None:
            with self._copy.config.open("a") as config:
                config.write(f"  n_bits: {n_bits}\n")
            run_cycle(self._copy.config)


def compare(files: int, days: int, rounds: int) -> list[Claim]:
    """Both contests, their table, and what became of the claims."""
    spec = CorpusSpec("small", files, 1024)
    with scratch_directory("days") as place, postgres_archive(place) as archive:
        archive.fill(make_corpus(spec, place / "source"), days)
        field, contest = Field(archive), Contest(rounds)
        contestants = {FEW: partial(field.pack, 4), MANY: partial(field.pack, 8)}
        contest.run(contestants, field.clean, field.prepare, archive.processor_s)
        with archive.copy() as packed:
            run_cycle(packed.config)
            contest.run({IDLE: partial(run_cycle, packed.config)})
    rows = [
        [
            name,
            f"{contest.median(name):.2f} s",
            f"{min(times):.2f} – {max(times):.2f}",
            f"{contest.processor(name):.2f} s",
            "" if name == IDLE else f"{files / contest.median(name):,.0f}",
        ]
        for name, times in contest.times.items()
    ]
    title = f"{files:,} files of about 1 KiB over {days} days"
    print_table(title, ["", "median", "range", "processor", "files/s"], rows)
    return [
        Claim(f"{FEW}", files / contest.median(FEW), LEAST_FILES_S, at_most=False, unit=" files/s"),
        Claim(IDLE, contest.processor(IDLE), MOST_IDLE_PROCESSOR_S, unit=" s of processor"),
    ]


def main() -> None:
    """Print the table, then the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=12_000)
    parser.add_argument("--days", type=int, default=60)
    options = parser.parse_args()
    print(f"## Small days\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    print_claims(compare(options.files, options.days, options.rounds))


if __name__ == "__main__":
    main()
