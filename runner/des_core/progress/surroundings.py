"""What stands around a watermark and may be gone: the output, rows of the table, who held the lock.

The databases alone would say that all is well. `doctor` and every screen with a health line on top
ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile

from des_core.basics.durations import ago
from des_core.basics.errors import DesError, NoAnswer
from des_core.basics.time_limit import within
from des_core.basics.wording import numbered
from des_core.database.connections import Database
from des_core.database.transaction import Transaction
from des_core.ledger.archive_identity import compare_output, read_expected
from des_core.ledger.events import Event, newest_events
from des_core.ledger.exceptions import was_ever_recorded
from des_core.ledger.gone_rows import newest_packed_day, read_accepted
from des_core.ledger.outcomes import BACKUP, JOBS
from des_core.ledger.slices import (
    KnownSlice,
    SliceRecord,
    find_shard,
    newest_shard_names,
    newest_slices,
    parse_details,
)
from des_core.ledger.watermark import Watermark
from des_core.locks.leases import Holder
from des_core.locks.lock import find_holders
from des_core.packer_planner import PackerConfig
from des_core.progress.health import Remark, Severity
from des_core.rows.reader import SourceReader
from des_core.storage.directory import open_storage

# A mount whose server is gone answers never; a screen must not wait for it.
OUTPUT_WAIT_S = 10.0
RECONCILED_DAYS = 7
# How many slices and events back a look goes.
LOOKED_AT = 50
# The events of a repair that took a shard out of the ledger, and of a rebuild.
SET_ASIDE = "damage_set_aside"
REBUILT = "ledger_rebuilt"
# Jobs that begin again where they stopped, by the words that were typed.
RESUMED = frozenset({*JOBS, "verify --repair", "sources delete"} - {BACKUP})
SLICES_HINT = (
    "restore des_archive_slice from a backup; without one, delete the rows of des_archive_shard by "
    "SQL, then: des-admin ledger rebuild"
)
EXCEPTIONS_HINT = (
    "restore des_archive_exception from a backup; without one, what no shard has is recorded again "
    "by: des-admin reconcile --every-day --record"
)
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def look_around(
    config: Database, source: SourceReader, watermark: Watermark, packer: PackerConfig
) -> list[Remark]:
    """The output and the table are the archive's, and nobody has left the lock behind."""
    found = [
        judge_output(config, packer),
        judge_ledger(config),
        judge_rows(config, source, watermark.archived_until),
    ]
    return [*filter(None, found), *judge_holders(find_holders(config))]


def judge_output(config: Database, packer: PackerConfig) -> Remark | None:
    """An output that is not there, another archive's, an older copy, or does not answer."""
    expected = read_expected(config)
    try:
        state = within(OUTPUT_WAIT_S, lambda: compare_output(open_storage(packer), expected))
    except NoAnswer:
        waited = f"{packer.output_dir} has not answered for {OUTPUT_WAIT_S:.0f} s"
        return _output(waited, "is its server up? findmnt; then: des-admin ledger output")
    except DesError as exc:
        return _output(str(exc), exc.hint or "des-admin ledger output")
    except OSError as exc:
        return _output(f"{exc.strerror}: {exc.filename or packer.output_dir}", "des-admin doctor")
    return None if state.problem is None else _output(state.problem, state.hint)


def judge_ledger(config: Database) -> Remark | None:
    """Rows of the ledger that are gone: its other tables, or the trail, prove that they were there.

    1. The proof is read first, then what it proves: a commit between the two is no finding.
    2. A repair takes shards out of the ledger, and a rebuild numbers slices anew: both are events.
    """
    with config.read() as tx:
        events = newest_events(tx, limit=LOOKED_AT)
        slices = newest_slices(tx, limit=LOOKED_AT)
        names = newest_shard_names(tx, limit=1)
        failed = _forgotten_failures(tx, slices)
    last = find_shard(config, names[0]) if names else None
    told = _told_slice(events)
    packed = next((item for item in slices if _has_packed(item.record)), None)
    if all(event.action != SET_ASIDE for event in events):
        if last is None and (packed or (told and not slices)):
            text = "the ledger has no shard, though files were packed: its tables were emptied"
            return _ledger(text, "des-admin ledger rebuild")
        if last and packed and last.slice_id < packed.slice_id:
            files = numbered(packed.record.files_out - packed.record.files_present, "file")
            text = f"{files} of the newest slice are in no shard of the ledger: rows of it are gone"
            return _ledger(text, "des-admin ledger rebuild")
    if last and last.slice_id > _newest_slice(config):
        text = "the newest shards of the ledger have no slice: rows of des_archive_slice are gone"
        return _ledger(text, SLICES_HINT)
    if slices and slices[0].slice_id < told:
        text = f"slice {told} of the audit trail is not in the ledger: rows of it are gone"
        return _ledger(text, "des-admin ledger rebuild")
    if failed:
        text = (
            f"{numbered(failed, 'file')} could not be packed, and des_archive_exception has no "
            "row: it was emptied, and they read as archived"
        )
        return _ledger(text, EXCEPTIONS_HINT)
    return None


