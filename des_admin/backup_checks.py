"""Carrying out `backup check`: which backups, one after the other, each recorded."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from des_admin.backup_session import BackupSession, Place, Which
from des_admin.render.backup_progress import show_progress
from des_core.basics.errors import UsageError

DAY_S = 24 * 3600.0

if TYPE_CHECKING:
    from des_core.backup.dump import Stored
    from des_core.backup.findings import CheckReport
    from des_core.backup.foreign.answer import Tool
    from des_core.backup.store import Entry


@dataclass(frozen=True)
class CheckRequest:
    """What the operator asked for. Without names, the newest backup of each database."""

    names: tuple[str, ...] = ()
    which: Which = Which.ALL
    level: int = 2
    jobs: int = 1
    max_age_hours: float | None = None
    offline: bool = False
    tool: str | None = None
    tool_options: tuple[str, ...] = ()
    answers: tuple[Path, ...] = ()
    timeout_s: float = DAY_S


def run_checks(session: BackupSession, request: CheckRequest) -> list[CheckReport]:
    """A report per backup; a database without any backup gets one that names it."""
    from des_core.backup.store import find_backup, list_backups, load_entry

    if request.tool is not None:
        return [check_with_tool(session, request)]
    directory = session.directory if request.names else session.require_directory()
    session.take_up()
    entries = list_backups(directory) if directory else []
    if request.names:
        found = [load_entry(find_backup(directory, name)) for name in request.names]
        return [check_entry(session, entry, entries, request) for entry in found]
    reports = []
    for place in session.places(request.which):
        entry = session.newest(place, entries)
        reports.append(
            check_entry(session, entry, entries, request)
            if entry is not None
            else _nothing(session, place, entries)
        )
    return reports


def check_entry(
    session: BackupSession, entry: Entry, entries: list[Entry], request: CheckRequest
) -> CheckReport:
    """Check one backup and record the result, unless it was checked offline."""
    from des_core.backup.check import check_backup
    from des_core.backup.findings import Level

    around = session.surroundings(
        entry, entries, max_age_hours=request.max_age_hours, offline=request.offline
    )
    options = session.check_options(Level(request.level), request.jobs, around)
    with show_progress(session.context) as listener:
        report = check_backup(entry.path, around, options, listener=listener)
    if not request.offline:
        record_report(session, report, entry.stored)
    return report


def check_with_tool(session: BackupSession, request: CheckRequest) -> CheckReport:
    """Ask the tool that made the backup, or read its answers from files; record the result."""
    from des_core.backup.findings import Level
    from des_core.backup.foreign.answer import Tool
    from des_core.backup.foreign.ask import Question, check_foreign
    from des_core.backup.record import record_foreign_check

    tool, context = Tool(str(request.tool)), session.context
    name = _one_name(tool, request)
    settings = context.settings
    around = session.foreign_surroundings(
        max_age_hours=request.max_age_hours, offline=request.offline
    )
    question = Question(
        tool=tool,
        name=name,
        level=Level(request.level),
        options=request.tool_options,
        answers=tuple(map(_read_answer, request.answers)),
        database=session.source_name,
        tables=session.required_tables(around.live),
        count_until=None if around.live is None else session.count_until(around.live),
        timeout_s=request.timeout_s,
    )
    report = check_foreign(question, around)
    if around.live is None:
        context.say("not recorded: without the live database nobody knows whose backup it is")
        return report
    server = around.live.server.identity
    tables = (str(settings.database.table),) if tool is Tool.MYDUMPER else None
    session.record(
        lambda config: record_foreign_check(
            *(config, report, tool.value, server),
            tables=tables,
            actor=context.actor,
            now=context.now,
        )
    )
    return report


def _one_name(tool: Tool, request: CheckRequest) -> str:
    from des_core.backup.foreign.answer import Tool

    words = {
        Tool.PGBACKREST: "the stanza",
        Tool.BARMAN: "the server's name in Barman",
        Tool.MYDUMPER: "the directory of the dump",
    }
    if len(request.names) == 1:
        return request.names[0]
    if not request.names and tool is Tool.WAL_G:
        return "wal-g"
    raise UsageError(
        f"--tool {tool} wants one name: {words.get(tool, 'any, or none')}",
        hint=f"des-admin backup check --tool {tool} NAME",
    )


def _read_answer(path: Path) -> str:
    """A file, or `-` for standard input."""
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text(encoding="utf-8", errors="replace")


def record_report(session: BackupSession, report: CheckReport, stored: Stored | None) -> None:
    from des_core.backup.record import record_check

    context = session.context
    session.record(
        lambda config: record_check(config, report, stored, actor=context.actor, now=context.now)
    )


def check_new(session: BackupSession, stored: Stored, *, level: int, jobs: int) -> CheckReport:
    """Record that a backup was made, check it at once, and record that too."""
    from des_core.backup.record import record_created
    from des_core.backup.store import list_backups, load_entry

    context = session.context
    session.record(
        lambda config: record_created(config, stored, actor=context.actor, now=context.now)
    )
    entries = list_backups(stored.path.parent)
    request = CheckRequest(level=level, jobs=jobs)
    return check_entry(session, load_entry(Path(stored.path)), entries, request)


def _nothing(session: BackupSession, place: Place, entries: list[Entry]) -> CheckReport:
    from des_core.backup.findings import CheckReport, Finding, Level, Severity, Status

    unfinished = [entry.name for entry in entries if entry.stored is None]
    rest = f"; unusable: {', '.join(unfinished)}" if unfinished else ""
    finding = Finding(
        Level.L0,
        Severity.ERROR,
        "no_backup",
        f"there is no backup of the {place.label} database in {session.directory}{rest}",
        "make one: des-admin backup create",
    )
    statuses = dict.fromkeys(Level, Status.SKIPPED) | {Level.L0: Status.FAILED}
    name = f"no backup of {place.label}"
    return CheckReport(name, None, statuses, (finding,), session.context.now)
