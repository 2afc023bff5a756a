"""Plans, progress and reports in plain words, for logs and for the runner's own output."""

from __future__ import annotations

from collections.abc import Callable

from des_core.basics.timestamps import format_utc
from des_core.basics.wording import numbered
from watermark_orchestrator.cycle import CyclePlan, CycleReport
from watermark_orchestrator.progress_events import ProgressEvent, ProgressSink


def describe_plan(plan: CyclePlan) -> str:
    """The plan of a cycle, one fact a line."""
    lines = [
        f"window:   {plan.window}",
        f"lag_days: {plan.lag_days}",
        f"slices:   {plan.slices}",
        f"files:    {plan.pending.files}",
    ]
    if plan.pending.size_bytes is not None:
        lines.append(f"bytes:    {plan.pending.size_bytes}")
    if plan.share is not None:
        lines.append(
            f"worker:   {plan.share}; packs about one in {plan.share.workers_total} of these files"
        )
    if plan.filtering is not None:
        lines.append(f"reads:    {plan.filtering.describe()}")
    if plan.held_back_by is not None:
        lines.append(f"held back by a transaction open since {format_utc(plan.held_back_by)}")
    if plan.hidden_sessions:
        lines.append(
            f"hidden from this user: {numbered(plan.hidden_sessions, 'session')}; an open "
            "transaction among them would not be seen (grant pg_read_all_stats, or PROCESS)"
        )
    return "\n".join(lines)


def describe_report(report: CycleReport) -> str:
    """The report of a cycle in one line."""
    rate = report.files_out / report.duration_s if report.duration_s > 0 else 0.0
    retried = report.retried
    parts = [
        f"packed {numbered(report.files_out, 'file')} in {numbered(report.slices, 'slice')} "
        f"and {numbered(report.shards, 'shard')}",
        f"{report.bytes_in} bytes in, {report.bytes_out} out",
        f"{report.duration_s:.1f} s, {rate:.0f} files/s",
    ]
    if report.files_present:
        parts.append(f"{report.files_present} packed before")
    if report.files_failed:
        parts.append(f"{numbered(report.files_failed, 'new exception')}: des-admin exceptions list")
    if report.late:
        parts.append(f"{numbered(report.late, 'late row')} found")
    if retried.tried:
        parts.append(
            f"{numbered(retried.tried, 'exception')} tried again, {retried.packed} packed, "
            f"{retried.failed} still open"
        )
    if report.deleted.shards:
        parts.append(
            f"{numbered(report.deleted.files, 'source')} deleted, "
            f"{report.deleted.kept.total()} kept"
        )
    if report.worker is not None and report.packed_until is not None:
        parts.append(f"worker {report.worker} packed until {format_utc(report.packed_until)}")
    if report.watermark is not None:
        parts.append(f"watermark {format_utc(report.watermark)}")
    return "; ".join(parts)


def narrator(say: Callable[[str], None]) -> ProgressSink:
    """A sink that tells of every reconnection; slices are in the log."""

    def tell(event: ProgressEvent) -> None:
        if event.kind == "reconnecting":
            say(f"cannot go on, trying again: {event.message}")

    return tell
