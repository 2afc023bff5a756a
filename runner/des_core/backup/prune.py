"""Removing old backups: planned first; of each database the newest good ones stay.

A backup is good here if it was just read down to L2 and no recorded check has anything against
its content. What nobody can tell about (no manifest, a tool that is missing) is never removed.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from des_core.backup.claims import is_claimed, whole_directory
from des_core.backup.dump import Stored
from des_core.backup.manifest import FILE_NAME, sync_directory
from des_core.backup.store import REMOVED, UNFINISHED, Entry, list_backups, load_entry
from des_core.basics.errors import Refused, UsageError

UNFINISHED_AGE = timedelta(days=1)


class Fate(StrEnum):
    """What becomes of a directory. `left`: we do not know enough of it to touch it."""

    KEPT = "kept"
    REMOVED = "removed"
    LEFT = "left"


class Quality(StrEnum):
    """How a backup was found."""

    GOOD = "good"
    BAD = "bad"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class KeepRules:
    """The newest `last` good ones, and the newest good one of so many days and weeks (UTC)."""

    last: int
    daily: int = 0
    weekly: int = 0

    def __post_init__(self) -> None:
        if self.last < 1:
            raise UsageError("at least one backup of each database must stay", keep_last=self.last)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one directory, and why."""

    name: str
    path: Path
    database: str | None
    started_at: datetime | None
    size_bytes: int | None
    manifest_sha256: str | None
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """Every directory, newest first."""

    directory: Path
    judgements: tuple[Judgement, ...]

    @property
    def removed(self) -> tuple[Judgement, ...]:
        return tuple(item for item in self.judgements if item.fate is Fate.REMOVED)


Examine = Callable[[Stored], tuple[Quality, str]]


def plan_prune(
    directory: Path,
    rules: KeepRules,
    *,
    examine: Examine,
    named: Mapping[str, str],
    now: datetime,
) -> PrunePlan:
    """What would be removed. `named` says by whom a backup is named that must stay."""
    entries = list_backups(directory)
    groups: dict[tuple[object, ...], list[Stored]] = defaultdict(list)
    for entry in entries:
        if entry.stored is not None and not entry.path.is_symlink():
            groups[_group(entry.stored)].append(entry.stored)
    judged: dict[str, Judgement] = {}
    for group in groups.values():
        judged |= {item.name: item for item in _judge_group(group, rules, examine, named)}
    rest = {e.name: _judge_unusable(e, now) for e in entries if e.name not in judged}
    return PrunePlan(directory, tuple((judged | rest)[entry.name] for entry in entries))


def execute_prune(plan: PrunePlan, *, now: datetime) -> Iterator[Judgement]:
    """Remove what the plan says; yields each that is gone. Refused where one is another by now.

    1. Under the directory's lock. 2. Look again: the same manifest, or still nobody at work.
    3. Rename, so that a crash leaves nothing that looks like a backup. 4. Remove, sync.
    """
    with whole_directory(plan.directory):
        for item in plan.removed:
            entry = load_entry(item.path)
            if not _is_same(entry, item, now):
                raise Refused(
                    "a backup is not what the plan was made for: it stays",
                    hint="run the same command again",
                    backup=item.name,
                )
            doomed = item.path.with_name(item.name.removesuffix(REMOVED) + REMOVED)
            if doomed != item.path:
                item.path.rename(doomed)
                sync_directory(plan.directory)
            shutil.rmtree(doomed)
            sync_directory(plan.directory)
            yield item


