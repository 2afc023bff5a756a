"""Real corpora: a cycle against backup tools and archivers, with size, time, and one file back.

What each peer does not do. `restic` and `borg` read no database; they chunk and deduplicate, and
`borg` syncs its repository. `mksquashfs` and SQLite's archive read no database and verify nothing;
squashfs syncs nothing. `tar` piped into `zstd` reads no database, syncs and verifies nothing, and
gives one file back only by reading all before it. A cycle reads rows from PostgreSQL, syncs shards
and ledger, reads back and decodes each entry, and finds a file by its uid and time.

The corpora are those of a Debian machine (documents, Python, pictures, as far as they are there),
and the made-up ones of `bench_dictionary`: JSON of about a kilobyte, and letters of 10 KiB of
phrases that all of them share. A small corpus shows what a start costs: half a second.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from bench_dictionary import json_documents, phrase_documents
from bench_packing import CYCLE, HEADER, SQUASHFS, TAR, Field
from harness import (
    Claim,
    Contest,
    SourceFile,
    describe_machine,
    present_peers,
    print_claims,
    print_table,
    scratch_directory,
)
from postgres_archive import FIRST_DAY, PostgresArchive, postgres_archive, run_program

TOGETHER = "the same, with dictionaries"
RESTIC, BORG, SQLAR = "restic backup", "borg create", "sqlite3 -A"
PICTURES = (".png", ".jpg", ".jpeg", ".gif")
TARGETS = {TAR: 1.5, SQUASHFS: 0.8, RESTIC: 1 / 3, BORG: 1 / 3}
SECRET = {**os.environ, "RESTIC_PASSWORD": "benchmark"}


@dataclass(frozen=True)
class Peer:
    """How a peer makes its archive of `source`, and gives one file back."""

    program: str
    archive: str
    pack: str
    get: str
    begin: str = "true"


PEERS = {
    TAR: Peer(
        "zstd",
        "out.tar.zst",
        "tar -cf - source | zstd -q -3 -T0 -o out.tar.zst",
        "zstd -dc out.tar.zst | tar -xOf - 'source/{inner}' >/dev/null",
    ),
    SQUASHFS: Peer(
        "mksquashfs",
        "out.sqfs",
        "mksquashfs source out.sqfs -comp zstd -Xcompression-level 3 -quiet -no-progress"
        " >/dev/null",
        "unsquashfs -cat out.sqfs '{inner}' >/dev/null",
    ),
    RESTIC: Peer(
        "restic",
        "out.restic",
        "restic -q -r out.restic backup source",
        "restic -q -r out.restic dump latest '/source/{inner}' >/dev/null",
        "restic -q -r out.restic init >/dev/null",
    ),
    BORG: Peer(
        "borg",
        "out.borg",
        "borg create -C zstd,3 out.borg::one source",
        "borg extract --stdout out.borg::one 'source/{inner}' >/dev/null",
        "borg init -e none out.borg",
    ),
    SQLAR: Peer(
        "sqlite3",
        "out.sqlar",
        "sqlite3 out.sqlar -A -c source",
        "sqlite3 out.sqlar -A -x 'source/{inner}'",
    ),
}


def files_below(root: Path, most: int, endings: tuple[str, ...] = ()) -> Iterator[bytes]:
    """Contents of regular files in the order of their paths."""
    found = 0
    for directory, below, names in os.walk(root):
        below.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                continue
            if endings and path.suffix.lower() not in endings:
                continue
            yield path.read_bytes()
            found += 1
            if found == most:
                return


CORPORA: dict[str, tuple[Callable[[int], Iterator[bytes]], int]] = {
    "json": (json_documents, 50_000),
    "phrases": (phrase_documents, 20_000),
    "documents": (partial(files_below, Path("/usr/share/doc")), 20_000),
    "python": (partial(files_below, Path("/usr/lib/python3")), 20_000),
    "pictures": (lambda most: files_below(Path("/usr"), most, PICTURES), 20_000),
}


def write_corpus(contents: Iterator[bytes], root: Path) -> list[SourceFile]:
    """The same bytes under names of ours, a thousand in each directory."""
    files = []
    for number, content in enumerate(contents):
        directory = root / f"{number // 1000:04d}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{number:07d}"
        path.write_bytes(content)
        files.append(SourceFile(f"f-{number:07d}", str(path), len(content)))
    return files


class Archives(Field):
    """A field that also measures, the first time: bytes stored, and the time of one file back."""

    def __init__(
        self, archive: PostgresArchive, place: Path, files: list[SourceFile], gets: int
    ) -> None:
        super().__init__(archive, place, files)
        self._number_of_gets = gets
        self.sizes: dict[str, int] = {}
        self.gets: dict[str, float] = {}
        self._last = CYCLE

    def prepare(self) -> None:
        super().prepare()
        for peer in present():
            self._shell(PEERS[peer].begin)

    def pack(self, name: str) -> None:
        self._last = name
        if name in (CYCLE, TOGETHER):
            self._pack_rows(with_dictionary=name == TOGETHER)
        else:
            self._shell(PEERS[name].pack)

    def _pack_rows(self, *, with_dictionary: bool) -> None:
        if with_dictionary and self.copy is not None:
            with self.copy.config.open("a") as config:
                config.write("  compression:\n    dictionary: true\n")
        self.run_cycle()

    def clean(self) -> None:
        if self._last not in self.sizes:
            self.sizes[self._last] = self._stored()
            self.gets[self._last] = statistics.median(map(self._get, range(self._number_of_gets)))
        super().clean()

    def _stored(self) -> int:
        if self._last in (CYCLE, TOGETHER):
            stored = Path(self.copy.output) if self.copy else self.place
        else:
            stored = self.place / PEERS[self._last].archive
        return sum(path.stat().st_size for path in (stored, *stored.rglob("*")) if path.is_file())

    def _get(self, number: int) -> float:
        at = (number + 1) * len(self.files) // (self._number_of_gets + 1)
        file = self.files[at]
        started = time.perf_counter()
        if self._last in (CYCLE, TOGETHER) and self.copy is not None:
            moment = FIRST_DAY + timedelta(days=1) / (len(self.files) + 1) * (at + 1)
            options = ["--created-at", moment.isoformat(), "--to", str(self.place / "one")]
            place = ["--output-dir", str(self.copy.output), "--force"]
            run_program("des_admin.retriever_cli", "get", file.uid, *options, *place)
        else:
            inner = str(Path(file.path).relative_to(self.place / "source"))
            self._shell(PEERS[self._last].get.format(inner=inner))
        return time.perf_counter() - started

    def _shell(self, command: str) -> None:
        subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=self.place, env=SECRET, check=True
        )


def present() -> list[str]:
    """The peers that are installed."""
    return [name for name, peer in PEERS.items() if shutil.which(peer.program)]


def compare(name: str, options: argparse.Namespace) -> list[Claim]:
    """One corpus: its table, and what became of the claims."""
    with scratch_directory(name) as place, postgres_archive(place) as archive:
        make, usual = CORPORA[name]
        files = write_corpus(make(min(options.most, usual)), place / "source")
        if not files:
            print(f"no files here for {name}")
            return []
        archive.fill(files)
        field, contest = Archives(archive, place, files, options.gets), Contest(options.rounds)
        contestants = {each: partial(field.pack, each) for each in (CYCLE, TOGETHER, *present())}
        contest.run(contestants, field.clean, field.prepare, archive.processor_s)
    content = sum(file.size for file in files)
    rows = [
        [*row, f"{field.sizes[row[0]] / content:.3f}", f"{field.gets[row[0]]:.2f} s"]
        for row in contest.rows(CYCLE)
    ]
    seconds = contest.median(CYCLE)
    speed = f"{len(files) / seconds:,.0f} files/s"
    title = f"{name}: {len(files):,} files, {content / 1e6:,.0f} MB; {speed}"
    print_table(title, [*HEADER, "stored", "one file back"], rows)
    return [
        *(
            Claim(f"{name}{how}: time of {peer}", contest.ratio(mine, peer), target)
            for mine, how in ((CYCLE, ""), (TOGETHER, ", dictionaries"))
            for peer, target in TARGETS.items()
            if peer in contest.times
        ),
        Claim(f"{name}: one file back", field.gets[TOGETHER] / field.gets[CYCLE], 1.5),
    ]


def main() -> None:
    """Print a table for each corpus, then the claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=50_000, help="files of a corpus, at most")
    parser.add_argument("--gets", type=int, default=5, help="files taken back, of each archive")
    parser.add_argument("--only", choices=sorted(CORPORA))
    options = parser.parse_args()
    print(f"## Corpora\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    present_peers("tar", *(peer.program for peer in PEERS.values()))
    claims: list[Claim] = []
    for name in CORPORA:
        if options.only in (None, name):
            claims += compare(name, options)
    print_claims(claims)


if __name__ == "__main__":
    main()
