"""The ledger from what lies in the archive: manifests and shards, without the old database.

1. Each manifest that agrees with its own hash becomes a slice, with those of its shards that are
   there, have the size it says, and are not in the ledger yet.
2. A shard that two manifests claim goes to the one whose hash it has.
3. A shard that no manifest claims is read whole, checked, and becomes part of a slice of its day.

What manifests do not hold cannot come back: exceptions and the audit trail. Rows without a shard
are what `reconcile` then finds. The grace period of deletions begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

from des_core.basics.errors import DamagedData, DesError, StorageError
from des_core.basics.routing import parse_shard_name
from des_core.basics.timestamps import EARLIEST, LATEST
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.slices import SliceRecord, add_slice, iterate_shards
from des_core.locks.lock import hold_lock
from des_core.records import ShardRecord
from des_core.shard_io import Companions, verify_shard
from des_core.storage.companions import companions_of, listed_blob, open_listed
from des_core.storage.directory import Storage
from des_core.storage.manifests import SliceManifest, list_manifests, read_manifest

KIND_UNCLAIMED = "late"
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RebuiltSlice:
    """A slice to be added: from a manifest, or from a day's shards that no manifest claims."""

    source: str
    kind: str
    window_start: datetime
    window_end: datetime
    shards: tuple[ShardRecord, ...]
    dictionaries: tuple[str, ...] = ()


@dataclass
class RebuildPlan:
    """What would be added. `manifests_end` is how far the windows of the manifests reach.

    `problems` maps a manifest or shard that cannot be used to why.
    """

    slices: list[RebuiltSlice] = field(default_factory=list)
    known: int = 0
    missing: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    manifests_end: datetime | None = None

    @property
    def shards(self) -> int:
        return sum(len(item.shards) for item in self.slices)

    @property
    def files(self) -> int:
        return sum(shard.files for item in self.slices for shard in item.shards)


def plan_rebuild(
    storage: Storage, config: Database, *, check: Callable[[], None] = lambda: None
) -> RebuildPlan:
    """Read manifests and unclaimed shards, and compare with the ledger; changes nothing."""
    plan = RebuildPlan()
    there = {name for names in storage.list_shards().values() for name in names}
    known = {shard.record.name for page in iterate_shards(config) for shard in page}
    plan.known = len(known)
    wanted = there - known
    claims = list(_read_manifests(storage, plan, check))
    chosen = _choose(storage, claims, wanted, plan, check)
    for name, manifest in claims:
        shards = tuple(shard for shard in manifest.shards if chosen.get(shard.name) == name)
        plan.missing += [s.name for s in manifest.shards if s.name not in there | known]
        if shards:
            plan.slices.append(_slice_of(name, manifest, shards))
    unclaimed = sorted(wanted - set(chosen) - set(plan.problems))
    plan.slices += _unclaimed(storage, unclaimed, plan, check)
    return plan


def execute_rebuild(config: Database, plan: RebuildPlan, *, actor: str, run_id: str) -> None:
    """Add exactly what the plan says, a transaction per slice, under the lock.

    A shard that was added meanwhile ends it; run it again. What was added stays.
    """

    def record_end(tx: Transaction) -> None:
        record_event(
            tx,
            action="ledger_rebuilt",
            actor=actor,
            now=datetime.now(UTC),
            details={
                "run_id": run_id,
                "slices": len(plan.slices),
                "shards": plan.shards,
                "files": plan.files,
                "problems": len(plan.problems),
            },
        )

    with hold_lock(config, "ledger rebuild") as lock:
        for item in plan.slices:
            lock.write(partial(add_slice, record=_record_of(item), shards=item.shards))
        lock.write(record_end)


def _read_manifests(
    storage: Storage, plan: RebuildPlan, check: Callable[[], None]
) -> Iterator[tuple[str, SliceManifest]]:
    for name in list_manifests(storage):
        check()
        try:
            manifest = read_manifest(storage, name)
        except DesError as exc:
            plan.problems[name] = str(exc)
            continue
        if manifest.kind == "window":
            end = plan.manifests_end
            plan.manifests_end = (
                manifest.window_end if end is None else max(end, manifest.window_end)
            )
        yield name, manifest


