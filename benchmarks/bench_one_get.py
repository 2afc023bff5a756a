"""One file from a shard of 100,000 entries, against parsing the whole index in Python.

Both open the shard anew each time. Beside it: many files at once, which opens each shard once.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from harness import Claim, describe_machine, print_claims, print_table, scratch_directory

from des_core.basics.routing import bucket_of, shard_name
from des_core.basics.timestamps import from_us
from des_core.reading.retriever import Retriever, Wanted
from des_core.shard_io import ShardWriter, open_shard
from des_core.storage.directory import DirectoryStorage

DAY_US = 1_709_251_200_000_000
N_BITS = 4
BATCH = 1000


def make_shard(output: Path, entries: int) -> tuple[Path, list[str]]:
    """One shard with so many small files of one bucket; its uids."""
    uids: list[str] = []
    number = 0
    while len(uids) < entries:
        uid = f"document-{number:09d}.txt"
        if bucket_of(uid, N_BITS) == 0:
            uids.append(uid)
        number += 1
    path = output / shard_name(from_us(DAY_US).date(), 0, 0, N_BITS)
    with path.open("wb", buffering=0) as file:
        writer = ShardWriter(file)
        contents = [f"content of {uid}, some hundred bytes of it".encode() * 4 for uid in uids]
        writer.add_many(uids, contents, [False] * entries)
        writer.finish()
    return path, uids


def get_by_search(path: Path, uid: str) -> bytes:
    """As `archive get` does."""
    with open_shard(path) as reader:
        entry = reader.find(uid)
        return b"" if entry is None else reader.read(entry)


def get_by_parsing(path: Path, uid: str) -> bytes:
    """As a reader does that makes an object of each entry first."""
    with open_shard(path) as reader:
        return reader.read({entry.uid: entry for entry in reader.entries()}[uid])


def time_each(get: Callable[[Path, str], bytes], path: Path, uids: list[str]) -> float:
    """The median time of one get, in seconds."""
    taken = []
    for uid in uids:
        started = time.perf_counter()
        content = get(path, uid)
        taken.append(time.perf_counter() - started)
        if uid.encode() not in content:
            raise SystemExit(f"wrong content for {uid}")
    return statistics.median(taken)


def time_batch(output: Path, uids: list[str]) -> float:
    """Seconds for each of many files that are looked for together."""
    retriever = Retriever(DirectoryStorage(str(output)), N_BITS)
    started = time.perf_counter()
    found = retriever.find_many([Wanted(uid, from_us(DAY_US)) for uid in uids])
    if len(found) != len(uids):
        raise SystemExit("some files were not found")
    return (time.perf_counter() - started) / len(uids)


def main() -> None:
    """Print the times and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the entries, e.g. 0.1")
    options = parser.parse_args()
    entries = int(100_000 * options.scale)
    print(f"## One file back\n\n{describe_machine()}; medians, warm cache.")
    with scratch_directory("get") as output:
        path, uids = make_shard(output, entries)
        wanted = random.Random(1).sample(uids, 51)
        search = time_each(get_by_search, path, wanted)
        parsing = time_each(get_by_parsing, path, wanted[:9])
        batch = time_batch(output, random.Random(2).sample(uids, min(BATCH, entries)))
    print_table(
        f"a shard of {entries:,} entries",
        ["", "for each file"],
        [
            ["search in the index", f"{search * 1000:.2f} ms"],
            ["parse the index first", f"{parsing * 1000:.2f} ms"],
            [f"find {min(BATCH, entries):,} at once", f"{batch * 1000:.3f} ms"],
        ],
    )
    print_claims([Claim("parsing first takes", parsing / search, 20, at_most=False)])


if __name__ == "__main__":
    main()
