"""What stands between us and the server, and the limits that it puts on a session."""

from __future__ import annotations

from des_core.basics.errors import Refused
from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.database.connections import Database, open_database
from des_core.database.server_settings import (
    POOLER_HINT,
    is_pooled,
    read_limits,
    require_row_log,
)


def check_pooler(patient: Patient) -> Check:
    """Whether sessions are shared, and whether migrations and backups have a way past that."""
    if not is_pooled(patient.source):
        return ok("pooler", "none stands before the database of files")
    direct = open_database(patient.settings.direct_url)
    try:
        is_past = patient.settings.migration.url is not None and not is_pooled(direct)
    finally:
        direct.close()
    if is_past:
        return ok("pooler", "stands before the database of files; migrations, backups go past it")
    return warning(
        "pooler",
        "a pooler (such as PgBouncer) stands before the database of files: runs and reports work, "
        "migrations and backups are refused through it",
        POOLER_HINT,
    )


def check_limits(patient: Patient) -> Check:
    """Limits on statements and sessions, and a binary log that takes no writes of ours."""
    databases = {patient.source.label: patient.source, patient.config.label: patient.config}
    try:
        for database in databases.values():
            require_row_log(database)
    except Refused as exc:
        return failed("limits", exc.message, exc.hint or "")
    found = [_describe(database) for database in databases.values() if read_limits(database)]
    if not found:
        return ok("limits", "no limit on the time of statements or sessions")
    return ok("limits", f"{'; '.join(found)}: set aside in our transactions, or outlived")


def _describe(database: Database) -> str:
    return f"{database.label}: {', '.join(map(str, read_limits(database)))}"