def _choose(
    storage: Storage,
    claims: list[tuple[str, SliceManifest]],
    wanted: set[str],
    plan: RebuildPlan,
    check: Callable[[], None],
) -> dict[str, str]:
    """Shard → the manifest that it is taken from."""
    by_shard: dict[str, dict[str, ShardRecord]] = defaultdict(dict)
    for name, manifest in claims:
        for shard in manifest.shards:
            if shard.name in wanted:
                by_shard[shard.name][name] = shard
    chosen: dict[str, str] = {}
    for shard_name, candidates in by_shard.items():
        check()
        try:
            manifest_name = _agreeing(storage, shard_name, candidates)
        except StorageError as exc:
            plan.problems[shard_name] = str(exc)
            continue
        if manifest_name is None:
            plan.problems[shard_name] = "its size or hash is not what its manifest says"
        else:
            chosen[shard_name] = manifest_name
    return chosen


def _agreeing(storage: Storage, shard_name: str, candidates: dict[str, ShardRecord]) -> str | None:
    blob = listed_blob(storage, shard_name)
    try:
        size = blob.size()
        fitting = {name: shard for name, shard in candidates.items() if shard.size_bytes == size}
        if len({shard.sha256 for shard in candidates.values()}) > 1:
            digest = hashlib.sha256()
            for offset in range(0, size, 1 << 20):
                digest.update(blob.read_range(offset, min(1 << 20, size - offset)))
            found = digest.hexdigest()
            fitting = {name: shard for name, shard in fitting.items() if shard.sha256 == found}
    finally:
        blob.close()
    return min(fitting, default=None)


def _slice_of(name: str, manifest: SliceManifest, shards: tuple[ShardRecord, ...]) -> RebuiltSlice:
    return RebuiltSlice(
        name,
        manifest.kind,
        manifest.window_start,
        manifest.window_end,
        shards,
        manifest.dictionaries,
    )


def _unclaimed(
    storage: Storage, names: Iterable[str], plan: RebuildPlan, check: Callable[[], None]
) -> Iterator[RebuiltSlice]:
    by_day: dict[date, list[ShardRecord]] = defaultdict(list)
    dictionaries: dict[date, set[str]] = defaultdict(set)
    companions = companions_of(storage)
    for name in names:
        check()
        try:
            record, needed = _read_record(storage, name, companions)
        except DesError as exc:
            plan.problems[name] = str(exc)
        else:
            by_day[record.day].append(record)
            dictionaries[record.day].update(needed)
    for day, records in sorted(by_day.items()):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) - _TICK
        yield RebuiltSlice(
            f"shards of {day}",
            KIND_UNCLAIMED,
            start,
            start + timedelta(days=1),
            tuple(records),
            tuple(sorted(dictionaries[day])),
        )


def _read_record(
    storage: Storage, name: str, companions: Companions
) -> tuple[ShardRecord, tuple[str, ...]]:
    """A shard, and the dictionaries that it needs."""
    place = parse_shard_name(name)
    if place is None:
        raise DamagedData("not a shard's name", shard=name)
    if not EARLIEST.date() <= place.day <= LATEST.date():
        raise DamagedData("the ledger cannot hold a day of that year", shard=name)
    with open_listed(storage, name, companions) as reader:
        found = verify_shard(reader)
    record = ShardRecord(
        name=name,
        day=place.day,
        bucket=place.bucket,
        part=place.part,
        files=found.files,
        content_bytes=found.content_bytes,
        size_bytes=found.size_bytes,
        sha256=found.sha256,
    )
    return record, found.dictionaries


def _versions(item: RebuiltSlice) -> str:
    versions: dict[str, object] = {"rebuilt_from": item.source}
    if item.dictionaries:
        versions["dictionaries"] = list(item.dictionaries)
    return json.dumps(versions)


def _record_of(item: RebuiltSlice) -> SliceRecord:
    now = datetime.now(UTC)
    files = sum(shard.files for shard in item.shards)
    return SliceRecord(
        run_id=hashlib.sha256(item.source.encode()).hexdigest()[:32],
        kind=item.kind,
        window_start=item.window_start,
        window_end=item.window_end,
        files_in=files,
        files_out=files,
        files_failed=0,
        files_present=0,
        bytes_in=sum(shard.content_bytes for shard in item.shards),
        bytes_out=sum(shard.size_bytes for shard in item.shards),
        started_at=now,
        finished_at=now,
        versions=_versions(item),
    )
