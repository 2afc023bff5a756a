"""Which backups must stay: what was just read and found good, and what the trail names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from des_core.backup.check import CheckOptions, check_backup
from des_core.backup.dump import Stored
from des_core.backup.findings import Level, Severity, Status
from des_core.backup.presence import Surroundings
from des_core.backup.prune import Quality
from des_core.backup.record import BackupEvidence, last_checks, made_hash, relied_on
from des_core.database.connections import Database

DROPPED_ON_IT = "the column archived was dropped on it"
# What says nothing about the content: the clock, the directory's mode.
ABOUT_PLACE = frozenset({"too_old", "from_the_future", "world_readable"})
# What only a restore finds, so that reading again does not tell.
DEEP_FAULTS = frozenset({"differs", "not_restored", "missing_table"})


@dataclass(frozen=True)
class Examiner:
    """Reads a backup whole, and knows what recorded checks said of it."""

    now: datetime
    checks: Mapping[str, BackupEvidence]
    made_hash: Callable[[str], str | None]

    def __call__(self, stored: Stored) -> tuple[Quality, str]:
        recorded = self.checks.get(stored.manifest_sha256)
        if recorded is not None and not recorded.is_good:
            deep = sorted(DEEP_FAULTS.intersection(recorded.errors))
            if deep:
                return Quality.BAD, f"a recorded restore failed ({', '.join(deep)})"
        around = Surroundings(
            now=self.now, max_age_hours=float("inf"), made_hash=self.made_hash(stored.path.name)
        )
        report = check_backup(stored.path, around, CheckOptions(Level.L2))
        faults = [f for f in report.errors if f.code not in ABOUT_PLACE]
        wrong = [f.message for f in faults if f.severity is Severity.ERROR]
        if wrong:
            return Quality.BAD, "; ".join(wrong[:3])
        if faults or report.statuses[Level.L2] in (Status.SKIPPED, Status.UNKNOWN):
            return Quality.UNTOLD, "; ".join(f.message for f in faults[:3]) or "it was not read"
        return Quality.GOOD, "read just now, good to L2"


def examiner_without_trail(now: datetime) -> Examiner:
    """For a time when no database can be asked."""
    return Examiner(now, {}, lambda _name: None)


def examiner_of(config: Database, now: datetime) -> Examiner:
    """With what the audit trail of `config` says."""
    checks = {c.manifest_sha256: c for c in reversed(last_checks(config)) if c.manifest_sha256}
    return Examiner(now, checks, lambda name: made_hash(config, name))


def names_that_stay(config: Database, names: list[str]) -> dict[str, str]:
    """Of the backups called `names`, those that something relies on, and what."""
    found: dict[str, str] = {}
    newest: dict[tuple[str, str, str], BackupEvidence] = {}
    for check in last_checks(config):
        key = (check.dialect, check.server_id, check.database)
        if not check.is_good or check.level < Level.L2:
            continue
        if key not in newest or check.started_at > newest[key].started_at:
            newest[key] = check
    found |= {check.name: "the pre-drop checks rely on it" for check in newest.values()}
    found |= dict.fromkeys(relied_on(config), DROPPED_ON_IT)
    return {name: why for name, why in found.items() if name in names}
