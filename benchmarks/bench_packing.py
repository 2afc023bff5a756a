"""Packing end to end: rows in PostgreSQL in, durable, verified and recorded shards out.

`python -m watermark_orchestrator --mode single`, from the start of the process to its end, fsync on
in the database and for shards, every entry read back and decoded. Compared in the same rounds with
`tar | zstd -3 -T0` and `mksquashfs`, which sync and verify nothing, and with the floor: reading and
compressing the same files on all cores, in Python, and writing nothing. A second floor decodes each
file again, which is what an archive that believes nothing unread has to pay as well.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import zstandard
from harness import (
    MIXED,
    SMALL,
    TINY,
    Claim,
    Contest,
    CorpusSpec,
    SourceFile,
    describe_machine,
    make_corpus,
    present_peers,
    print_claims,
    print_table,
    run_shell,
    scratch_directory,
)
from postgres_archive import Copy, PostgresArchive, postgres_archive, run_cycle

CYCLE = "des-admin: a cycle"
FLOOR = "floor: read and compress"
CHECKED_FLOOR = "floor: the same, and decode"
TAR = "tar piped into zstd -3 -T0"
SQUASHFS = "mksquashfs zstd 3"
HEADER = ["", "median", "range", "processor", "the cycle takes"]
CORES = len(os.sched_getaffinity(0))
# What a contest is judged by: how many times as long the cycle may take.
TARGETS = {TAR: 1.0, SQUASHFS: 0.8, FLOOR: 1.5}


class Field:
    """Makes everything fresh for a contestant, and takes it away afterwards."""

    def __init__(self, archive: PostgresArchive, place: Path, files: list[SourceFile]) -> None:
        self.archive, self.place, self.files = archive, place, files
        self.copy: Copy | None = None
        self._stack = ExitStack()

    def prepare(self) -> None:
        self.copy = self._stack.enter_context(self.archive.copy())

    def clean(self) -> None:
        self._stack.close()
        run_shell("rm -rf out.*", self.place)

    def run_cycle(self) -> None:
        if self.copy is None:
            raise RuntimeError("nothing is prepared")
        run_cycle(self.copy.config)
        with self.archive.server.connect(self.copy.name) as connection:
            [found] = connection.execute("SELECT sum(files) FROM des_archive_shard").fetchall()
        if found[0] != len(self.files):
            raise SystemExit(f"only {found[0]} of {len(self.files)} files were packed")


def read_and_compress(paths: list[str], *, decode: bool = False) -> int:
    """The floor's work: what no packer can do without."""
    compress = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
    decompress = zstandard.ZstdDecompressor().decompress
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            frame = compress(file.read())
        total += len(frame)
        if decode:
            decompress(frame)
    return total


def contestants(field: Field) -> dict[str, Callable[[], None]]:
    """The cycle, the floor, and those of the peers that are installed."""
    chunks = [[file.path for file in field.files[n::64]] for n in range(64)]

    def floor(*, decode: bool = False) -> None:
        with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
            sum(pool.map(partial(read_and_compress, decode=decode), chunks))

    found = {CYCLE: field.run_cycle, FLOOR: floor, CHECKED_FLOOR: partial(floor, decode=True)}
    peers = present_peers("tar", "zstd", "mksquashfs")
    if {"tar", "zstd"} <= peers:
        found[TAR] = lambda: run_shell(
            "tar -cf - source | zstd -q -3 -T0 -o out.tar.zst", field.place
        )
    if "mksquashfs" in peers:
        found[SQUASHFS] = lambda: run_shell(
            "mksquashfs source out.sqfs -comp zstd -Xcompression-level 3 -quiet -no-progress"
            " >/dev/null",
            field.place,
        )
    return found


def compare(spec: CorpusSpec, rounds: int, days: int) -> list[Claim]:
    """One contest, its table, and what became of the claims."""
    with scratch_directory(spec.name) as place, postgres_archive(place) as archive:
        files = make_corpus(spec, place / "source")
        archive.fill(files, days)
        field = Field(archive, place, files)
        contest = Contest(rounds)
        contest.run(contestants(field), field.clean, field.prepare, archive.processor_s)
    total, seconds = sum(file.size for file in files), contest.median(CYCLE)
    title = (
        f"{spec.name}: {len(files):,} files of {days} day(s), {total / 1e6:,.0f} MB; "
        f"{len(files) / seconds:,.0f} files/s, {total / seconds / 1e6:,.0f} MB/s"
    )
    print_table(title, HEADER, list(contest.rows(CYCLE)))
    return [
        Claim(f"{spec.name}: time of {peer}", contest.ratio(CYCLE, peer), target)
        for peer, target in TARGETS.items()
        if peer in contest.times
    ]


def main() -> None:
    """Print a table for each corpus, then the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    parser.add_argument(
        "--days", type=int, default=1, help="UTC days that the files are spread over"
    )
    parser.add_argument("--only", choices=["tiny", "small", "mixed"])
    options = parser.parse_args()
    print(f"## Packing\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    claims = []
    for spec in (TINY, SMALL, MIXED):
        if options.only in (None, spec.name):
            claims += compare(spec.scaled(options.scale), options.rounds, options.days)
    print_claims(claims)


if __name__ == "__main__":
    main()
