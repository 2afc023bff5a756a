"""L0: what can be told in a moment, from the manifest, the directory and the live database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from des_core.backup.dump import Stored
from des_core.backup.findings import Finding, Level, Severity
from des_core.backup.live import Live
from des_core.backup.manifest import FILE_NAME
from des_core.basics.timestamps import format_utc
from des_core.ledger.revisions import BY_NAME

AGAIN = "make another backup: des-admin backup create"
CLOCK_TOLERANCE = timedelta(minutes=5)
HALF = 0.5
READABLE_BY_OTHERS = 0o004
ENTERABLE_BY_OTHERS = 0o001


@dataclass(frozen=True)
class Surroundings:
    """What a backup is held against. Without a live database that part stays untold.

    `made_hash` is the manifest's hash in the audit trail, if it was recorded there.
    """

    now: datetime
    max_age_hours: float
    previous: Stored | None = None
    live: Live | None = None
    unreachable: str | None = None
    made_hash: str | None = None


def check_presence(stored: Stored, around: Surroundings) -> Iterator[Finding]:
    """Everything that L0 finds."""
    yield from _seal(stored, around)
    yield from _files(stored)
    yield from _dumper(stored)
    yield from _age(stored, around)
    yield from _size(stored, around)
    yield from _readers(stored)
    yield from _tables(stored)
    if around.live is not None:
        yield from _server(stored, around.live)
        yield from _revision(stored, around.live)
        yield from _disk(stored, around.live)
    elif around.unreachable is not None:
        yield _finding(
            *(Severity.WARNING, "not_compared"),
            f"server and revision were not compared: {around.unreachable}",
            "check it from where the database can be reached: des-admin backup check",
        )


def _seal(stored: Stored, around: Surroundings) -> Iterator[Finding]:
    if around.made_hash is not None and around.made_hash != stored.manifest_sha256:
        message = "its manifest is not the one that was recorded when it was made"
        yield _finding(
            *(Severity.ERROR, "resealed", message), "see who made it: des-admin watermark history"
        )


def _files(stored: Stored) -> Iterator[Finding]:
    listed, root = {entry.path for entry in stored.manifest.files}, stored.path.resolve()
    if not listed:
        yield _error("empty", "the manifest lists no file")
    for entry in stored.manifest.files:
        path = stored.path / entry.path
        try:
            size_bytes = path.stat().st_size if path.is_file() else None
        except OSError:
            size_bytes = None
        if size_bytes is not None and not path.resolve().is_relative_to(root):
            message = (
                f"{entry.path} is a link that leads out of the backup: no copy of it holds that"
            )
            yield _error("link", message)
        if size_bytes is None:
            yield _error("missing", f"the file {entry.path} is missing")
        elif size_bytes == 0:
            yield _error("empty", f"the file {entry.path} is empty")
        elif size_bytes != entry.size_bytes:
            message = f"{entry.path} has {size_bytes:,} bytes instead of {entry.size_bytes:,}"
            yield _error("wrong_size", message)
    for path in sorted(stored.path.rglob("*")):
        name = path.relative_to(stored.path).as_posix()
        if path.is_file() and name not in listed and name != FILE_NAME:
            message = f"{name} does not belong to the backup"
            yield _finding(Severity.WARNING, "unknown_file", message, f"look at it: ls -l {path}")


def _dumper(stored: Stored) -> Iterator[Finding]:
    tool = stored.manifest.tool
    if tool.exit_code != 0:
        said = f": {tool.stderr}" if tool.stderr else ""
        yield _error("dumper_failed", f"{tool.program} ended with code {tool.exit_code}{said}")


def _age(stored: Stored, around: Surroundings) -> Iterator[Finding]:
    # The data is as of the beginning, however long the dump took.
    started_at = stored.manifest.started_at
    age = around.now - started_at
    hours = age.total_seconds() / 3600
    if hours > around.max_age_hours:
        message = f"it is {hours:,.1f} hours old; {around.max_age_hours:g} are allowed"
        yield _error("too_old", message)
    if age < -CLOCK_TOLERANCE:
        yield _finding(
            *(Severity.ERROR, "from_the_future"),
            f"it began at {format_utc(started_at)}, which is still to come",
            "compare the clocks of both machines: date -u",
        )


def _size(stored: Stored, around: Surroundings) -> Iterator[Finding]:
    if around.previous is None:
        return
    before, size_bytes = around.previous.manifest.size_bytes, stored.manifest.size_bytes
    if size_bytes < before * HALF:
        name = around.previous.manifest.name
        yield _finding(
            *(Severity.WARNING, "much_smaller"),
            f"it has {size_bytes:,} bytes, less than half of {name} before it ({before:,})",
            f"restore it and count: des-admin backup check --deep {stored.path.name}",
        )


def _readers(stored: Stored) -> Iterator[Finding]:
    if not stored.path.stat().st_mode & ENTERABLE_BY_OTHERS:
        return
    paths = [stored.path / entry.path for entry in stored.manifest.files]
    if any(path.exists() and path.stat().st_mode & READABLE_BY_OTHERS for path in paths):
        yield _finding(
            *(Severity.ERROR, "world_readable"),
            "every user of this machine can read it",
            f"chmod -R o-rwx {stored.path}",
        )


def _tables(stored: Stored) -> Iterator[Finding]:
    manifest = stored.manifest
    if "source" in manifest.roles and manifest.files_table.name not in manifest.table_names:
        yield _finding(
            *(Severity.WARNING, "partial"),
            f"it holds chosen tables only, and {manifest.files_table} is not among them",
            AGAIN,
        )


def _server(stored: Stored, live: Live) -> Iterator[Finding]:
    here, there = live.server.identity, stored.manifest.server
    if (here.dialect, here.database) != (there.dialect, there.database):
        yield _error(
            "wrong_database",
            f"it is of the database {there.database} ({there.product}), not of {here.database}",
        )
    elif here.server_id != there.server_id:
        message = f"it is of another server: {there.label} at the time, {here.label} now"
        yield _error("wrong_server", message)


def _revision(stored: Stored, live: Live) -> Iterator[Finding]:
    there, here = frozenset(stored.manifest.revision), frozenset(live.revision)
    if there == here:
        return
    if _applied(there) < _applied(here) and there <= BY_NAME.keys():
        yield _finding(
            *(Severity.WARNING, "older_revision"),
            f"it is from before a migration: {_named(there)}, the database is at {_named(here)}",
            AGAIN,
        )
        return
    message = f"it is at revision {_named(there)}, the database at {_named(here)}"
    yield _error("wrong_revision", message)


def _applied(heads: frozenset[str]) -> frozenset[str]:
    """The revisions and all before them; unknown ones stand for themselves."""
    found = set(heads)
    for head in heads:
        revision = BY_NAME.get(head)
        while revision is not None and revision.down is not None:
            found.add(revision.down)
            revision = BY_NAME.get(revision.down)
    return frozenset(found)


def _named(revisions: frozenset[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"


def _disk(stored: Stored, live: Live) -> Iterator[Finding]:
    device = stored.path.stat().st_dev
    for place in live.near:
        if _device(place) == device:
            yield _finding(
                *(Severity.WARNING, "same_disk"),
                f"it lies on the same disk as {place}: one broken disk would take both",
                f"copy it to another machine: rsync -a {stored.path} HOST:",
            )
            return


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None  # the server's own directory, on another machine or closed to us


def _error(code: str, message: str) -> Finding:
    return _finding(Severity.ERROR, code, message, AGAIN)


def _finding(severity: Severity, code: str, message: str, next_command: str) -> Finding:
    return Finding(Level.L0, severity, code, message, next_command)
