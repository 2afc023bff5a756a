"""The packing engine alone: rows in memory in, durable and verified shards out.

Compared, in the same run on the same files, with `tar | zstd -3 -T0`, with `mksquashfs`, and
with the floor: reading and compressing the same files on all cores and writing nothing.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import sched_getaffinity
from pathlib import Path

import zstandard
from harness import (
    MIXED,
    SMALL,
    TINY,
    Contest,
    CorpusSpec,
    SourceFile,
    describe_machine,
    make_corpus,
    present_peers,
    print_table,
    run_shell,
    scratch_directory,
)

from des_core.packer import Packer
from des_core.packer_planner import PackerConfig, SourceRow
from des_core.row_spool import RowSpool

DAY_US = 1_709_251_200_000_000
PAGE = 10_000
ENGINE = "des: pack, verify, fsync"
HEADER = ["", "median", "range", "processor", "des takes"]
CORES = len(sched_getaffinity(0))

_MEMORY = """
import sys, time
from pathlib import Path
from des_core.packer import Packer
from des_core.packer_planner import PackerConfig, SourceRow
from des_core.row_spool import RowSpool
source, output, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
files = sorted(str(path) for path in Path(source).rglob("*.txt"))
sizes = [Path(path).stat().st_size for path in files]
def page(start):
    return [
        SourceRow(f"document-{n:08d}", 1_709_251_200_000_000 + n * 1000,
                  files[n % len(files)], sizes[n % len(files)])
        for n in range(start, start + 10_000)
    ]
def peak(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
started = time.perf_counter()
with RowSpool(8, output) as spool, Packer(PackerConfig(output)) as packer:
    for start in range(0, count, 10_000):
        spool.add(page(start))
    done = sum(outcome.files_out for outcome in packer.pack(spool.tasks()))
    packer.storage.sync_directory()
    assert done == count
    tasks = Path("/proc/self/task").iterdir()
    pids = [pid for task in tasks for pid in (task / "children").read_text().split()]
    print(peak("self") + sum(peak(pid) for pid in pids), time.perf_counter() - started)
"""


def rows_of(files: list[SourceFile]) -> list[SourceRow]:
    return [SourceRow(f.uid, DAY_US + n * 1000, f.path, f.size) for n, f in enumerate(files)]


def pack(rows: list[SourceRow], output: Path) -> None:
    """As a cycle does with a slice, but for the database."""
    output.mkdir()
    with RowSpool(8, str(output)) as spool, Packer(PackerConfig(str(output))) as packer:
        for start in range(0, len(rows), PAGE):
            spool.add(rows[start : start + PAGE])
        existing = packer.storage.list_shards(spool.days())
        done = sum(outcome.files_out for outcome in packer.pack(spool.tasks(existing)))
        packer.storage.sync_directory()
    if done != len(rows):
        raise SystemExit(f"only {done} of {len(rows)} files were packed")


def read_and_compress(paths: list[str]) -> int:
    """The floor's work: what no packer can do without."""
    compress = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            total += len(compress(file.read()))
    return total


def contestants(rows: list[SourceRow], place: Path) -> dict[str, Callable[[], None]]:
    """What each writes is removed by `clean`, after its time was taken."""
    chunks = [[row.location or "" for row in rows[n::64]] for n in range(64)]

    def floor() -> None:
        with ProcessPoolExecutor(CORES, mp_context=get_context("fork")) as pool:
            sum(pool.map(read_and_compress, chunks))

    found: dict[str, Callable[[], None]] = {
        ENGINE: lambda: pack(rows, place / "archive"),
        "floor: read and compress": floor,
    }
    peers = present_peers("tar", "zstd", "mksquashfs")
    if {"tar", "zstd"} <= peers:
        found["tar | zstd -3 -T0"] = lambda: run_shell(
            "tar -cf - source | zstd -q -3 -T0 -o out.tar.zst", place
        )
    if "mksquashfs" in peers:
        found["mksquashfs zstd 3"] = lambda: run_shell(
            "mksquashfs source out.sqfs -comp zstd -Xcompression-level 3 -quiet -no-progress"
            " >/dev/null",
            place,
        )
    return found


def compare(spec: CorpusSpec, rounds: int) -> None:
    with scratch_directory(spec.name) as place:
        rows = rows_of(make_corpus(spec, place / "source"))
        total = sum(row.size_bytes or 0 for row in rows)
        contest = Contest(rounds)
        contest.run(contestants(rows, place), lambda: run_shell("rm -rf archive out.*", place))
        seconds = contest.median(ENGINE)
        title = (
            f"{spec.name}: {len(rows):,} files, {total / 1e6:,.0f} MB; "
            f"{len(rows) / seconds:,.0f} files/s, {total / seconds / 1e6:,.0f} MB/s"
        )
        print_table(title, HEADER, list(contest.rows(ENGINE)))


def measure_memory(counts: list[int]) -> None:
    """Peak resident memory of all processes together, for rows of one day."""
    lines = []
    with scratch_directory("memory") as place:
        make_corpus(CorpusSpec("memory", 2000, 200), place / "source")
        for count in counts:
            output = place / f"archive-{count}"
            output.mkdir()
            done = subprocess.run(
                [sys.executable, "-c", _MEMORY, str(place / "source"), str(output), str(count)],
                env={"PYTHONPATH": ":".join(sys.path)},
                check=True,
                capture_output=True,
                text=True,
            )
            peak, seconds = map(float, done.stdout.split())
            lines.append([f"{count:,}", f"{peak:.0f} MiB", f"{seconds:.1f} s"])
            run_shell(f"rm -r {output.name}", place)
    print_table("memory: rows of one day", ["rows", "peak of all processes", "took"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    parser.add_argument("--only", choices=["tiny", "small", "mixed", "memory"])
    options = parser.parse_args()
    print(f"## Packing engine\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    for spec in (TINY, SMALL, MIXED):
        if options.only in (None, spec.name):
            compare(spec.scaled(options.scale), options.rounds)
    if options.only in (None, "memory"):
        measure_memory([int(n * options.scale) // 10_000 * 10_000 for n in (1_000_000, 5_000_000)])


if __name__ == "__main__":
    main()
