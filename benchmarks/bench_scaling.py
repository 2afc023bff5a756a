"""Beyond one process: requests in flight, a second core, and whether the capacity model is right.

- `latency`: 20 ms added to each request of an object store; many in flight against one at a time.
- `speedup`: two local workers against one, on files that cost processor time.
- `capacity`: the rates of `des-admin plan capacity` measured by small runs, then the time of
  a run of another shape predicted, and compared with the clock. The prediction comes first.

On a machine that is not quiet, `--clock cpu` takes processor seconds instead.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import describe_machine, print_table, run_shell, scratch_directory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from des_core.basics.object_config import ObjectStoreConfig
from des_core.packer_planner import MIB, PackerConfig
from des_core.packing.packer import Packer
from des_core.packing.row_spool import RowSpool
from des_core.progress.capacity import Load, Rates, Site, day_cost
from des_core.records import SourceRow
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import running_server

DAY_US = 1_709_251_200_000_000
TEXT_WORDS = 4000
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def pack(rows: Sequence[SourceRow], config: PackerConfig) -> float:
    """As a cycle does with a slice, but for the database; seconds."""
    started = time.perf_counter()
    Path(config.output_dir).mkdir(parents=True)
    with RowSpool(config.n_bits, config.output_dir) as spool, Packer(config) as packer:
        spool.add(rows)
        done = sum(outcome.files_out for outcome in packer.pack(spool.tasks()))
        packer.storage.sync_directory()
    if done != len(rows):
        raise SystemExit(f"only {done} of {len(rows)} files were packed")
    return time.perf_counter() - started


def made_up_text(seed: int, size: int) -> bytes:
    """Words, which compress about as text does."""
    chance = random.Random(seed)
    words = [f"{chance.randrange(1 << 24):x}" for _ in range(TEXT_WORDS)]
    return " ".join(chance.choices(words, k=size // 5)).encode()[:size].ljust(size)


def make_files(place: Path, count: int, size: int) -> list[SourceRow]:
    """Files of one size, each with its row."""
    place.mkdir(parents=True)
    text = made_up_text(1, 4 * MIB + size)
    chance, rows = random.Random(2), []
    for number in range(count):
        path = f"{place}/{number:06d}.txt"
        start = chance.randrange(4 * MIB)
        with open(path, "wb") as file:  # noqa: PTH123 - as in harness
            file.write(text[start : start + size])
        rows.append(SourceRow(f"document-{number:06d}", DAY_US + number * 1000, path, size))
    return rows


def measure_latency(files: int) -> None:
    """Sources in a store that answers each request after 20 ms."""
    lines = []
    with running_server() as server, scratch_directory("latency") as place:
        server.clear()
        with faulty_proxy(server.url, Faults(delay_s=0.02)) as proxy:
            rows = []
            for number in range(files):
                proxy.objects[f"/archive/source/{number}"] = b"%d" % number * 50
                url = f"s3://archive/source/{number}"
                rows.append(SourceRow(f"doc-{number}", DAY_US + number, url, None))
            rates = {}
            for at_once, sample in ((1, rows[: files // 16]), (64, rows)):
                store = ObjectStoreConfig(endpoint=proxy.url, requests_in_flight=at_once)
                output = place / f"out-{at_once}"
                config = PackerConfig(
                    str(output), n_bits=4, workers=1, read_concurrency=1, object_store=store
                )
                seconds = pack(sample, config)
                rates[at_once] = len(sample) / seconds
                lines.append([f"{at_once}", f"{len(sample):,}", f"{rates[at_once]:,.0f} files/s"])
    ratio = rates[64] / rates[1]
    lines.append(["ratio", "", f"{ratio:.1f} ×"])
    print_table("20 ms added to each request", ["in flight", "files", "rate"], lines)


def cpu_seconds() -> tuple[float, float]:
    """Processor time of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), children.ru_utime + children.ru_stime


def on_free_cores(before: tuple[float, float], workers: int) -> float:
    """How long it would have taken with a core for each worker: the parent's time is serial."""
    own, children = cpu_seconds()
    return own - before[0] + (children - before[1]) / workers


def measure_speedup(files: int, rounds: int, clock: str) -> None:
    """Level 12, so that the processor is what it waits for."""
    times: dict[int, list[float]] = {1: [], 2: []}
    with scratch_directory("speedup") as place:
        rows = make_files(place / "source", files, 40_000)
        for number in range(rounds + 1):
            for workers in times:
                output = place / f"out-{workers}"
                config = PackerConfig(str(output), n_bits=6, level=12, workers=workers)
                before = cpu_seconds()
                seconds = pack(rows, config)
                if clock == "cpu":
                    seconds = on_free_cores(before, workers)
                run_shell(f"rm -r {output.name}", place)
                if number:
                    times[workers].append(seconds)
    ratio = statistics.median(one / two for one, two in zip(times[1], times[2], strict=True))
    lines = [[f"{n}", f"{statistics.median(found):.2f} s"] for n, found in times.items()]
    lines.append(["speed-up", f"{ratio:.2f} ×"])
    title = f"local workers, {files:,} files of 40 kB, zstd level 12"
    print_table(title, ["workers", "median"], lines)


