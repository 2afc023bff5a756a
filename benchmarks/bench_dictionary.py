"""What dictionaries save and cost: cycles with and without, on documents, sources and noise.

`python -m watermark_orchestrator` from SQLite, each time into an empty archive. Sizes are those of
the payloads, and of everything in the output: with indexes, manifests and both copies of each
dictionary. `tar | zstd -3 -T0` and `mksquashfs` read no database, verify and sync nothing; tar
gives no single file back. Sizes do not depend on the load of the machine; with `--sizes` nothing
else is measured, and "took" is of one run, which proves nothing: `bench_corpora` has times.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from bench_whole_cycle import make_project, run_once
from harness import (
    Claim,
    describe_machine,
    present_peers,
    print_claims,
    print_table,
    run_shell,
    scratch_directory,
)

from des_core.reading.retriever import Retriever, Wanted
from des_core.shard_io import open_shard
from des_core.storage.directory import DirectoryStorage

ALONE, TOGETHER = "des-admin: a cycle", "des-admin: with dictionaries"
TAR, SQUASHFS = "tar piped into zstd -3 -T0", "mksquashfs zstd 3"
WORDS = ("delivered", "warehouse", "pending", "invoice", "customer", "returned", "express", "gift")
SQUASH = (
    "mksquashfs source out.squashfs -comp zstd -Xcompression-level 3 -no-progress -noappend"
    f" -processors {len(os.sched_getaffinity(0))}"
)
GETS = 51


@dataclass(frozen=True)
class Sizes:
    """Bytes of one output."""

    payloads: int
    everything: int


def json_documents(count: int) -> Iterator[bytes]:
    """Orders of about 1.3 KiB, as a shop's interface gives them."""
    for number in range(count):
        chance = random.Random(number)
        lines = [
            {
                "sku": f"SKU-{chance.randrange(10**5):05d}",
                "description": " ".join(chance.choices(WORDS, k=2)),
                "quantity": chance.randrange(1, 9),
                "unit_price": {"amount": chance.randrange(100, 9999), "currency": "EUR"},
                "tax_class": chance.choice(("standard", "reduced")),
                "fulfilment_status": chance.choice(WORDS),
            }
            for _ in range(chance.randrange(3, 7))
        ]
        order = {
            "schema": "https://schemas.example.org/shop/order/v2.json",
            "order_id": f"{number:010d}",
            "created_at": f"2024-03-01T{chance.randrange(24):02d}:{chance.randrange(60):02d}:00Z",
            "customer": {
                "customer_id": chance.randrange(10**6),
                "email": f"user{chance.randrange(10**6)}@example.org",
                "locale": chance.choice(("pl-PL", "de-DE", "en-GB")),
                "marketing_consent": chance.random() < 0.5,
            },
            "shipping_address": {
                "street": f"Example Street {chance.randrange(1, 200)}",
                "postal_code": f"{chance.randrange(10**5):05d}",
                "city": chance.choice(("Warszawa", "Berlin", "London", "Gdynia")),
                "country_code": chance.choice(("PL", "DE", "GB")),
            },
            "payment": {"method": chance.choice(("card", "transfer")), "status": "authorised"},
            "lines": lines,
        }
        yield json.dumps(order).encode()


def phrase_documents(count: int) -> Iterator[bytes]:
    """Letters of about 8 KiB, of 2,000 phrases that all of them share."""
    chance = random.Random(1)
    letters = "eeeettaaooiinnsshhrrdlcum"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(2000)]
    phrases = [" ".join(chance.choices(words, k=12)).encode() for _ in range(2000)]
    for number in range(count):
        picked = random.Random(number).choices(phrases, k=120)
        yield b"letter %d\n" % number + b".\n".join(picked)


def noise(count: int) -> Iterator[bytes]:
    """What nothing makes smaller."""
    for number in range(count):
        yield random.Random(number).randbytes(4000)


def found_files(*patterns: str) -> Callable[[int], Iterator[bytes]]:
    """Files of this machine, in the order of their names."""

    def read(count: int) -> Iterator[bytes]:
        paths = sorted(path for pattern in patterns for path in Path("/usr").glob(pattern))
        found = 0
        for path in paths:
            if found < count and path.is_file() and not path.is_symlink():
                found += 1
                yield path.read_bytes()

    return read


CORPORA: dict[str, tuple[Callable[[int], Iterator[bytes]], int, str]] = {
    "json": (json_documents, 20_000, ".json"),
    "phrases": (phrase_documents, 10_000, ".txt"),
    "sources": (found_files("lib/python3*/**/*.py"), 20_000, ".py"),
    "documentation": (found_files("share/doc/**/*"), 20_000, ".txt"),
    "noise": (noise, 2_000, ".bin"),
}


