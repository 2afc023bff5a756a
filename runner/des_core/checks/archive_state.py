"""Watermark, runner and exceptions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from des_core.backup.presence import CLOCK_TOLERANCE
from des_core.backup.record import latest_good_backup
from des_core.backup.store import left_behind
from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered, one_or_many
from des_core.checks.check import Check, failed, ok, warning
from des_core.checks.patient import Patient
from des_core.ledger.archive_table import require_same_table
from des_core.ledger.events import check_chain
from des_core.ledger.exceptions import count_open
from des_core.ledger.gone_rows import newest_packed_day
from des_core.ledger.provenance import read_provenance
from des_core.ledger.slices import newest_slices
from des_core.ledger.trail_heads import kept_heads
from des_core.locks.lock import find_holders
from des_core.progress.health import Remark, Severity, judge, judge_memory, read_memory
from des_core.progress.surroundings import judge_holders, judge_ledger, judge_rows
from des_core.rows.amounts import count_waiting
from des_core.storage.directory import open_storage

FAR_BEHIND = timedelta(days=3)
SILENT = timedelta(days=2)


def check_watermark(patient: Patient) -> list[Check]:
    """One row, of this table, explained by the trail, not far behind."""
    require_same_table(patient.source, patient.settings.database.table, patient.config)
    mark = patient.watermark
    at = format_utc(mark.archived_until)
    with patient.config.read() as tx:
        found = read_provenance(tx, mark)
    remarks = judge(found, patient.target, patient.clock.now)
    checks = [_as_check(remark) for remark in remarks]
    if all(check.name != "watermark" for check in checks):
        checks.append(_check_position(patient, at))
    return checks


def _as_check(remark: Remark) -> Check:
    make = failed if remark.severity is Severity.FAILED else warning
    return make(remark.name, remark.text, remark.hint)


def _check_position(patient: Patient, at: str) -> Check:
    mark = patient.watermark
    behind = patient.target - mark.archived_until
    if behind > FAR_BEHIND:
        return warning(
            "watermark", f"{at} is {numbered(behind.days, 'day')} behind", "des-admin run --dry-run"
        )
    configured = patient.settings.database.lag_days
    if configured != mark.lag_days:
        return warning(
            "watermark",
            f"{at}, lag {numbered(mark.lag_days, 'day')}; database.lag_days says {configured}, "
            "and does not count",
            f"set database.lag_days to {mark.lag_days}; or: des-admin watermark lag {configured}",
        )
    return ok("watermark", f"{at}, lag {numbered(mark.lag_days, 'day')}")


def check_memory(patient: Patient) -> list[Check]:
    """How cycles, verifications and other jobs ended, and damage that nobody has fixed."""
    with patient.config.read() as tx:
        memory, provenance = read_memory(tx), read_provenance(tx, patient.watermark)
    told = judge(provenance, patient.target, patient.clock.now)
    remarks = judge_memory(memory, patient.clock.now, provenance, told)
    if not remarks:
        return [ok("memory", "no job ended badly, and nothing is known to be damaged")]
    return [_as_check(remark) for remark in remarks]


def check_rows(patient: Patient) -> Check:
    """The table is not older than the archive: it has a row of the newest day that was packed."""
    day, mark = newest_packed_day(patient.config), patient.watermark.archived_until
    emptied = judge_ledger(patient.config)
    if emptied is not None:
        return _as_check(emptied)
    if day is None:
        return ok("rows", "nothing is packed yet")
    remark = judge_rows(patient.config, patient.reader, mark)
    if remark is not None:
        return _as_check(remark)
    return ok("rows", f"the table has rows of {day}, the newest day that was packed")


def check_lock(patient: Patient) -> list[Check]:
    """Who is at work; somebody whose heartbeat is late may be gone."""
    holders = find_holders(patient.config)
    if not holders:
        return [ok("lock", "free")]
    remarks = [_as_check(remark) for remark in judge_holders(holders)]
    return remarks or [ok("lock", f"held by {'; '.join(map(str, holders))}")]


def check_runner(patient: Patient) -> Check:
    """The last slice is young, or nothing waits."""
    config = patient.config
    with config.read() as tx:
        newest = newest_slices(tx, limit=1)
    waiting = count_waiting(patient.reader, patient.watermark.archived_until, patient.target)
    files = waiting.files or 0
    about = "" if waiting.precision == "exact" else "about "
    pending = f"{about}{numbered(files, 'file')} {one_or_many(files, 'waits', 'wait')}"
    if not newest:
        return ok(
            "runner",
            f"has not packed anything yet; {pending}",
        )
    finished = newest[0].record.finished_at
    detail = f"last slice {format_utc(finished)}; {pending}"
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
    """A backup that was checked, whose data is young enough; and none that was never finished."""
    directory = patient.settings.backup.dir
    left = left_behind(Path(directory)) if directory is not None else []
    if left:
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        what = f"{left[0].name}{more}: {left[0].problem}"
        return warning("backup", what, "des-admin backup list; des-admin backup prune")
    newest = latest_good_backup(patient.config)
    if newest is None:
        return warning("backup", "no good backup is recorded", "des-admin backup create")
    age = newest.age(patient.clock.now)
    hours = age.total_seconds() / 3600
    detail = f"{newest.name}, good to L{int(newest.level)}, data {hours:,.1f} h old"
    if newest.age(patient.clock.now) < -CLOCK_TOLERANCE:
        return warning("backup", f"{newest.name} is from the future", "compare the clocks: date -u")
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
    text = (
        f"{numbered(chain.events, 'event')}, every seal fits; "
        f"{numbered(chain.heads, 'kept head')} {one_or_many(chain.heads, 'fits', 'fit')}"
    )
    return ok("audit trail", text)
