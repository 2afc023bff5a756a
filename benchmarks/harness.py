"""What benchmarks share: made-up corpora, fair rounds, tables of medians and ratios."""

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_S = 0.05
PEER_PACKAGES = {"mksquashfs": "squashfs-tools", "borg": "borgbackup"}


@dataclass(frozen=True)
class CorpusSpec:
    """Text-like files with a different header each; the same spec makes the same bytes."""

    name: str
    files: int
    mean_size: int
    log_normal: bool = False
    large: int = 0
    large_size: int = 50_000_000
    seed: int = 1

    def scaled(self, factor: float) -> "CorpusSpec":
        """The same with fewer files."""
        files, large = max(100, int(self.files * factor)), int(self.large * factor + 0.999)
        return CorpusSpec(self.name, files, self.mean_size, self.log_normal, large, seed=self.seed)


TINY = CorpusSpec("tiny", 200_000, 2048)
SMALL = CorpusSpec("small", 200_000, 8192)
MIXED = CorpusSpec("mixed", 20_000, 65_536, log_normal=True, large=10)


@dataclass(frozen=True)
class SourceFile:
    """One file of a corpus."""

    uid: str
    path: str
    size: int


def make_corpus(spec: CorpusSpec, root: Path) -> list[SourceFile]:
    """Write the files, a thousand in each directory."""
    rng = random.Random(spec.seed)
    text = _made_up_text(rng)
    files = []
    for number in range(spec.files + spec.large):
        directory = root / f"{number // 1000:04d}"
        if number % 1000 == 0:
            directory.mkdir(parents=True)
        size = spec.large_size if number >= spec.files else _size(spec, rng)
        path = f"{directory}/{number:07d}.txt"
        with open(path, "wb") as file:  # noqa: PTH123 - 200,000 Path objects are slow
            _write_text(file, number, text, size, rng)
        files.append(SourceFile(f"document-{number:07d}.txt", path, size))
    return files


def _size(spec: CorpusSpec, rng: random.Random) -> int:
    if spec.log_normal:
        # The mean of a log-normal is exp(mu + sigma² / 2).
        return max(1, min(8_000_000, int(rng.lognormvariate(0, 1.2) * spec.mean_size / 2.054)))
    return int(spec.mean_size * rng.uniform(0.75, 1.25))


def _made_up_text(rng: random.Random) -> bytes:
    letters = "eeeeettttaaaooiinnsshhrrdlcumwfgypbvk"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(3000)]
    weights = [1 / (rank + 1) for rank in range(3000)]
    return " ".join(rng.choices(words, weights, k=600_000)).encode()


def _write_text(file, number: int, text: bytes, size: int, rng: random.Random) -> None:
    header = f"document {number}\nwritten {rng.random():.12f}\n\n".encode()[:size]
    file.write(header)
    left = size - len(header)
    while left:
        start = rng.randrange(len(text) - 1)
        piece = text[start : start + left]
        file.write(piece)
        left -= len(piece)


@dataclass
class Contest:
    """Runs contestants in turn, round after round, so that a noisy minute hits them all."""

    rounds: int = 5
    times: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def run(
        self,
        contestants: dict[str, Callable[[], None]],
        clean: Callable[[], None] = lambda: None,
        prepare: Callable[[], None] = lambda: None,
        processor_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Time each contestant in each round; a warm-up round fills the caches.

        `prepare` comes before and `clean` after each, untimed; so does a sync, so that nobody pays
        for another's unwritten data. `processor_s` counts what a server uses, in seconds.
        """
        for number in range(self.rounds + 1):
            for name, contestant in contestants.items():
                prepare()
                os.sync()
                used, started = _cpu_seconds() + processor_s(), time.perf_counter()
                contestant()
                taken = time.perf_counter() - started
                used = _cpu_seconds() + processor_s() - used
                clean()
                if number:
                    self.times.setdefault(name, []).append(taken)
                    self.cpu.setdefault(name, []).append(used)

    def median(self, name: str) -> float:
        """Seconds of wall time."""
        return statistics.median(self.times[name])

    def processor(self, name: str) -> float:
        """Seconds of all processors."""
        return statistics.median(self.cpu[name])

    def ratio(self, name: str, peer: str) -> float:
        """The median, over rounds, of how many times as long `name` took as `peer`."""
        return statistics.median(
            mine / its for mine, its in zip(self.times[name], self.times[peer], strict=True)
        )

    def rows(self, subject: str) -> Iterator[list[str]]:
        """A line for each contestant: median, spread, processor time, and the subject's ratio."""
        for name, times in self.times.items():
            ratio = "" if name == subject else f"{self.ratio(subject, name):.2f} ×"
            yield [
                name,
                f"{self.median(name):.2f} s",
                f"{min(times):.2f} – {max(times):.2f}",
                f"{self.processor(name):.2f} s",
                ratio,
            ]


@dataclass(frozen=True)
class Claim:
    """A promise, with what was measured: "at most" a figure if `at_most`, else at least."""

    text: str
    measured: float
    target: float
    at_most: bool = True
    unit: str = " ×"

    def row(self) -> list[str]:
        """A line of the table of claims."""
        holds = self.measured <= self.target if self.at_most else self.measured >= self.target
        word = "≤" if self.at_most else "≥"
        return [
            self.text,
            f"{word} {self.target:g}{self.unit}",
            f"{self.measured:,.2f}{self.unit}",
            "yes" if holds else "no",
        ]


def print_claims(claims: Sequence[Claim]) -> None:
    """Which of the promises hold, here and now."""
    rows = [claim.row() for claim in claims]
    print_table("Claims", ["claim", "target", "measured", "holds"], rows)


def _cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def run_watched(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds that a program took, and the peak memory of all its processes together, in MiB."""
    started, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while True:
        try:
            process.wait(SAMPLE_S)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, resident_mib(process.pid))
    taken = time.perf_counter() - started
    said = process.communicate()[1]
    if process.returncode != 0:
        raise SystemExit(said or "the program failed")
    return taken, peak


def resident_mib(pid: int) -> float:
    """Memory of a process and its children that is not shared with anybody, and their share."""
    total = 0.0
    for each in [pid, *children(pid)]:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(text) for text in task.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *children(child)]
    return found


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, ready for docs/performance.md."""
    lines = [header, *rows]
    widths = [max(len(str(line[n])) for line in lines) for n in range(len(header))]

    def show(line: Sequence[str]) -> str:
        return "| " + " | ".join(str(c).ljust(w) for c, w in zip(line, widths, strict=True)) + " |"

    print(f"\n### {title}\n")
    print(show(header))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        print(show(row))
    print(flush=True)


def present_peers(*programs: str) -> set[str]:
    """Those of the programs that are installed; says what is missing and how to get it."""
    found = {program for program in programs if shutil.which(program)}
    for program in programs:
        if program not in found:
            package = PEER_PACKAGES.get(program, program)
            print(f"peer missing: {program} (apt install {package})", file=sys.stderr)
    return found


def run_shell(command: str, cwd: Path) -> None:
    """A peer's command line; raises if it fails, also within a pipe."""
    subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cwd, check=True)


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """A directory for corpora and archives; `DES_BENCH_DIR` says where, if not in the default."""
    where = os.environ.get("DES_BENCH_DIR")
    with TemporaryDirectory(prefix=f"des-bench-{prefix}-", dir=where) as name:
        yield Path(name)


def describe_machine() -> str:
    """What a reader needs to judge the figures."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    python = sys.version.split()[0]
    load = os.getloadavg()[0]
    return f"{cores} cores, {memory:.0f} GiB, Python {python}, load {load:.1f} at the start"
