"""What every foreign tool's answer comes down to, and the checks that are the same for all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from des_core.backup.findings import CheckReport, Finding, Level, Severity, Status, judge
from des_core.backup.presence import CLOCK_TOLERANCE, Surroundings
from des_core.basics.errors import UsageError
from des_core.basics.timestamps import format_utc


class Tool(StrEnum):
    """The tools whose answers are understood."""

    PGBACKREST = "pgbackrest"
    BARMAN = "barman"
    WAL_G = "wal-g"
    MYDUMPER = "mydumper"


@dataclass(frozen=True, slots=True)
class ForeignBackup:
    """One finished or failed backup. `problem` is what the tool says is wrong with it."""

    label: str
    started_at: datetime
    finished_at: datetime | None
    size_bytes: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignAnswer:
    """All answers of one tool about one server, in our words.

    `checked` are the levels that the answers speak about; L0 always is. `system_ids` are those of
    the servers whose backups these are, where the tool tells.
    """

    backups: tuple[ForeignBackup, ...]
    findings: tuple[Finding, ...] = ()
    system_ids: tuple[str, ...] = ()
    checked: frozenset[Level] = frozenset()
    details: tuple[tuple[str, str], ...] = ()


def judge_answer(tool: Tool, name: str, answer: ForeignAnswer, around: Surroundings) -> CheckReport:
    """The report on the newest backup that the tool knows."""
    newest = max(answer.backups, key=lambda backup: backup.started_at, default=None)
    findings = [*answer.findings, *_whole(tool, newest), *_age(newest, around)]
    findings += _server(answer, around)
    statuses = {
        level: judge(f for f in findings if f.level is level)
        if level is Level.L0 or level in answer.checked
        else Status.SKIPPED
        for level in Level
    }
    return CheckReport(
        name=f"{name} {newest.label}" if newest else f"no backup of {name}",
        path=None,
        statuses=statuses,
        findings=tuple(sorted(findings, key=lambda finding: finding.level)),
        checked_at=around.now,
        snapshot_at=newest.started_at if newest else None,
        finished_at=newest.finished_at if newest else None,
        size_bytes=newest.size_bytes if newest else None,
        details={"made by": str(tool), **dict(answer.details)},
    )


def parse_json(tool: Tool, text: str) -> Any:
    """The document; UsageError where the answer is something else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        shown = " ".join(text[:1000].split())[:200]
        raise UsageError(
            f"the answer of {tool} is not JSON", hint=f"ask it by hand: {tool} --help", answer=shown
        ) from exc


def error(level: Level, code: str, message: str, next_command: str) -> Finding:
    return Finding(level, Severity.ERROR, code, message, next_command)


def unknown(level: Level, code: str, message: str, next_command: str) -> Finding:
    """What could not be proved: no error, and no level is reached with it."""
    return Finding(level, Severity.UNKNOWN, code, message, next_command)


def moment(seconds: float) -> datetime:
    """Seconds since the epoch, as most tools count."""
    return datetime.fromtimestamp(float(seconds), UTC)


def require(tree: Any, tool: Tool, *path: str | int) -> Any:
    """A value inside an answer; UsageError that names what is missing."""
    value = tree
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError) as exc:
            where = ".".join(map(str, path))
            raise UsageError(
                f"the answer of {tool} lacks {where}",
                hint="this version of it may answer differently; tell us which it is",
            ) from exc
    return value


def again(tool: Tool) -> str:
    """How a new backup is made with each tool."""
    return {
        Tool.PGBACKREST: "pgbackrest --stanza=STANZA --type=full backup",
        Tool.BARMAN: "barman backup SERVER",
        Tool.WAL_G: "wal-g backup-push $PGDATA",
        Tool.MYDUMPER: "mydumper --outputdir DIRECTORY",
    }[tool]


def _whole(tool: Tool, newest: ForeignBackup | None) -> Iterator[Finding]:
    if newest is None:
        yield error(Level.L0, "no_backup", f"{tool} knows of no backup", again(tool))
    elif newest.problem is not None:
        yield error(Level.L0, "dumper_failed", f"{newest.label}: {newest.problem}", again(tool))
    elif newest.finished_at is None:
        yield error(Level.L0, "unfinished", f"{newest.label} was never finished", again(tool))


def _age(newest: ForeignBackup | None, around: Surroundings) -> Sequence[Finding]:
    if newest is None:
        return ()
    age = around.now - newest.started_at
    hours = age.total_seconds() / 3600
    if hours > around.max_age_hours:
        message = f"{newest.label} is {hours:,.1f} hours old; {around.max_age_hours:g} are allowed"
        return (error(Level.L0, "too_old", message, "see why the schedule stopped"),)
    if age < -CLOCK_TOLERANCE:
        message = f"{newest.label} began at {format_utc(newest.started_at)}, which is still to come"
        return (error(Level.L0, "from_the_future", message, "compare the clocks: date -u"),)
    return ()


def _server(answer: ForeignAnswer, around: Surroundings) -> Sequence[Finding]:
    if around.live is None:
        why = around.unreachable or "no database was asked"
    elif not answer.system_ids:
        why = "the tool does not say whose backup it is"
    else:
        here = around.live.server.identity
        if here.server_id in answer.system_ids:
            return ()
        there = ", ".join(answer.system_ids)
        message = f"the backup is of the server {there}; {here.label} is {here.server_id}"
        return (error(Level.L0, "wrong_server", message, "name the right stanza or server"),)
    message = f"whose backup this is was not compared: {why}"
    hint = "compare system identifiers: SELECT system_identifier FROM pg_control_system()"
    return (Finding(Level.L0, Severity.WARNING, "not_compared", message, hint),)