def write_corpus(name: str, place: Path, scale: float) -> list[Path]:
    make, count, extension = CORPORA[name]
    place.mkdir()
    paths = []
    for number, content in enumerate(make(max(200, int(count * scale)))):
        path = place / f"{number:06d}{extension}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def project(place: Path, paths: list[Path], *, dictionary: bool) -> Path:
    """An archive to be packed into, with all files on one day."""
    sizes = [path.stat().st_size for path in paths]
    config = make_project(place, [str(path) for path in paths], sizes, len(paths))
    tree = yaml.safe_load(config.read_text())
    tree["packer"]["compression"] = {"dictionary": dictionary}
    config.write_text(yaml.safe_dump(tree))
    return config


def sizes_of(output: Path, files: int) -> Sizes:
    """Of a packed output; raises unless all files are there."""
    payloads = found = 0
    for shard in output.glob("*.des"):
        with open_shard(shard) as reader:
            for entry in reader.entries():
                payloads += entry.stored_size
                found += 1
    if found != files:
        raise SystemExit(f"only {found} of {files} files were packed")
    everything = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    dictionaries = sum(path.stat().st_size for path in output.glob("_dictionaries/*"))
    return Sizes(payloads + dictionaries, everything)


def one_get(output: Path, files: int) -> float:
    """Seconds, the median; each with a reader of its own, as a program has."""
    taken = []
    for number in random.Random(1).sample(range(files), min(GETS, files)):
        started = time.perf_counter()
        retriever = Retriever(DirectoryStorage(str(output)), 8)
        wanted = Wanted(f"document-{number:08d}")
        retriever.read(retriever.find_many([wanted])[wanted])
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure(name: str, place: Path, options: argparse.Namespace) -> Iterator[Claim]:
    paths = write_corpus(name, place / "source", options.scale)
    sizes, gets, took = {}, {}, {}
    for label, dictionary in ((ALONE, False), (TOGETHER, True)):
        config = project(place / str(dictionary), paths, dictionary=dictionary)
        took[label], _ = run_once(config)
        output = place / str(dictionary) / "shards"
        sizes[label], gets[label] = sizes_of(output, len(paths)), one_get(output, len(paths))
    peers = present_peers("zstd", "mksquashfs")
    tar = squashfs = 0
    if "zstd" in peers:
        run_shell("tar -cf - source | zstd -q -3 -T0 -o out.tar.zst", place)
        tar = (place / "out.tar.zst").stat().st_size
    if "mksquashfs" in peers:
        run_shell(f"{SQUASH} > squash.log", place)
        squashfs = (place / "out.squashfs").stat().st_size
    content = sum(path.stat().st_size for path in paths)
    rows = [("payloads, alone", sizes[ALONE].payloads), (ALONE, sizes[ALONE].everything)]
    rows += [("payloads, with dictionaries", sizes[TOGETHER].payloads)]
    rows += [(TOGETHER, sizes[TOGETHER].everything), (TAR, tar), (SQUASHFS, squashfs)]
    print_table(
        f"{name}: {len(paths):,} files, {content / 1e6:.1f} MB",
        ["", "bytes", "ratio", "took, once"],
        [
            [
                label,
                f"{size:,}",
                f"{content / size:.2f} ×",
                f"{took[label]:.1f} s" if label in took else "",
            ]
            for label, size in rows
            if size
        ],
    )
    yield from size_claims(name, sizes, tar)
    if not options.sizes:
        yield Claim(f"{name}: one file back", gets[TOGETHER] / gets[ALONE], 1.5)


def size_claims(name: str, sizes: dict[str, Sizes], tar: int) -> Iterator[Claim]:
    saved = sizes[TOGETHER].payloads / sizes[ALONE].payloads
    least = {"json": 0.5, "phrases": 0.5, "sources": 0.9}.get(name, 1.01)
    yield Claim(f"{name}: payloads against those without", saved, least)
    all_of_it = sizes[TOGETHER].everything / sizes[ALONE].everything
    yield Claim(f"{name}: everything against that without", all_of_it, 1.01)
    if tar and name == "json":
        yield Claim("json: payloads against tar and zstd", sizes[TOGETHER].payloads / tar, 1.25)


def main() -> None:
    """Print tables and claims of each corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files, e.g. 0.1")
    parser.add_argument("--only", choices=CORPORA, help="one corpus")
    parser.add_argument("--sizes", action="store_true", help="no times")
    options = parser.parse_args()
    print(f"## Dictionaries\n\n{describe_machine()}.")
    claims = []
    for name in [options.only] if options.only else CORPORA:
        with scratch_directory("dictionary") as place:
            claims += measure(name, place, options)
    print_claims(claims)


if __name__ == "__main__":
    main()
