"""Backups on the screen: one check, a list, and the line that Nagios and its like read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import duration, foreign, size, utc
from des_core.backup.findings import CheckReport, Finding, Level, Severity, Status
from des_core.basics.durations import ago

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.backup.record import BackupEvidence
    from des_core.backup.store import Entry

HEAD_WIDTH = 12
NAGIOS_CODES = {
    Status.OK: 0,
    Status.WARNING: 1,
    Status.FAILED: 2,
    Status.UNKNOWN: 3,
    Status.SKIPPED: 3,
}
_NAGIOS_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
# Critical first: an unknown beside it must not hide it.
_NAGIOS_RANK = (0, 1, 3, 2)


def levels_line(report: CheckReport) -> str:
    """`L0 ok · L1 ok · L2 failed · L3 skipped`"""
    return " · ".join(f"L{level.value} {report.statuses[level]}" for level in Level)


def verdict(report: CheckReport) -> str:
    """In words, how far the backup can be trusted."""
    if report.status is Status.FAILED:
        return "FAILED"
    if report.level is None:
        return "not checked"
    suffix = " (an answer is missing: see below)" if report.status is Status.UNKNOWN else ""
    return f"good to L{report.level.value}{suffix}"


def draw_report(out: Console, report: CheckReport) -> None:
    """One backup: the verdict, what was run, and each finding with the next command."""
    facts: list[tuple[str, object]] = [("backup", report.name), ("verdict", verdict(report))]
    if report.path is not None:
        facts.append(("where", report.path))
    facts += list(report.details.items())
    if report.snapshot_at is not None:
        age = ago(report.checked_at - report.snapshot_at, duration)
        facts.append(("data as of", f"{utc(report.snapshot_at)}, {age}"))
    if report.size_bytes is not None:
        facts.append(("size", size(report.size_bytes)))
    print_facts(out, [*facts, ("levels", levels_line(report))])
    if report.findings:
        out.print()
    for finding in report.findings:
        _draw_finding(out, finding)


def _draw_finding(out: Console, finding: Finding) -> None:
    """What, and below it what to type, unbroken so that it can be copied."""
    from rich.text import Text

    is_warning = finding.severity is Severity.WARNING
    head = f"L{finding.level.value} {_word(finding.severity)}"
    style = "yellow" if is_warning else "bold red"
    line = Text.assemble((f"{head:<{HEAD_WIDTH}}", style), foreign(finding.message))
    out.print(line, soft_wrap=not out.is_terminal)
    arrow = f"{'':<{HEAD_WIDTH}}→ {foreign(finding.next_command)}"
    out.print(Text(arrow, "cyan"), soft_wrap=True)


def report_json(report: CheckReport) -> dict[str, object]:
    """What docs/json.md promises of one check."""
    return {
        "name": report.name,
        "path": report.path,
        "status": report.status,
        "good_to_level": None if report.level is None else report.level.value,
        "is_good": report.is_good,
        "levels": {f"L{level.value}": status for level, status in report.statuses.items()},
        "data_as_of": report.snapshot_at,
        "finished_at": report.finished_at,
        "checked_at": report.checked_at,
        "manifest_sha256": report.manifest_sha256,
        "size_bytes": report.size_bytes,
        "details": report.details,
        "findings": [
            {
                "level": f"L{finding.level.value}",
                "severity": finding.severity,
                "code": finding.code,
                "message": finding.message,
                "next_command": finding.next_command,
            }
            for finding in report.findings
        ],
    }


def nagios_text(reports: Sequence[CheckReport], max_age_hours: float) -> tuple[str, int]:
    """The plugin's output and its exit code: one line, details below, numbers behind a bar."""
    codes = [NAGIOS_CODES[report.status] for report in reports]
    code = max(codes, key=_NAGIOS_RANK.index, default=3)
    heads = [f"{report.name} {verdict(report)}" for report in reports]
    details = [
        f"{report.name}: L{finding.level.value} {_word(finding.severity)}: {finding.message}"
        for report in reports
        for finding in report.findings
    ]
    numbers = " ".join(_performance(reports, max_age_hours))
    first = f"BACKUP {_NAGIOS_WORDS[code]} - {'; '.join(heads) or 'nothing to check'}"
    lines = [_one_line(first) + (f" | {numbers}" if numbers else ""), *map(_one_line, details)]
    return "\n".join(lines), code


def nagios_error(message: str) -> str:
    """The same for a check that could not be run at all."""
    return _one_line(f"BACKUP UNKNOWN - {message}")


def draw_list(
    out: Console, entries: Iterable[Entry], checks: Mapping[str, BackupEvidence], now: datetime
) -> None:
    """A line per backup, newest first."""
    columns = [
        *(Column("backup", wraps=False, style="bold"), Column("of"), Column("age", numeric=True)),
        *(Column("size", numeric=True), Column("revision"), Column("last check")),
    ]
    print_table(out, columns, [_list_row(entry, checks, now) for entry in entries])


def list_json(entries: Iterable[Entry], checks: Mapping[str, BackupEvidence]) -> dict[str, object]:
    """What docs/json.md promises of the list."""
    return {"backups": [_entry_json(entry, checks) for entry in entries]}


def _list_row(
    entry: Entry, checks: Mapping[str, BackupEvidence], now: datetime
) -> tuple[object, ...]:
    if entry.stored is None:
        return entry.name, f"unusable: {entry.problem}", None, None, None, None
    manifest = entry.stored.manifest
    return (
        entry.name,
        f"{manifest.server.product} ({' and '.join(manifest.roles)})",
        duration(now - manifest.started_at),
        size(manifest.size_bytes),
        ", ".join(manifest.revision) or "none",
        _last_check(checks.get(entry.stored.manifest_sha256), now),
    )


def _last_check(evidence: BackupEvidence | None, now: datetime) -> str:
    if evidence is None:
        return "none recorded"
    said = f"good to L{evidence.level.value}" if evidence.is_good else "FAILED"
    return f"{said}, {ago(now - evidence.checked_at, duration)}"


def _entry_json(entry: Entry, checks: Mapping[str, BackupEvidence]) -> dict[str, object]:
    if entry.stored is None:
        return {"name": entry.name, "path": entry.path, "problem": entry.problem}
    manifest = entry.stored.manifest
    return {
        "name": entry.name,
        "path": entry.path,
        "problem": None,
        "manifest_sha256": entry.stored.manifest_sha256,
        "roles": manifest.roles,
        "server": manifest.server,
        "revision": manifest.revision,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "size_bytes": manifest.size_bytes,
        "tables": manifest.tables,
        "watermark": manifest.watermark,
        "last_check": checks.get(entry.stored.manifest_sha256),
    }


def _performance(reports: Sequence[CheckReport], max_age_hours: float) -> Iterable[str]:
    for number, report in enumerate(reports):
        suffix = str(number) if len(reports) > 1 else ""
        if report.snapshot_at is not None:
            age_s = round((report.checked_at - report.snapshot_at).total_seconds())
            yield f"age{suffix}={age_s}s;;{round(max_age_hours * 3600)};0"
        if report.size_bytes is not None:
            yield f"size{suffix}={report.size_bytes}B;;;0"


def _one_line(text: str) -> str:
    """A bar would begin the numbers; a line feed the next detail."""
    return foreign(" ".join(text.replace("|", "/").split()))


def _word(severity: Severity) -> str:
    return "warning" if severity is Severity.WARNING else severity.value.upper()
