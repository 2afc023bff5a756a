"""What one more shard costs: the same files of one day in few buckets, and in many.

Processor time and bytes, of shards and of the ledger, for each shard more than with 16 buckets. The
time of the disk is not in it: each shard is synced, and read back.
"""

import argparse
import resource
from pathlib import Path

import yaml
from bench_whole_cycle import make_project, run_once
from harness import CorpusSpec, describe_machine, make_corpus, print_table, scratch_directory

N_BITS = (4, 8, 12)


def processor_s() -> float:
    """Of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(place: Path, files: list[str], sizes: list[int], n_bits: int) -> tuple[float, ...]:
    """Shards, processor seconds, bytes of the shards, bytes of the database."""
    config = make_project(place, files, sizes, len(files))
    tree = yaml.safe_load(config.read_text())
    tree["packer"] |= {"n_bits": n_bits, "workers": 1}
    config.write_text(yaml.safe_dump(tree))
    before, size = processor_s(), (place / "files.db").stat().st_size
    run_once(config)
    used = processor_s() - before
    shards = [path.stat().st_size for path in (place / "shards").glob("*.des")]
    return len(shards), used, sum(shards), (place / "files.db").stat().st_size - size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    options = parser.parse_args()
    print(describe_machine())
    with scratch_directory("shards") as place:
        corpus = make_corpus(CorpusSpec("tiny", options.files, 2_000), place / "source")
        paths, sizes = [f.path for f in corpus], [f.size for f in corpus]
        found = [measure(place / f"n{bits}", paths, sizes, bits) for bits in N_BITS]
    shards, used, stored, ledger = found[0]
    rows = [["4", f"{shards:,}", f"{options.files / shards:,.0f}", "", "", ""]]
    for bits, (more_shards, more_used, more_stored, more_ledger) in zip(
        N_BITS[1:], found[1:], strict=True
    ):
        extra = more_shards - shards
        rows.append(
            [
                str(bits),
                f"{more_shards:,}",
                f"{options.files / more_shards:,.0f}",
                f"{(more_used - used) / extra * 1000:.2f} ms",
                f"{(more_stored - stored) / extra:,.0f} bytes",
                f"{(more_ledger - ledger) / extra:,.0f} bytes",
            ]
        )
    header = ["n_bits", "shards", "files a shard", "processor", "in shards", "in the ledger"]
    print_table(f"{options.files:,} files of one day: what each shard more costs", header, rows)


if __name__ == "__main__":
    main()