def _judge_group(
    group: list[Stored], rules: KeepRules, examine: Examine, named: Mapping[str, str]
) -> Iterable[Judgement]:
    """The backups of one database, newest first."""
    group.sort(key=lambda stored: stored.manifest.started_at, reverse=True)
    found: dict[str, tuple[Quality, str]] = {}

    def is_good(stored: Stored) -> bool:
        if stored.path.name not in found:
            found[stored.path.name] = examine(stored)
        return found[stored.path.name][0] is Quality.GOOD

    reasons: dict[str, list[str]] = defaultdict(list)
    newest = _first(group, is_good, rules.last, lambda stored: stored.path.name)
    periods = (
        (newest, "among the newest"),
        (_first(group, is_good, rules.daily, _day), "the newest of its day"),
        (_first(group, is_good, rules.weekly, _week), "the newest of its week"),
    )
    for chosen, why in periods:
        for stored in chosen:
            reasons[stored.path.name].append(why)
    for stored in group:
        if stored.path.name in named:
            reasons[stored.path.name].append(named[stored.path.name])
    has_enough = len(newest) == rules.last
    for stored in group:
        kept = "; ".join(reasons[stored.path.name])
        quality, said = found.get(stored.path.name, (None, ""))
        yield _judge_finished(stored, kept, quality, said, has_enough=has_enough)


def _judge_finished(
    stored: Stored, kept: str, quality: Quality | None, said: str, *, has_enough: bool
) -> Judgement:
    if kept:
        return _judgement(stored, Fate.KEPT, kept)
    if quality is Quality.UNTOLD:
        return _judgement(stored, Fate.LEFT, f"nobody can tell whether it is good: {said}")
    if not has_enough:
        why = f"damaged: {said}; " if quality is Quality.BAD else ""
        return _judgement(stored, Fate.KEPT, f"{why}too few good ones of this database")
    return _judgement(stored, Fate.REMOVED, f"damaged: {said}" if said else "newer ones are good")


def _first(
    group: list[Stored],
    is_good: Callable[[Stored], bool],
    wanted: int,
    period: Callable[[Stored], object],
) -> list[Stored]:
    """The newest good one of each of the newest `wanted` periods."""
    chosen: dict[object, Stored] = {}
    for stored in group:
        if len(chosen) == wanted:
            break
        if period(stored) not in chosen and is_good(stored):
            chosen[period(stored)] = stored
    return list(chosen.values())


def _judge_unusable(entry: Entry, now: datetime) -> Judgement:
    """What is no finished backup."""
    fate, why = Fate.LEFT, entry.problem or "it is a symbolic link"
    if entry.name.endswith(REMOVED):
        fate, why = Fate.REMOVED, "its removal was cut off"
    elif entry.name.endswith(UNFINISHED) and not entry.path.is_symlink():
        if is_claimed(entry.path):
            why = "it is being made"
        elif _holds_manifest(entry.path):
            why = "it is finished, but was not given its name: des-admin backup check"
        elif now - _touched_at(entry.path) < UNFINISHED_AGE:
            why = "it was never finished, and is not a day old"
        else:
            fate, why = Fate.REMOVED, "it was never finished"
    return Judgement(entry.name, entry.path, None, None, None, None, fate, why)


def _is_same(entry: Entry, item: Judgement, now: datetime) -> bool:
    if entry.path.is_symlink():
        return False
    if item.manifest_sha256 is None:
        return _judge_unusable(entry, now).fate is Fate.REMOVED
    return entry.stored is not None and entry.stored.manifest_sha256 == item.manifest_sha256


def _holds_manifest(path: Path) -> bool:
    return (path / FILE_NAME).exists()


def _touched_at(path: Path) -> datetime:
    """When anything in it was last written."""
    newest = max((found.lstat().st_mtime for found in (path, *path.rglob("*"))), default=0.0)
    return datetime.fromtimestamp(newest, UTC)


def _group(stored: Stored) -> tuple[object, ...]:
    """Backups of chosen tables never stand for whole ones."""
    manifest = stored.manifest
    server = manifest.server
    return server.dialect, server.server_id, server.database, manifest.chosen_tables


def _day(stored: Stored) -> object:
    return stored.manifest.started_at.astimezone(UTC).date()


def _week(stored: Stored) -> object:
    return stored.manifest.started_at.astimezone(UTC).isocalendar()[:2]


def _judgement(stored: Stored, fate: Fate, why: str) -> Judgement:
    manifest = stored.manifest
    return Judgement(
        stored.path.name,
        stored.path,
        f"{manifest.server.product} {manifest.server.database}",
        manifest.started_at,
        manifest.size_bytes,
        stored.manifest_sha256,
        fate,
        why,
    )
