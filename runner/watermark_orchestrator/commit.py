"""The one transaction that makes a slice true: ledger, exceptions, watermark, audit event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from des_core.basics.timestamps import format_utc, from_us
from des_core.database.transaction import Transaction
from des_core.ledger.events import record_event
from des_core.ledger.exceptions import NewException, record_exceptions, resolve_exceptions
from des_core.ledger.slices import add_slice
from des_core.records import FileFailure
from watermark_orchestrator.slice_packing import PackedSlice
from watermark_orchestrator.writers import Writer

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run


def commit_window(run: Run, writer: Writer, packed: PackedSlice) -> Writer:
    """Record a packed window; the writer as it now is, with the watermark as it now is.

    FenceLost, and nothing written, where another writer or an operator's SQL was faster.
    """
    actor, now = run.archive.actor, datetime.now(UTC)

    def work(tx: Transaction) -> Writer:
        writer.begin(tx)
        slice_id = add_slice(tx, packed.record, packed.shards)
        failed = _exceptions(packed.failures)
        after = writer.close_window(tx, packed.record.window_end, failed, actor=actor, now=now)
        # A sharded worker's progress is in its own row; an auditor asks about the watermark.
        if after.moved_from is not None:
            record_event(
                tx,
                action="cycle",
                actor=actor,
                now=now,
                from_value=format_utc(after.moved_from),
                to_value=format_utc(after.watermark),
                details=_details(packed, slice_id, run.run_id),
            )
        return after

    return run.lock.write(work)


def commit_retry(
    run: Run,
    writer: Writer,
    packed: PackedSlice,
    *,
    resolved: Sequence[tuple[str, datetime]],
    gone: Sequence[tuple[str, datetime]],
    missed: Sequence[FileFailure] = (),
    attempts: Mapping[tuple[str, datetime], int] = MappingProxyType({}),
) -> None:
    """Record a second try: close what is packed now or is proved to have left `files`, count the
    others up, those that were `missed` among them.

    `attempts` is how often each was tried before: the wait for the next try depends on it.
    """
    actor, now = run.archive.actor, datetime.now(UTC)

    def work(tx: Transaction) -> None:
        writer.begin(tx)
        slice_id = add_slice(tx, packed.record, packed.shards)
        for keys, resolution in ((resolved, "packed"), (gone, "row_deleted")):
            resolve_exceptions(tx, keys, resolution=resolution, now=now)
        failed = _exceptions([*packed.failures, *missed], attempts)
        record_exceptions(tx, failed, now=now)
        writer.confirm(tx, actor=actor, now=now)
        record_event(
            tx,
            action="exceptions_retried",
            actor=actor,
            now=now,
            details=_details(packed, slice_id, run.run_id),
        )

    run.lock.write(work)


def _exceptions(
    failures: Iterable[FileFailure],
    attempts: Mapping[tuple[str, datetime], int] = MappingProxyType({}),
) -> Iterable[NewException]:
    for failure in failures:
        created_at = from_us(failure.created_us)
        yield NewException(
            uid=failure.uid,
            created_at=created_at,
            attempts_before=attempts.get((failure.uid, created_at), 0),
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
        "worker": f"{record.worker}/{record.workers}",
        "files_out": record.files_out,
        "files_failed": record.files_failed,
        "shards": len(packed.shards),
    }
