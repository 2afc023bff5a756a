"""What the gate before the drop asks: is there a backup that brings the column back?"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from des_core.backup.check import CheckOptions, check_backup
from des_core.backup.findings import CheckReport, Level
from des_core.backup.foreign.answer import Tool
from des_core.backup.identity import Target
from des_core.backup.live import Live, read_live
from des_core.backup.presence import CLOCK_TOLERANCE, Surroundings
from des_core.backup.record import OURS, BackupEvidence, last_checks
from des_core.backup.store import looks_like_path
from des_core.basics.timestamps import format_utc
from des_core.database.connections import Database
from des_core.settings.config import Settings

MAKE_ONE = "make one: des-admin backup create; or name one: --backup NAME"
MIN_LEVEL = Level.L2
# Physical backups of other tools can be verified to the byte, not read by pg_restore; rows of a
# logical one are counted at L2.
FOREIGN_LEVEL: dict[str, Level] = {Tool.MYDUMPER: Level.L2}
NOT_COMPARED = "not_compared"


@dataclass(frozen=True, slots=True)
class BackupVerdict:
    """Whether the gate may open; `is_warning` where only the operator's word stands for it.

    `name` is the backup that it relies on.
    """

    is_passed: bool
    text: str
    hint: str | None = None
    is_warning: bool = False
    name: str | None = None


def judge_backup(
    settings: Settings, source: Target, config: Database, name: str | None, now: datetime
) -> BackupVerdict:
    """Without a name, the newest recorded check of this source decides.

    A name that is a directory, by path or in backup.dir, is checked here and now down to L2. A
    name that only the record knows is looked up there. Any other is the operator's own word.
    """
    live = read_live(source)
    if name is None:
        return _judge_record(settings, live, config, now)
    path = _directory_of(settings, name)
    if path is not None:
        return _judge_directory(settings, live, path, now)
    if looks_like_path(name):
        hint = "see: des-admin backup list"
        return BackupVerdict(False, f"there is no backup directory at {name}", hint)
    return _judge_name(settings, live, config, name, now)


def _judge_record(settings: Settings, live: Live, config: Database, now: datetime) -> BackupVerdict:
    table = str(settings.database.table)
    enough = [
        evidence
        for evidence in last_checks(config)
        if evidence.is_good
        and evidence.is_of(live.server.identity)
        and evidence.holds(table)
        and evidence.level >= _needed_level(evidence)
        and NOT_COMPARED not in evidence.warnings
    ]
    if not enough:
        text = f"no backup of this database with {table} is recorded as checked down to L2"
        return BackupVerdict(False, text, MAKE_ONE)
    # One from the future, by a clock that was ahead, must not hide those that are not.
    past = [evidence for evidence in enough if evidence.age(now) >= -CLOCK_TOLERANCE]
    newest = max(past or enough, key=lambda evidence: evidence.started_at)
    return _judge_evidence(settings, live, newest, now)


def _needed_level(evidence: BackupEvidence) -> Level:
    return MIN_LEVEL if evidence.tool == OURS else FOREIGN_LEVEL.get(evidence.tool, Level.L1)


def _judge_evidence(
    settings: Settings, live: Live, evidence: BackupEvidence, now: datetime
) -> BackupVerdict:
    hours = evidence.age(now).total_seconds() / 3600
    if hours > settings.backup.max_age_hours:
        text = f"the newest checked backup, {evidence.name}, is {hours:,.1f} hours old"
        return BackupVerdict(
            False, f"{text}; {settings.backup.max_age_hours:g} are allowed", MAKE_ONE
        )
    if evidence.age(now) < -CLOCK_TOLERANCE:
        text = f"{evidence.name} began at {format_utc(evidence.started_at)}, which is still to come"
        return BackupVerdict(False, text, "compare the clocks: date -u; then make another backup")
    checked = f"backup {evidence.name}, made by {evidence.tool}, good to L{evidence.level.value}"
    if evidence.tool != OURS:
        text = f"{checked}; no restore of it was tried here"
        hint = "a backup of our own can be: des-admin backup create --deep"
        return BackupVerdict(True, text, hint, is_warning=True, name=evidence.name)
    path = None if evidence.path is None else Path(evidence.path)
    if path is None or not path.is_dir():
        place = evidence.path or evidence.tool
        is_here = evidence.host == socket.gethostname() and path is not None
        if is_here:
            text = f"{checked}, is no longer at {place}"
            return BackupVerdict(False, text, MAKE_ONE)
        text = f"{checked}; it lies elsewhere ({place} on {evidence.host})"
        return BackupVerdict(True, text, name=evidence.name)
    report = _check(settings, live, path, Level.L0, now)
    if not report.is_good or report.manifest_sha256 != evidence.manifest_sha256:
        return _failed(report, checked)
    return BackupVerdict(True, checked, name=evidence.name)


def _judge_directory(settings: Settings, live: Live, path: Path, now: datetime) -> BackupVerdict:
    report = _check(settings, live, path, MIN_LEVEL, now)
    if not report.is_good or report.level != MIN_LEVEL:
        return _failed(report, f"backup {report.name}")
    if any(finding.code == "partial" for finding in report.findings):
        text = f"backup {report.name} does not hold {settings.database.table}"
        return BackupVerdict(False, text, MAKE_ONE)
    text = f"backup {report.name}, checked just now, good to L2"
    return BackupVerdict(True, text, name=report.name)


def _judge_name(
    settings: Settings, live: Live, config: Database, name: str, now: datetime
) -> BackupVerdict:
    for evidence in last_checks(config):
        if evidence.name == name:
            if evidence.is_good and evidence.is_of(live.server.identity):
                return _on_the_word(_judge_evidence(settings, live, evidence, now), evidence)
            return BackupVerdict(
                False, f"the last recorded check of {name} was not good", "des-admin backup check"
            )
    return BackupVerdict(
        True,
        f"backup {name}: nothing checked it, only your word stands for it",
        "a checked one is better: des-admin backup create",
        is_warning=True,
        name=name,
    )


def _on_the_word(verdict: BackupVerdict, evidence: BackupEvidence) -> BackupVerdict:
    """A named backup may lack a proof; then it is the operator's word that it stands on."""
    lacks = []
    if NOT_COMPARED in evidence.warnings:
        lacks.append("nobody compared whose it is")
    if evidence.level < _needed_level(evidence):
        lacks.append(f"it was checked down to L{evidence.level.value} only")
    if not verdict.is_passed or not lacks:
        return verdict
    text = f"{verdict.text}; {' and '.join(lacks)}: only your word stands for it"
    return BackupVerdict(True, text, MAKE_ONE, is_warning=True, name=verdict.name)


def _directory_of(settings: Settings, name: str) -> Path | None:
    if looks_like_path(name):
        path = Path(name)
    elif settings.backup.dir is not None:
        path = Path(settings.backup.dir) / name
    else:
        return None
    return path if path.is_dir() else None


def _check(settings: Settings, live: Live, path: Path, level: Level, now: datetime) -> CheckReport:
    around = Surroundings(now=now, max_age_hours=settings.backup.max_age_hours, live=live)
    return check_backup(path, around, CheckOptions(level))


def _failed(report: CheckReport, what: str) -> BackupVerdict:
    problems = "; ".join(finding.message for finding in report.errors)
    hint = next((finding.next_command for finding in report.errors), MAKE_ONE)
    return BackupVerdict(False, f"{what}: {problems or 'it is not what was checked'}", hint)
