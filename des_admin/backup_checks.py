"""Carrying out `backup check`: which backups, one after the other, each recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from des_admin.backup_session import BackupSession, Place, Which
from des_admin.render.backup_progress import show_progress

if TYPE_CHECKING:
    from des_core.backup.dump import Stored
    from des_core.backup.findings import CheckReport
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


def run_checks(session: BackupSession, request: CheckRequest) -> list[CheckReport]:
    """A report per backup; a database without any backup gets one that says so."""
    from des_core.backup.store import find_backup, list_backups, load_entry

    directory = session.directory if request.names else session.require_directory()
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
