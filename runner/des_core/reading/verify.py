"""Every shard against the ledger and against its own checksums, every manifest against its own.

What looks damaged is read once more from the medium: a fault of memory, cable or network passes,
damage stays. Only what was found sound is recorded as verified, so the next run begins with
what was not, and then with what was verified longest ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from des_core.basics.errors import DamagedData, DamagedShard, DesError, StorageError
from des_core.database.connections import Database
from des_core.ledger.slices import find_shard
from des_core.reading.verify_tasks import Task
from des_core.records import ShardRecord
from des_core.shard_io import Companions, LocalBlob, ShardCheck, open_shard, verify_shard
from des_core.shard_io.dictionaries import is_dictionary_path, other_copy, read_copy
from des_core.storage.companions import companions_of
from des_core.storage.directory import Storage
from des_core.storage.layout import MANIFESTS_DIR, set_aside_as
from des_core.storage.manifests import read_manifest

DEFAULT_THREADS = 4


class Verdict(StrEnum):
    """What was found about a shard or a manifest.

    `extra`: sound, but the ledger does not know it. `transient`: the first reading failed, the
    second did not.
    """

    SOUND = "sound"
    TRANSIENT = "transient"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    EXTRA = "extra"


BAD = frozenset({Verdict.MISSING, Verdict.DAMAGED, Verdict.UNREADABLE})


@dataclass(frozen=True, slots=True)
class ShardVerdict:
    """One shard, manifest or dictionary: the verdict and what is wrong, in words."""

    shard: str
    verdict: Verdict
    problem: str | None = None
    files: int = 0
    size_bytes: int = 0
    lacks_dictionary: bool = False

    @property
    def is_bad(self) -> bool:
        return self.verdict in BAD


@dataclass
class VerifyReport:
    """What a verification came to. `findings` are what is not sound, `transient` what recovered."""

    shards: int = 0
    files: int = 0
    size_bytes: int = 0
    extra: int = 0
    findings: list[ShardVerdict] = field(default_factory=list)
    transient: list[ShardVerdict] = field(default_factory=list)
    is_complete: bool = True

    def add(self, item: ShardVerdict) -> None:
        self.shards += is_shard(item.shard)
        self.files += item.files
        self.size_bytes += item.size_bytes
        self.extra += item.verdict is Verdict.EXTRA
        if item.is_bad:
            self.findings.append(item)
        if item.verdict is Verdict.TRANSIENT:
            self.transient.append(item)

    @property
    def is_sound(self) -> bool:
        return not self.findings


def is_shard(name: str) -> bool:
    """What is neither manifest nor dictionary: those lie in directories of their own."""
    return "/" not in name


def is_manifest(name: str) -> bool:
    return name.startswith(f"{MANIFESTS_DIR}/")


def verify_shards(
    storage: Storage,
    config: Database | None,
    tasks: Sequence[Task],
    *,
    on_verdict: Callable[[ShardVerdict], None],
    should_stop: Callable[[], bool] = lambda: False,
    threads: int = DEFAULT_THREADS,
) -> VerifyReport:
    """Read every shard of `tasks` whole. `on_verdict` hears each; a stop ends between shards."""
    report = VerifyReport()
    left = len(tasks)
    with ThreadPoolExecutor(threads, thread_name_prefix="des-verify") as pool:
        for item in _in_parallel(pool, storage, config, iter(tasks), threads, should_stop):
            report.add(item)
            on_verdict(item)
            left -= 1
    report.findings.sort(key=lambda item: item.shard)
    report.is_complete = left == 0
    return report


def verify_one(
    storage: Storage, config: Database | None, task: Task, companions: Companions | None = None
) -> ShardVerdict:
    """One shard, manifest or dictionary, read whole. Never raises for what is wrong with it.

    `companions` keep the dictionaries that shards of one verification share.
    """
    if is_manifest(task.name):
        return _verify_manifest(storage, task)
    if is_dictionary_path(task.name):
        return _verify_dictionary(storage, task.name)
    known = find_shard(config, task.name) if config is not None and task.is_known else None
    record = None if known is None else known.record
    first = _read_whole(storage, task, record, companions or companions_of(storage))
    if task.is_known and config is not None and known is None:
        first = _without_row(storage, first)
    if first.verdict not in (Verdict.DAMAGED, Verdict.UNREADABLE):
        return first
    second = _read_whole(storage, task, record, companions_of(storage), is_second=True)
    if second.is_bad:
        return second
    return ShardVerdict(
        task.name, Verdict.TRANSIENT, first.problem, second.files, second.size_bytes
    )


def _without_row(storage: Storage, first: ShardVerdict) -> ShardVerdict:
    """Of a shard that was in the ledger when the list was made, and is not now.

    A repair takes the row and sets the shard aside; a row that got lost looks the same, so the
    shard counts as set aside only where it is gone from its place and lies there.
    """
    if first.verdict is not Verdict.MISSING:
        return first
    if storage.exists(set_aside_as(first.shard)):
        return replace(first, verdict=Verdict.SOUND, problem="it was set aside meanwhile")
    return replace(first, problem="it left ledger and archive meanwhile, and was not set aside")


def _verify_manifest(storage: Storage, task: Task) -> ShardVerdict:
    try:
        read_manifest(storage, task.name)
    except DamagedData as exc:
        return ShardVerdict(task.name, Verdict.DAMAGED, str(exc))
    except DesError as exc:
        return ShardVerdict(task.name, Verdict.UNREADABLE, str(exc))
    return ShardVerdict(task.name, Verdict.SOUND)


def _verify_dictionary(storage: Storage, path: str) -> ShardVerdict:
    """One copy. That the other one serves meanwhile is no reason to leave it so."""
    try:
        read_copy(storage.open, path)
    except FileNotFoundError:
        problem = f"the only copy is {other_copy(path)}"
        return ShardVerdict(path, Verdict.MISSING, problem)
    except DamagedData as exc:
        return ShardVerdict(path, Verdict.DAMAGED, str(exc))
    except DesError as exc:
        return ShardVerdict(path, Verdict.UNREADABLE, str(exc))
    return ShardVerdict(path, Verdict.SOUND)


def _read_whole(
    storage: Storage,
    task: Task,
    record: ShardRecord | None,
    companions: Companions,
    *,
    is_second: bool = False,
) -> ShardVerdict:
    name = task.name
    try:
        blob = storage.open(name)
    except FileNotFoundError:
        witness = "the ledger" if task.is_known else "a manifest"
        return ShardVerdict(name, Verdict.MISSING, f"{witness} has it, the archive has not")
    except StorageError as exc:
        return ShardVerdict(name, Verdict.UNREADABLE, str(exc))
    try:
        if is_second and isinstance(blob, LocalBlob):
            blob.forget_cached()
        with open_shard(blob, companions) as reader:
            check = verify_shard(reader)
    except DesError as exc:
        verdict = Verdict.DAMAGED if isinstance(exc, DamagedShard) else Verdict.UNREADABLE
        return ShardVerdict(name, verdict, str(exc), lacks_dictionary="dictionary" in exc.facts)
    return _compare(task, record, check)


def _compare(task: Task, record: ShardRecord | None, check: ShardCheck) -> ShardVerdict:
    name = task.name
    if record is None and task.claimed and check.sha256 not in task.claimed:
        problem = f"sha256 is {check.sha256}, which is not what its manifest says"
        return ShardVerdict(name, Verdict.DAMAGED, problem, check.files, check.size_bytes)
    if record is None:
        return ShardVerdict(name, Verdict.EXTRA, None, check.files, check.size_bytes)
    for field_name in ("size_bytes", "sha256", "files", "content_bytes"):
        found, expected = getattr(check, field_name), getattr(record, field_name)
        if found != expected:
            problem = f"{field_name} is {found}, the ledger says {expected}"
            return ShardVerdict(name, Verdict.DAMAGED, problem, check.files, check.size_bytes)
    return ShardVerdict(name, Verdict.SOUND, None, check.files, check.size_bytes)


def _in_parallel(
    pool: ThreadPoolExecutor,
    storage: Storage,
    config: Database | None,
    waiting: Iterator[Task],
    threads: int,
    should_stop: Callable[[], bool],
) -> Iterator[ShardVerdict]:
    """Verdicts as they come, with a few tasks in flight: a stop waits for those only."""
    flying: set[Future[ShardVerdict]] = set()
    companions = companions_of(storage)
    while not should_stop():
        for task in islice(waiting, 2 * threads - len(flying)):
            flying.add(pool.submit(verify_one, storage, config, task, companions))
        if not flying:
            return
        done, flying = wait(flying, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)
    for future in flying:
        if not future.cancel():
            yield future.result()
