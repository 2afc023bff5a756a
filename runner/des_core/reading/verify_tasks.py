"""What is to be verified, and in which order: never verified first, then the longest ago."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

from des_core.basics.errors import UsageError
from des_core.database.connections import Database
from des_core.database.stored_time import optional_from_stored
from des_core.ledger.damage import forget_damage, list_damage, remember_damage
from des_core.shard_io.dictionaries import copies_of, is_dictionary_path
from des_core.storage.dictionaries import list_dictionaries
from des_core.storage.directory import Storage
from des_core.storage.layout import DAMAGED_DIR, is_set_aside
from des_core.storage.manifests import claimed_hashes, claims, list_manifests

PAGE_SIZE = 5000
RECORD_EVERY = 100
_NEVER = datetime.min.replace(tzinfo=UTC)
_SUBSET = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Task:
    """A shard, a manifest or a copy of a dictionary to be read. `is_known` where the ledger has it.

    Where it has not, `claimed` are the sha256 that manifests say the shard has.
    """

    name: str
    is_known: bool
    verified_at: datetime | None = None
    claimed: frozenset[str] = frozenset()


def list_tasks(
    storage: Storage,
    config: Database | None,
    *,
    max_age: timedelta | None = None,
    asks_manifests: bool = True,
) -> list[Task]:
    """Manifests, dictionaries, every shard of the ledger, every other that lies in the archive.

    `max_age` leaves out shards that were verified within that time. `asks_manifests` for shards,
    too, that neither ledger nor archive has: that means to read all of them.
    """
    tasks = {} if config is None else {task.name: task for task in _known_tasks(config)}
    there = {name for names in storage.list_shards().values() for name in names}
    unknown = there - set(tasks)
    if asks_manifests:
        claimed = claims(storage, lambda name: name not in tasks)
        aside = storage.list_names(DAMAGED_DIR)
        unknown |= {name for name in claimed if name in there or not is_set_aside(aside, name)}
    else:
        claimed = claimed_hashes(storage, unknown)
    for name in unknown:
        tasks[name] = Task(name, is_known=False, claimed=claimed.get(name, frozenset()))
    chosen: Iterable[Task] = tasks.values()
    if max_age is not None:
        oldest = datetime.now(UTC) - max_age
        chosen = (t for t in chosen if t.verified_at is None or t.verified_at < oldest)
    dictionaries = [path for name in list_dictionaries(storage) for path in copies_of(name)]
    beside = [Task(name, is_known=False) for name in (*list_manifests(storage), *dictionaries)]
    return beside + sorted(chosen, key=_urgency)


def choose_sample(tasks: list[Task], sample: str | None, *, seed: int | None = None) -> list[Task]:
    """All tasks, or some of them: `100` or `5%` by chance, `2/7` the second of seven parts.

    The parts do not depend on chance or on what else is there: a part a day reads all in a week.
    """
    if sample is None:
        return tasks
    subset = _SUBSET.fullmatch(sample.strip())
    if subset:
        return [task for task in tasks if _is_in_part(task.name, sample, subset)]
    number = sample_size(sample, len(tasks))
    chosen = random.Random(seed).sample(tasks, number)  # noqa: S311 - not for secrets
    return sorted(chosen, key=_urgency)


def sample_size(sample: str, total: int) -> int:
    """How many `N` or `P%` of `total` are: at least one, at most all."""
    text = sample.strip()
    is_share = text.endswith("%")
    try:
        number = float(text[:-1]) if is_share else int(text)
    except ValueError:
        number = 0
    if not number > 0:  # also true of nan
        raise _not_a_sample(sample)
    wanted = total * number / 100 if is_share else number
    return min(max(1, round(min(wanted, total))), total)


# Sound, but not in the ledger, is nothing that could be recorded there.
RECORDED = frozenset({"sound", "transient"})
MOST_DAMAGE = 100_000


class VerificationLog:
    """Records what was found sound, some shards at a time. Close it, whatever happened."""

    def __init__(self, config: Database) -> None:
        self._config = config
        self._names: list[str] = []
        with config.read() as tx:
            known = list_damage(tx, limit=MOST_DAMAGE)
        self._damaged = {damage.name for damage in known}

    def hear(self, name: str, verdict: str, problem: str | None, *, is_bad: bool) -> None:
        """Damage is remembered at once, and forgotten where a name is sound again."""
        if is_bad:
            remember_damage(self._config, name, verdict, problem)
            return
        if name in self._damaged:
            self._config.transact(lambda tx: forget_damage(tx, [name]))
        if verdict in RECORDED:
            self._names.append(name)
        if len(self._names) >= RECORD_EVERY:
            self.flush()

    def forget_gone(self, storage: Storage, tasks: Iterable[Task]) -> None:
        """Forget damage of what is no more, after everything in the archive was read.

        That is what somebody moved to `_damaged/`, and copies of dictionaries: a shard that needs
        a lost one is damaged itself.
        """
        gone = self._damaged.difference(task.name for task in tasks)
        if not gone:
            return
        aside = storage.list_names(DAMAGED_DIR)
        names = sorted(
            name
            for name in gone
            if is_dictionary_path(name) or is_set_aside(aside, name.rpartition("/")[2])
        )
        self._config.transact(lambda tx: forget_damage(tx, names))

    def flush(self) -> None:
        """Write what is not yet written."""
        if not self._names:
            return
        now = datetime.now(UTC)
        rows = [{"name": name, "now": now} for name in sorted(self._names)]
        self._names.clear()
        self._config.transact(lambda tx: tx.run_many("shard_verified", rows))


def _known_tasks(config: Database) -> Iterator[Task]:
    values = {"after_name": "", "page_size": PAGE_SIZE}
    for rows in config.pages("shard_verification_page", values, after_name="name"):
        for row in rows:
            yield Task(row.name, is_known=True, verified_at=optional_from_stored(row.verified_at))


def _urgency(task: Task) -> tuple[datetime, str]:
    return task.verified_at or _NEVER, task.name


def _is_in_part(name: str, sample: str, subset: re.Match[str]) -> bool:
    number, parts = int(subset[1]), int(subset[2])
    if not 1 <= number <= parts:
        raise _not_a_sample(sample)
    return crc32(name.encode()) % parts == number - 1


def _not_a_sample(sample: str) -> UsageError:
    return UsageError(
        f"not a sample that can be taken: {sample!r}", hint="write it like 100, 5% or 1/7"
    )