@dataclass(frozen=True)
class Shape:
    """A run: so many files of one size in so many buckets."""

    files: int
    size: int
    n_bits: int

    def load(self) -> Load:
        return Load(self.files, self.size, n_bits=self.n_bits)


FITTED = (Shape(6000, 200, 4), Shape(24_000, 200, 4), Shape(6000, 40_000, 4), Shape(6000, 200, 11))
PREDICTED = (Shape(20_000, 12_000, 8), Shape(40_000, 3000, 9))


def measure_shape(shape: Shape, place: Path, clock: Callable[[], float]) -> float:
    """A whole cycle by one process: rows from the database, shards, ledger, watermark; seconds."""
    from watermark_orchestrator.archive import open_archive
    from watermark_orchestrator.cycle import run_cycle

    name = f"{shape.files}-{shape.size}-{shape.n_bits}"
    rows = make_files(place / name, shape.files, shape.size)
    settings = make_database(place / f"{name}.sqlite", rows, place / f"out-{name}")
    packer = settings.packer.model_copy(update={"n_bits": shape.n_bits, "workers": 1})
    with open_archive(settings.model_copy(update={"packer": packer})) as archive:
        started = clock()
        report = run_cycle(archive)
        taken = clock() - started
    if report.files_out != shape.files:
        raise SystemExit(f"only {report.files_out} of {shape.files} files were packed")
    return taken


def make_database(path: Path, rows: Sequence[SourceRow], output: Path):
    """`files` with these rows, and the watermark below them."""
    import sqlite3

    from des_core.migration.apply import upgrade
    from des_core.settings.config import Settings

    output.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at TEXT NOT NULL,"
            " file_location TEXT, size_bytes INTEGER, archived BOOLEAN NOT NULL DEFAULT 0)"
        )
        moments = (datetime.fromtimestamp(row.created_us / 1e6, UTC) for row in rows)
        connection.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, 0)",
            [
                (row.uid, f"{moment:%Y-%m-%d %H:%M:%S.%f}", row.location, row.size_bytes)
                for row, moment in zip(rows, moments, strict=True)
            ],
        )
    connection.close()
    settings = Settings.model_validate(
        {"database": {"url": f"sqlite:///{path}"}, "packer": {"output_dir": str(output)}}
    )
    upgrade(settings)
    return settings


def fit(measured: dict[Shape, float]) -> Rates:
    """Each rate from two runs that differ in that alone; the first run gives what is left."""
    base, more_files, larger, more_shards = FITTED
    file_s = (measured[more_files] - measured[base]) / (more_files.files - base.files)
    content = larger.load().content_mib - base.load().content_mib
    mib_s = (measured[larger] - measured[base]) / content
    shards = more_shards.load().shards - base.load().shards
    shard_s = (measured[more_shards] - measured[base]) / shards
    known = base.files * file_s + base.load().content_mib * mib_s + base.load().shards * shard_s
    fixed = max(0.0, measured[base] - known)
    # Reading rows is among what a file costs here: one session, one machine.
    return Rates(file_s, mib_s, shard_s, fixed, rows_per_s=float("inf"))


def check_model(rounds: int, clock: Callable[[], float]) -> None:
    """Fit on small runs, predict others, then run those."""
    lines = []
    with scratch_directory("capacity") as place:

        def median(shape: Shape) -> float:
            found = []
            for number in range(rounds):
                round_place = place / f"{number}-{shape.files}-{shape.size}-{shape.n_bits}"
                round_place.mkdir()
                found.append(measure_shape(shape, round_place, clock))
                run_shell(f"rm -r {round_place.name}", place)
            return statistics.median(found)

        rates = fit({shape: median(shape) for shape in FITTED})
        site = Site(workers=1, cores=1)
        predicted = {shape: day_cost(shape.load(), site, rates).seconds for shape in PREDICTED}
        for shape, seconds in predicted.items():
            measured = median(shape)
            what = f"{shape.files:,} files of {shape.size:,} B, n_bits {shape.n_bits}"
            error = seconds / measured - 1
            lines.append([what, f"{seconds:.2f} s", f"{measured:.2f} s", f"{error:+.0%}"])
    print(
        f"\nfitted: {rates.file_s * 1e6:.0f} µs a file, {rates.mib_s * 1e3:.1f} ms a MiB, "
        f"{rates.shard_s * 1e3:.2f} ms a shard, {rates.slice_s:.2f} s a cycle"
    )
    print_table("the capacity model", ["run", "predicted", "measured", "error"], lines)


def main() -> None:
    parts: dict[str, Callable[[], None]] = {}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", choices=["latency", "speedup", "capacity"])
    options = parser.parse_args()
    print(f"## Scaling\n\n{describe_machine()}; medians of {options.rounds}.")
    parts["latency"] = lambda: measure_latency(int(4000 * options.scale))
    parts["speedup"] = lambda: measure_speedup(
        int(4000 * options.scale), options.rounds, options.clock
    )
    parts["capacity"] = lambda: check_model(options.rounds, CLOCKS[options.clock])
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
