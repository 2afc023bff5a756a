"""What a check says: findings by level, each with the next command, and one verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """How deep a check looks, and so what it costs."""

    L0 = 0
    """Under a second: presence, sizes, age, whose backup it is."""
    L1 = 1
    """One read: every byte, by sha256."""
    L2 = 2
    """One read by the database's own tool: complete, all tables there."""
    L3 = 3
    """A restore into a scratch database: counts and sums equal the manifest."""


class Severity(StrEnum):
    """An unknown is a question that could not be answered: never ok, not yet an error."""

    WARNING = "warning"
    UNKNOWN = "unknown"
    ERROR = "error"


class Status(StrEnum):
    """The outcome of one level. A level that was not run is skipped, never ok."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    FAILED = "failed"
    SKIPPED = "skipped"


_STATUS = {
    Severity.WARNING: Status.WARNING,
    Severity.UNKNOWN: Status.UNKNOWN,
    Severity.ERROR: Status.FAILED,
}
_RANK = (Status.SKIPPED, Status.OK, Status.WARNING, Status.UNKNOWN, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or could not be told. `code` is a stable short name."""

    level: Level
    severity: Severity
    code: str
    message: str
    next_command: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The verdict on one backup. `snapshot_at` is the moment whose data it holds."""

    name: str
    path: str | None
    statuses: dict[Level, Status]
    findings: tuple[Finding, ...]
    checked_at: datetime
    snapshot_at: datetime | None = None
    finished_at: datetime | None = None
    manifest_sha256: str | None = None
    size_bytes: int | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """The worst of all levels."""
        return max(self.statuses.values(), key=_RANK.index, default=Status.SKIPPED)

    @property
    def is_good(self) -> bool:
        """Nothing wrong at any level that was run, down to `level`."""
        return self.status is not Status.FAILED and self.level is not None

    @property
    def level(self) -> Level | None:
        """The deepest level that was run and answered, with all above it; None where none was."""
        reached: Level | None = None
        for level in Level:
            if self.statuses.get(level, Status.SKIPPED) in (Status.SKIPPED, Status.UNKNOWN):
                break
            reached = level
        return reached

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is not Severity.WARNING)


def judge(level_findings: Iterable[Finding]) -> Status:
    """The status of a level that was run, from what it found."""
    statuses = [_STATUS[finding.severity] for finding in level_findings]
    return max(statuses, key=_RANK.index, default=Status.OK)
