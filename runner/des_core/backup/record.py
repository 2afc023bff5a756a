"""What is remembered of backups: events in the audit trail, and the newest good one among them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from des_core.backup.dump import Stored
from des_core.backup.findings import CheckReport, Level
from des_core.backup.manifest import ServerIdentity
from des_core.basics.timestamps import format_utc, parse_stored
from des_core.database.connections import Database
from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.slices import parse_details

CREATE = "backup_create"
CHECK = "backup_check"
PRUNE = "backup_prune"
DROP = "migrate.drop_archived"
EVENT_TABLE = "des_archive_event"
OURS = "des-admin"
GOOD, FAILED = "good", "failed"
MAX_CHECKS = 1000


@dataclass(frozen=True, slots=True)
class BackupEvidence:
    """A recorded check. `started_at` is the moment whose data the backup holds.

    `tool` is des-admin for backups of our own, else the name of the tool that made it.
    """

    name: str
    path: str | None
    host: str
    tool: str
    manifest_sha256: str | None
    started_at: datetime
    finished_at: datetime
    checked_at: datetime
    level: Level
    is_good: bool
    dialect: str
    server_id: str
    database: str
    tables: tuple[str, ...] | None
    warnings: tuple[str, ...]
    errors: tuple[str, ...] = ()

    def age(self, now: datetime) -> timedelta:
        """How old its data is."""
        return now - self.started_at

    def is_of(self, server: ServerIdentity) -> bool:
        """Whether it is a backup of this server's database."""
        mine = (self.dialect, self.server_id, self.database)
        return mine == (server.dialect, server.server_id, server.database)

    def holds(self, table: str) -> bool:
        """Whether the table is in it; a backup of a whole server names none."""
        return self.tables is None or table in self.tables


def record_created(config: Database, stored: Stored, *, actor: str, now: datetime) -> bool:
    """Record that a backup was made. False where there is no audit trail yet."""
    details = {**_of_stored(stored), "files": len(stored.manifest.files)}
    return _record(config, CREATE, actor, now, stored.manifest.name, details)


def record_check(
    config: Database, report: CheckReport, stored: Stored | None, *, actor: str, now: datetime
) -> bool:
    """Record a check of one of our own backups. False where there is no audit trail yet."""
    details = {} if stored is None else _of_stored(stored)
    return _record(config, CHECK, actor, now, report.name, {**details, **_of_report(report)})


def record_foreign_check(
    config: Database,
    report: CheckReport,
    tool: str,
    server: ServerIdentity,
    *,
    tables: tuple[str, ...] | None,
    actor: str,
    now: datetime,
) -> bool:
    """Record a check of a backup that another tool made of this server.

    `tables` are those that were looked for; None for a backup of the whole server.
    """
    details = {"tool": tool, **_of_report(report), **_of_server(server), "tables": tables}
    return _record(config, CHECK, actor, now, report.name, details)


def latest_good_backup(
    config: Database,
    server: ServerIdentity | None = None,
    *,
    min_level: Level = Level.L0,
    needs_table: str | None = None,
) -> BackupEvidence | None:
    """The good backup with the newest data, by the last recorded check of each.

    `server` leaves only backups of that database; `needs_table` those that hold the table.
    """
    good = [
        evidence
        for evidence in last_checks(config)
        if evidence.is_good
        and evidence.level >= min_level
        and (server is None or evidence.is_of(server))
        and (needs_table is None or evidence.holds(needs_table))
    ]
    return max(good, key=lambda evidence: evidence.started_at, default=None)


def last_checks(config: Database) -> list[BackupEvidence]:
    """The last recorded check of each backup, newest check first; [] without an audit trail."""
    seen: dict[tuple[str, str | None], BackupEvidence] = {}
    for evidence in _read_checks(config):
        seen.setdefault((evidence.name, evidence.manifest_sha256), evidence)
    return list(seen.values())


def made_hash(config: Database, name: str) -> str | None:
    """The manifest's hash as it was recorded when the backup was made; None where it was not."""
    for _at, details in _read_events(config, CREATE):
        if details.get("name") == name:
            return str(details.get("manifest_sha256"))
    return None


