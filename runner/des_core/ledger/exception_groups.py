"""Open exceptions as people look at them: a line for what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from des_core.basics.object_config import is_object_url
from des_core.ledger.exceptions import OpenException

# A directory stands for a group if it holds so many of its files.
MOST = 0.9


class GroupBy(StrEnum):
    """What the files of a group have in common, beside the reason."""

    REASON = "reason"
    DIRECTORY = "directory"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class ExceptionGroup:
    """Open exceptions of one reason. `below` is the deepest directory or prefix of `held` of them.

    `absent` is the directory, that one or one above it, which does not exist; None where it does,
    where nobody can tell (an object store), or where the files lie in many places.
    """

    reason: str
    key: str
    files: int
    held: int
    below: str | None
    absent: str | None
    example: str | None
    oldest: datetime
    last_seen: datetime

    @property
    def where(self) -> str:
        """In words."""
        if self.below is None:
            return "in many places" if self.files > 1 else (self.example or "no location")
        share = f"all {self.files:,}" if self.held == self.files else f"{self.held:,}"
        count = share if self.held == self.files else f"{share} of {self.files:,}"
        if self.files == 1:
            count = "1"
        if self.absent is None:
            return f"{count} below {self.below}"
        if self.absent == self.below:
            return f"{count} below {self.below}, which does not exist"
        return f"{count} below {self.below}; {self.absent} does not exist"


@dataclass
class _Gathered:
    files: int = 0
    directories: Counter[str] = field(default_factory=Counter)
    example: str | None = None
    oldest: datetime | None = None
    last_seen: datetime | None = None

    def add(self, item: OpenException) -> None:
        self.files += 1
        if item.location:
            self.directories[item.location.rpartition("/")[0]] += 1
        self.oldest = min(self.oldest or item.created_at, item.created_at)
        if self.last_seen is None or item.last_seen >= self.last_seen:
            self.last_seen, self.example = item.last_seen, item.location


def group_exceptions(
    items: Iterable[OpenException], by: GroupBy = GroupBy.REASON
) -> list[ExceptionGroup]:
    """The groups, those with the newest news first. Looks whether their directories exist."""
    gathered: dict[tuple[str, str], _Gathered] = {}
    for item in items:
        gathered.setdefault((item.reason, _key(item, by)), _Gathered()).add(item)
    groups = [_group(*key, found) for key, found in gathered.items()]
    return sorted(groups, key=lambda group: (group.last_seen, group.files), reverse=True)


def _key(item: OpenException, by: GroupBy) -> str:
    if by is GroupBy.DAY:
        return item.created_at.date().isoformat()
    if by is GroupBy.DIRECTORY:
        return (item.location or "").rpartition("/")[0]
    return ""


def _group(reason: str, key: str, found: _Gathered) -> ExceptionGroup:
    assert found.oldest is not None
    assert found.last_seen is not None
    below, held = _deepest(found.directories, found.files)
    return ExceptionGroup(
        reason=reason,
        key=key,
        files=found.files,
        held=held,
        below=below,
        absent=None if below is None else _absent(below),
        example=found.example,
        oldest=found.oldest,
        last_seen=found.last_seen,
    )


def _deepest(directories: Counter[str], files: int) -> tuple[str | None, int]:
    """The deepest directory that holds most of the files, and how many those are."""
    holds: Counter[str] = Counter()
    for directory, count in directories.items():
        for above in _upwards(directory):
            holds[above] += count
    known = [(path, count) for path, count in holds.items() if count >= max(files * MOST, 1)]
    if not known:
        return None, 0
    path, held = max(known, key=lambda item: len(item[0]))
    return (path, held) if path not in ("", "/") else (None, 0)


def _upwards(directory: str) -> Iterator[str]:
    """The directory itself and those above it; the bucket is the topmost of an object's prefix."""
    scheme, mark, rest = directory.partition("://")
    head = f"{scheme}{mark}" if mark else ""
    path = rest if mark else directory
    while path:
        yield f"{head}{path}"
        path = path.rpartition("/")[0]


def _absent(path: str) -> str | None:
    """The topmost of the directories on the way there that does not exist."""
    if is_object_url(path) or not path.startswith("/"):
        return None
    absent = None
    for above in _upwards(path):
        if _is_directory(above):
            break
        absent = above
    return absent


def _is_directory(path: str) -> bool:
    """What cannot be a path is none: names come from rows."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