def _told_slice(events: Sequence[Event]) -> int:
    """The newest slice that the newest events tell of, since the ledger was rebuilt; 0 if none."""
    for event in takewhile(lambda event: event.action != REBUILT, events):
        number = parse_details(event.details or "").get("slice_id")
        if isinstance(number, int):
            return number
    return 0


def _newest_slice(config: Database) -> int:
    with config.read() as tx:
        return max((item.slice_id for item in newest_slices(tx, limit=1)), default=0)


def _has_packed(record: SliceRecord) -> bool:
    return record.files_out > record.files_present


def _forgotten_failures(tx: Transaction, slices: Sequence[KnownSlice]) -> int:
    """Files that a slice could not pack, if the table of exceptions has no row at all.

    Those of sharded workers are given up where the number of workers changes.
    """
    alone = [item.record.files_failed for item in slices if item.record.workers == 1]
    failed = max(alone, default=0)
    return 0 if failed and was_ever_recorded(tx) else failed


def day_to_look_for(config: Database) -> date | None:
    """The newest day that was packed, unless somebody has accepted that its rows are gone."""
    day = newest_packed_day(config)
    return None if day is None or day.isoformat() in read_accepted(config) else day


def has_rows_since(source: SourceReader, day: date, archived_until: datetime) -> bool:
    """Whether the table has a row of that day, or of a later one up to the watermark."""
    midnight = datetime.combine(day, time.min, UTC)
    end = max(archived_until, midnight + _DAY)
    return source.last_created_at(midnight - _TICK, end) is not None


def judge_rows(config: Database, source: SourceReader, archived_until: datetime) -> Remark | None:
    """A table that is older than the archive: without a row of the newest day that was packed."""
    day = day_to_look_for(config)
    if day is None or has_rows_since(source, day, archived_until):
        return None
    text = (
        f"the ledger packed files of {day}, and the table has no row of that day or later: "
        "an older copy of it, or rows were deleted"
    )
    hint = f"des-admin reconcile --since {day - timedelta(days=RECONCILED_DAYS)}"
    return Remark("rows", Severity.FAILED, text, hint)


def judge_holders(holders: list[Holder]) -> Iterator[Remark]:
    """Who is late with its heartbeat, and who is gone without giving the lock back."""
    for holder in holders:
        if holder.state == "late":
            hint = "if it is gone, the lock is free once it expires; see: des-admin lock show"
            text = f"held by {holder}: its heartbeat is late"
            yield Remark("lock", Severity.WARNING, text, hint)
        elif holder.gives_way:
            yield Remark("lock", Severity.WARNING, _left_behind(holder), _go_on(holder))


def _left_behind(holder: Holder) -> str:
    lease = holder.lease
    return (
        f"{lease.purpose} on {lease.process.host}, pid {lease.process.pid}, ended "
        f"{ago(holder.heartbeat_age)} without a word: killed, out of memory, or its machine "
        "went down"
    )


def _go_on(holder: Holder) -> str:
    command = holder.lease.job
    if command in RESUMED:
        return (
            f"the lock is free, and it begins where it stopped; run it again: des-admin {command}"
        )
    return "the lock is free; see how far it came: des-admin watermark history"


def _ledger(text: str, hint: str) -> Remark:
    return Remark("ledger", Severity.FAILED, text, hint)


def _output(text: str, hint: str) -> Remark:
    return Remark("output", Severity.FAILED, text, hint)
