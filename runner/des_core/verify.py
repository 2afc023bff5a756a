"""Every shard against the ledger and against its own checksums."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from des_core.database import Database
from des_core.errors import DamagedShard, DesError, StorageError, UsageError
from des_core.ledger import iterate_shards
from des_core.packer_planner import ShardRecord
from des_core.retriever import StorageBigFiles
from des_core.shard_io import ShardCheck, open_shard, verify_shard
from des_core.storage import Storage

DEFAULT_THREADS = 4


class Verdict(StrEnum):
    """What was found about a shard. `extra`: sound, but the ledger does not know it."""

    SOUND = "sound"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    EXTRA = "extra"


BAD = frozenset({Verdict.MISSING, Verdict.DAMAGED, Verdict.UNREADABLE})


@dataclass(frozen=True, slots=True)
class ShardVerdict:
    """One shard: the verdict and what is wrong, in words."""

    shard: str
    verdict: Verdict
    problem: str | None = None
    files: int = 0
    size_bytes: int = 0


@dataclass
class VerifyReport:
    """What a verification came to. `findings` are the shards that are not sound."""

    shards: int = 0
    files: int = 0
    size_bytes: int = 0
    extra: int = 0
    findings: list[ShardVerdict] = field(default_factory=list)

    def add(self, item: ShardVerdict) -> None:
        self.shards += 1
        self.files += item.files
        self.size_bytes += item.size_bytes
        self.extra += item.verdict is Verdict.EXTRA
        if item.verdict in BAD:
            self.findings.append(item)

    @property
    def is_sound(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class Task:
    """A shard to be read; `record` is the ledger's, or None for one that it does not know."""

    name: str
    record: ShardRecord | None


def list_tasks(storage: Storage, config: Database | None) -> list[Task]:
    """Every shard of the ledger and every shard that lies in the archive, by name."""
    records: dict[str, ShardRecord | None] = {
        name: None for names in storage.list_shards().values() for name in names
    }
    if config is not None:
        for page in iterate_shards(config):
            records.update((known.record.name, known.record) for known in page)
    return [Task(name, records[name]) for name in sorted(records)]


def choose_sample(tasks: list[Task], sample: str | None, *, seed: int | None = None) -> list[Task]:
    """All tasks, or some of them by chance: `sample` is `100` shards or `5%` of them."""
    if sample is None:
        return tasks
    number = sample_size(sample, len(tasks))
    chosen = random.Random(seed).sample(tasks, number)  # noqa: S311 - not for secrets
    return sorted(chosen, key=lambda task: task.name)


def sample_size(sample: str, total: int) -> int:
    """How many `N` or `P%` of `total` are: at least one, at most all."""
    text = sample.strip()
    try:
        wanted = total * float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        wanted = 0
    if not wanted > 0:  # also true of nan
        raise UsageError(
            f"not a sample that can be taken: {sample!r}", hint="write it like 100 or 5%"
        )
    return min(max(1, round(min(wanted, total))), total)


def verify_shards(
    storage: Storage,
    tasks: list[Task],
    *,
    on_verdict: Callable[[ShardVerdict], None],
    should_stop: Callable[[], bool] = lambda: False,
    threads: int = DEFAULT_THREADS,
) -> VerifyReport:
    """Read every shard of `tasks` whole. `on_verdict` hears each; a stop ends between shards."""
    report = VerifyReport()
    with ThreadPoolExecutor(threads, thread_name_prefix="des-verify") as pool:
        for item in _in_parallel(pool, storage, tasks, threads, should_stop):
            report.add(item)
            on_verdict(item)
    return report


def verify_one(storage: Storage, task: Task) -> ShardVerdict:
    """One shard, read whole. Never raises for what is wrong with the shard."""
    try:
        blob = storage.open(task.name)
    except FileNotFoundError:
        return ShardVerdict(task.name, Verdict.MISSING, "the ledger has it, the archive has not")
    except StorageError as exc:
        return ShardVerdict(task.name, Verdict.UNREADABLE, str(exc))
    try:
        with open_shard(blob, StorageBigFiles(storage)) as reader:
            check = verify_shard(reader)
    except DamagedShard as exc:
        return ShardVerdict(task.name, Verdict.DAMAGED, str(exc))
    except DesError as exc:
        return ShardVerdict(task.name, Verdict.UNREADABLE, str(exc))
    return _compare(task, check)


def _compare(task: Task, check: ShardCheck) -> ShardVerdict:
    if task.record is None:
        return ShardVerdict(task.name, Verdict.EXTRA, None, check.files, check.size_bytes)
    expected = {
        "size_bytes": task.record.size_bytes,
        "sha256": task.record.sha256,
        "files": task.record.files,
        "content_bytes": task.record.content_bytes,
    }
    for name, value in expected.items():
        found = getattr(check, name)
        if found != value:
            problem = f"{name} is {found}, the ledger says {value}"
            return ShardVerdict(task.name, Verdict.DAMAGED, problem, check.files, check.size_bytes)
    return ShardVerdict(task.name, Verdict.SOUND, None, check.files, check.size_bytes)


def _in_parallel(
    pool: ThreadPoolExecutor,
    storage: Storage,
    tasks: list[Task],
    threads: int,
    should_stop: Callable[[], bool],
) -> Iterator[ShardVerdict]:
    """Verdicts as they come, with a few tasks in flight: a stop waits for those only."""
    waiting = iter(tasks)
    flying: set[Future[ShardVerdict]] = set()
    while not should_stop():
        for task in islice(waiting, 2 * threads - len(flying)):
            flying.add(pool.submit(verify_one, storage, task))
        if not flying:
            return
        done, flying = wait(flying, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)
    for future in flying:
        future.cancel()
