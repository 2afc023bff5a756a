"""The one transaction that makes a slice true: ledger, exceptions, watermark, audit event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from des_core.events import record_event
from des_core.exceptions import (
    NewException,
    record_exceptions,
    resolve_exceptions,
    resolve_range,
)
from des_core.ledger import add_slice
from des_core.packer_planner import FileFailure
from des_core.stored_time import to_stored
from des_core.timestamps import format_utc, from_us
from des_core.watermark import Watermark, confirm_watermark, move_watermark
from watermark_orchestrator.slice_packing import PackedSlice

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run


def commit_window(run: Run, watermark: Watermark, packed: PackedSlice) -> Watermark:
    """Record a packed window and move the watermark to its end; the watermark as it now is.

    FenceLost, and nothing written, where another writer or an operator's SQL was faster.
    """
    config, end = run.archive.config, packed.record.window_end
    now = datetime.now(UTC)
    run.lock.check()
    with config.write() as connection:
        slice_id = add_slice(connection, config.dialect, packed.record, packed.shards)
        # Exceptions of this range spoke about a watermark below it. Now each row of it is
        # either packed or recorded again just below.
        for archived in (True, False):
            resolve_range(
                connection,
                config.dialect,
                start=packed.record.window_start,
                end=end,
                archived=archived,
                resolution="packed",
                now=now,
            )
        record_exceptions(connection, config.dialect, _exceptions(packed.failures), now=now)
        move_watermark(
            connection,
            config.dialect,
            expected=watermark,
            to=end,
            actor=run.archive.actor,
            now=now,
        )
        record_event(
            connection,
            config.dialect,
            action="cycle",
            actor=run.archive.actor,
            now=now,
            from_value=format_utc(watermark.archived_until),
            to_value=format_utc(end),
            details=_details(packed, slice_id, run.run_id),
        )
    return replace(watermark, archived_until=end, raw=to_stored(end, config.dialect))


def commit_retry(
    run: Run,
    watermark: Watermark,
    packed: PackedSlice,
    *,
    resolved: Iterable[tuple[str, datetime]],
    gone: Iterable[tuple[str, datetime]],
) -> None:
    """Record a second try: close what is packed now or has left `files`, count the others up."""
    config = run.archive.config
    now = datetime.now(UTC)
    run.lock.check()
    with config.write() as connection:
        slice_id = add_slice(connection, config.dialect, packed.record, packed.shards)
        for keys, resolution in ((resolved, "packed"), (gone, "row_deleted")):
            resolve_exceptions(connection, config.dialect, keys, resolution=resolution, now=now)
        record_exceptions(connection, config.dialect, _exceptions(packed.failures), now=now)
        confirm_watermark(
            connection, config.dialect, expected=watermark, actor=run.archive.actor, now=now
        )
        record_event(
            connection,
            config.dialect,
            action="exceptions_retried",
            actor=run.archive.actor,
            now=now,
            details=_details(packed, slice_id, run.run_id),
        )


def _exceptions(failures: Iterable[FileFailure]) -> Iterable[NewException]:
    for failure in failures:
        yield NewException(
            uid=failure.uid,
            created_at=from_us(failure.created_us),
            location=failure.location,
            archived=False,
            reason=str(failure.reason),
            error=failure.error,
        )


def _details(packed: PackedSlice, slice_id: int, run_id: str) -> dict[str, object]:
    record = packed.record
    return {
        "run_id": run_id,
        "slice_id": slice_id,
        "files_out": record.files_out,
        "files_failed": record.files_failed,
        "shards": len(packed.shards),
    }
