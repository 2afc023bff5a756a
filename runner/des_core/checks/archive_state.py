"""Watermark, runner and exceptions."""

from __future__ import annotations

from datetime import timedelta

from des_core.backup.record import latest_good_backup
from des_core.basics.timestamps import format_utc
from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.ledger.archive_table import require_same_table
from des_core.ledger.events import check_chain
from des_core.ledger.exceptions import count_open
from des_core.ledger.slices import newest_slices
from des_core.ledger.trail_heads import kept_heads
from des_core.locks.lock import lock_holder
from des_core.rows.amounts import count_waiting
from des_core.storage.directory import open_storage

FAR_BEHIND = timedelta(days=3)
SILENT = timedelta(days=2)


def check_watermark(patient: Patient) -> Check:
    """One row, of this table, not in the future, not far behind."""
    require_same_table(patient.source, patient.settings.database.table, patient.config)
    mark, now = patient.watermark, patient.clock.now
    at = format_utc(mark.archived_until)
    if mark.archived_until > now:
        return failed(
            "watermark",
            f"{at} lies in the future: files not yet written already read as archived",
            "des-admin watermark history; then: des-admin watermark set TIME",
        )
    behind = patient.target - mark.archived_until
    if behind > FAR_BEHIND:
        return warning("watermark", f"{at} is {behind.days} days behind", "des-admin run --dry-run")
    configured = patient.settings.database.lag_days
    if configured != mark.lag_days:
        return warning(
            "watermark",
            f"{at}, lag {mark.lag_days} days; database.lag_days says {configured}, "
            "and does not count",
            f"set database.lag_days to {mark.lag_days}; or: des-admin watermark lag {configured}",
        )
    return ok("watermark", f"{at}, lag {mark.lag_days} days")


def check_lock(patient: Patient) -> Check:
    """Who is at work."""
    holder = lock_holder(patient.config)
    return ok("lock", "free" if holder is None else f"held by {holder}")


def check_runner(patient: Patient) -> Check:
    """The last slice is young, or nothing waits."""
    config = patient.config
    with config.read() as tx:
        newest = newest_slices(tx, limit=1)
    waiting = count_waiting(patient.reader, patient.watermark.archived_until, patient.target)
    files = waiting.files or 0
    about = "" if waiting.precision == "exact" else "about "
    if not newest:
        return ok("runner", f"has not packed anything yet; {about}{files:,} files wait")
    finished = newest[0].record.finished_at
    detail = f"last slice {format_utc(finished)}; {about}{files:,} files wait"
    if files and patient.clock.now - finished > SILENT:
        return warning("runner", detail, "is it scheduled? try: des-admin run")
    return ok("runner", detail)


def check_exceptions(patient: Patient) -> Check:
    """Open exceptions, by reason."""
    with patient.config.read() as tx:
        counts = count_open(tx)
    total = sum(item.files for item in counts)
    if not total:
        return ok("exceptions", "none is open")
    words = ", ".join(f"{item.files:,} {item.reason}" for item in counts)
    return warning("exceptions", f"{total:,} open: {words}", "des-admin exceptions list")


def check_backup(patient: Patient) -> Check:
    """A backup that was checked, and whose data is young enough."""
    newest = latest_good_backup(patient.config)
    if newest is None:
        return warning("backup", "no good backup is recorded", "des-admin backup create")
    age = newest.age(patient.clock.now)
    hours = age.total_seconds() / 3600
    detail = f"{newest.name}, good to L{int(newest.level)}, data {hours:,.1f} h old"
    if hours > patient.settings.backup.max_age_hours:
        return warning("backup", detail, "des-admin backup create")
    return ok("backup", detail)


def check_trail(patient: Patient) -> Check:
    """The audit trail is whole."""
    config = patient.settings.packer.to_config()
    with patient.config.read() as tx:
        chain = check_chain(tx, kept_heads(open_storage(config)))
    if chain.broken_at is not None:
        return failed(
            "audit trail",
            f"event {chain.broken_at}: {chain.problem}",
            "des-admin watermark history --check",
        )
    text = f"{chain.events:,} events, every seal fits, and so do {chain.heads:,} kept heads"
    return ok("audit trail", text)
