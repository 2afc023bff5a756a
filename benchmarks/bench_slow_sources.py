"""Sources where each open costs milliseconds, as on NFS: many reads in flight against one.

The engine packs real files; each open waits `--delay-ms` before it is made. One worker, so that
what is compared is the reading ahead of that worker alone.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from harness import (
    Claim,
    Contest,
    CorpusSpec,
    SourceFile,
    describe_machine,
    make_corpus,
    print_claims,
    print_table,
    run_shell,
    scratch_directory,
)

from des_core.packer_planner import PackerConfig
from des_core.packing.pack_task import TaskPacker
from des_core.packing.row_spool import RowSpool
from des_core.records import SourceRow
from des_core.sources.files import BigSource, Content, LocalSources
from des_core.storage.directory import open_storage

DAY_US = 1_709_251_200_000_000
FILES = CorpusSpec("slow", 4000, 8192)
SINGLY = "one read at a time"


class SlowSources:
    """Local files behind a wait, as a server behind a network is."""

    def __init__(self, local: LocalSources, delay_s: float) -> None:
        self._local, self._delay_s = local, delay_s

    def read(self, location: str | None, size_bytes: int | None) -> bytes | BigSource:
        time.sleep(self._delay_s)
        return self._local.read(location, size_bytes)

    def read_some(self, rows: Sequence[SourceRow], max_bytes: int) -> list[Content]:
        contents: list[Content] = []
        for row in rows:
            time.sleep(self._delay_s)
            contents += self._local.read_some([row], max_bytes)
        return contents

    def release(self) -> None:
        self._local.release()


def pack(files: list[SourceFile], output: Path, concurrency: int, delay_s: float) -> None:
    """Everything into sixteen shards."""
    output.mkdir()
    config = PackerConfig(str(output), n_bits=4, workers=1, read_concurrency=concurrency)
    rows = [SourceRow(f.uid, DAY_US + n * 1000, f.path, f.size) for n, f in enumerate(files)]
    sources = SlowSources(LocalSources(config.big_file_threshold), delay_s)
    with (
        RowSpool(config.n_bits, str(output)) as spool,
        TaskPacker(config, open_storage(config), sources) as packer,
    ):
        spool.add(rows)
        outcomes = packer.pack(list(spool.tasks()))
    if sum(outcome.files_out for outcome in outcomes) != len(files):
        raise SystemExit("some files were not packed")


def main() -> None:
    """Print the times for some numbers of reads in flight, and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    parser.add_argument("--delay-ms", type=float, default=5.0)
    options = parser.parse_args()
    print(f"## Slow sources\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    with scratch_directory("slow") as place:
        files = make_corpus(FILES.scaled(options.scale), place / "source")
        contest, output = Contest(options.rounds), place / "archive"
        limits = {SINGLY: 1} | {f"read_concurrency: {n}": n for n in (4, 32, 64)}
        contest.run(
            {
                name: lambda n=limit: pack(files, output, n, options.delay_ms / 1000)
                for name, limit in limits.items()
            },
            lambda: run_shell("rm -rf archive", place),
        )
    print_table(
        f"{len(files):,} files of about 8 KiB, {options.delay_ms:g} ms added to each open",
        ["", "median", "files/s", "times as fast"],
        [
            [
                name,
                f"{contest.median(name):.2f} s",
                f"{len(files) / contest.median(name):,.0f}",
                f"{contest.ratio(SINGLY, name):.1f}",
            ]
            for name in limits
        ],
    )
    name = "read_concurrency: 64"  # the default
    print_claims([Claim(f"{name} is faster", contest.ratio(SINGLY, name), 20, at_most=False)])


if __name__ == "__main__":
    main()
