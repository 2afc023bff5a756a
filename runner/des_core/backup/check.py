"""Checking a backup at the levels asked for; what one finds stops those that build on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from des_core.backup.dump import Stored
from des_core.backup.dumpers import dumper_for
from des_core.backup.findings import CheckReport, Finding, Level, Severity, Status, judge
from des_core.backup.hashing import compare_files
from des_core.backup.identity import Target
from des_core.backup.numbers import Numbers, find_counted_tables, read_numbers, settings_of
from des_core.backup.presence import AGAIN, Surroundings, check_presence
from des_core.backup.private import private_directory
from des_core.backup.progress import Listener, Progress, ignore
from des_core.backup.store import load_entry
from des_core.basics.errors import (
    DatabaseUnreachable,
    DesError,
    Refused,
    StorageError,
    UsageError,
    WrongSchema,
)


@dataclass(frozen=True)
class CheckOptions:
    """How deep, with how many jobs, and on which server L3 may make its scratch database."""

    level: Level = Level.L2
    jobs: int = 1
    scratch_target: Target | None = None


def check_backup(
    path: Path, around: Surroundings, options: CheckOptions, *, listener: Listener = ignore
) -> CheckReport:
    """The verdict on the backup in the directory `path`.

    Nothing in the backup is changed. L3 is not run on bytes that failed L1 or L2: what was
    changed by somebody is not to be executed.
    """
    entry = load_entry(path)
    notes: list[str] = []
    if entry.stored is None:
        finding = Finding(
            *(Level.L0, Severity.ERROR, "no_manifest", str(entry.problem)),
            f"remove it: rm -r {path}; then: des-admin backup create",
        )
        return _report(path, None, {Level.L0: [finding]}, around)
    found = _run(entry.stored, around, options, listener, notes)
    return _report(path, entry.stored, found, around, tuple(notes))


def _run(
    stored: Stored,
    around: Surroundings,
    options: CheckOptions,
    listener: Listener,
    notes: list[str],
) -> dict[Level, list[Finding]]:
    found = {Level.L0: list(check_presence(stored, around))}
    if options.level >= Level.L1:
        found[Level.L1] = list(_check_bytes(stored, options, listener))
    if options.level >= Level.L2 and not _is_unreadable(found):
        listener(Progress("examine", 0, None))
        found[Level.L2] = list(_check_content(stored))
    if options.level >= Level.L3 and not _is_damaged(found):
        listener(Progress("restore", 0, None))
        found[Level.L3] = list(_check_restored(stored, options, notes))
    return found


def _is_unreadable(found: dict[Level, list[Finding]]) -> bool:
    return any(finding.code in ("missing", "empty") for finding in found[Level.L0])


def _is_damaged(found: dict[Level, list[Finding]]) -> bool:
    deep = [*found.get(Level.L1, []), *found.get(Level.L2, [])]
    has_errors = any(finding.severity is not Severity.WARNING for finding in deep)
    return has_errors or _is_unreadable(found) or Level.L2 not in found


def _check_bytes(stored: Stored, options: CheckOptions, listener: Listener) -> Iterator[Finding]:
    files = stored.manifest.files
    for entry, problem in compare_files(stored.path, files, options.jobs, listener):
        message = f"{entry.path} {problem}"
        yield Finding(Level.L1, Severity.ERROR, "changed", message, AGAIN)


def _check_content(stored: Stored) -> Iterator[Finding]:
    with private_directory() as scratch:
        try:
            yield from dumper_for(stored.manifest.server.dialect).examine(stored, scratch)
        except (Refused, UsageError) as exc:
            yield _untold(Level.L2, exc)


def _check_restored(stored: Stored, options: CheckOptions, notes: list[str]) -> Iterator[Finding]:
    """`notes` get what the restore came without."""
    dumper = dumper_for(stored.manifest.server.dialect)
    with private_directory() as scratch:
        try:
            with dumper.restore(stored, options.scratch_target, scratch, options.jobs) as restored:
                notes += restored.notes
                yield from restored.findings
                yield from _compare_numbers(stored, _count_restored(stored, restored.target))
        except WrongSchema as exc:
            yield Finding(Level.L3, Severity.ERROR, "missing_table", str(exc), AGAIN)
        except (DatabaseUnreachable, Refused, StorageError, UsageError) as exc:
            yield _untold(Level.L3, exc)
        except DesError as exc:
            yield Finding(Level.L3, Severity.ERROR, "not_restored", str(exc), exc.hint or AGAIN)


def _count_restored(stored: Stored, restored: Target) -> Numbers:
    """Count what the manifest counted; WrongSchema where a table is not there."""
    manifest = stored.manifest
    names = manifest.table_names
    has_files = manifest.files_table.name in names
    counted = find_counted_tables(
        restored.database, settings_of(manifest.source), with_files=has_files
    )
    missing = sorted(names.keys() - {manifest.files_table.name, *counted.ours})
    if missing:
        raise WrongSchema(f"after the restore these tables are missing: {', '.join(missing)}")
    counted = counted.only(frozenset(numbers.table for numbers in manifest.tables))
    with restored.database.read() as tx:
        return read_numbers(tx, counted, restored.database)


def _compare_numbers(stored: Stored, restored: Numbers) -> Iterator[Finding]:
    manifest = stored.manifest
    after = {numbers.table: numbers for numbers in restored.tables}
    for before in manifest.tables:
        now = after.get(before.table)
        for field in fields(before):
            was, is_ = getattr(before, field.name), getattr(now, field.name, None)
            if was != is_:
                message = f"{before.table}: {field.name} was {was}, after the restore it is {is_}"
                yield Finding(Level.L3, Severity.ERROR, "differs", message, AGAIN)
    if manifest.watermark != restored.watermark:
        message = f"the watermark was {manifest.watermark}, is {restored.watermark}"
        yield Finding(Level.L3, Severity.ERROR, "differs", message, AGAIN)
    if manifest.revision != restored.revision:
        message = f"the revision was {manifest.revision}, is {restored.revision}"
        yield Finding(Level.L3, Severity.ERROR, "differs", message, AGAIN)


def _untold(level: Level, exc: DesError) -> Finding:
    """A level that could not be run for reasons that are not the backup's."""
    command = exc.hint or "fix that, then run the same command again"
    return Finding(level, Severity.UNKNOWN, "not_checked", str(exc), command)


def _report(
    path: Path,
    stored: Stored | None,
    found: dict[Level, list[Finding]],
    around: Surroundings,
    notes: tuple[str, ...] = (),
) -> CheckReport:
    statuses = {level: judge(found[level]) if level in found else Status.SKIPPED for level in Level}
    findings = tuple(finding for level in Level for finding in found.get(level, []))
    if stored is None:
        return CheckReport(path.name, str(path), statuses, findings, around.now)
    manifest = stored.manifest
    details = {"database": manifest.server.label, "product": manifest.server.product}
    if manifest.left_out:
        details["not in it"] = "; ".join(manifest.left_out)
    if notes:
        details["restored without"] = "; ".join(notes)
    return CheckReport(
        name=path.name,
        path=str(path),
        statuses=statuses,
        findings=findings,
        checked_at=around.now,
        snapshot_at=manifest.started_at,
        finished_at=manifest.finished_at,
        manifest_sha256=stored.manifest_sha256,
        size_bytes=manifest.size_bytes,
        details=details,
    )