def relied_on(config: Database) -> list[str]:
    """The names of the backups that drops of the column relied on; newest first."""
    return [str(details.get("backup")) for _at, details in _read_events(config, DROP)]


def record_pruned(
    config: Database, removed: Sequence[str], kept: Sequence[str], *, actor: str, now: datetime
) -> bool:
    """Record which backups were removed. False where there is no audit trail yet."""
    details = {"removed": list(removed), "kept": list(kept)}
    return _record(config, PRUNE, actor, now, f"{len(removed)} backups", details)


def _read_checks(config: Database) -> Iterator[BackupEvidence]:
    for at, details in _read_events(config, CHECK):
        with suppress(ValueError, KeyError, TypeError):  # altered: it proves nothing
            evidence = _evidence(details, at)
            if evidence is not None:
                yield evidence


def _read_events(config: Database, action: str) -> list[tuple[datetime, dict[str, Any]]]:
    """Newest first; [] without an audit trail."""
    with config.read() as tx:
        if not sa.inspect(tx.connection).has_table(EVENT_TABLE):
            return []
        values = {"action": action, "page_size": MAX_CHECKS}
        rows = tx.run("backup_events", values).all()
    return [(from_stored(row.at), parse_details(row.details or "{}")) for row in rows]


def _evidence(details: Mapping[str, Any], at: datetime) -> BackupEvidence | None:
    """None for a check that found no manifest: nothing can be said of such a backup."""
    if "started_at" not in details or "server_id" not in details or details["level"] is None:
        return None
    tables = details.get("tables")
    return BackupEvidence(
        name=str(details["name"]),
        path=details.get("path"),
        host=str(details["host"]),
        tool=str(details["tool"]),
        manifest_sha256=details.get("manifest_sha256"),
        started_at=parse_stored(details["started_at"]),
        finished_at=parse_stored(details["finished_at"]),
        checked_at=at,
        level=Level(details["level"]),
        is_good=details["result"] == GOOD,
        dialect=str(details["dialect"]),
        server_id=str(details["server_id"]),
        database=str(details["database"]),
        tables=None if tables is None else tuple(map(str, tables)),
        warnings=tuple(details.get("warnings", ())),
        errors=tuple(details.get("errors", ())),
    )


def _record(
    config: Database,
    action: str,
    actor: str,
    now: datetime,
    name: str,
    details: Mapping[str, Any],
) -> bool:
    with config.read() as tx:
        if not sa.inspect(tx.connection).has_table(EVENT_TABLE):
            return False

    def work(tx: Transaction) -> None:
        record_event(
            tx,
            action=action,
            actor=actor,
            now=now,
            to_value=name,
            details={"name": name, "host": socket.gethostname(), **details},
        )

    config.transact(work)
    return True


def _of_stored(stored: Stored) -> dict[str, Any]:
    manifest = stored.manifest
    return {
        "tool": OURS,
        "path": str(stored.path.resolve()),
        "manifest_sha256": stored.manifest_sha256,
        "started_at": format_utc(manifest.started_at),
        "finished_at": format_utc(manifest.finished_at),
        "roles": list(manifest.roles),
        "revision": list(manifest.revision),
        "size_bytes": manifest.size_bytes,
        "tables": [numbers.table for numbers in manifest.tables],
        **_of_server(manifest.server),
    }


def _of_server(server: ServerIdentity) -> dict[str, Any]:
    return {
        "dialect": server.dialect,
        "server_id": server.server_id,
        "database": server.database,
    }


def _of_report(report: CheckReport) -> dict[str, Any]:
    times = {"started_at": report.snapshot_at, "finished_at": report.finished_at}
    return {
        "level": None if report.level is None else int(report.level),
        "result": GOOD if report.is_good else FAILED,
        "statuses": {f"L{level.value}": status.value for level, status in report.statuses.items()},
        "warnings": sorted({f.code for f in report.findings if f not in report.errors}),
        "errors": sorted({f.code for f in report.errors}),
        **{key: format_utc(value) for key, value in times.items() if value is not None},
    }
