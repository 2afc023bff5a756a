"""Every metric of the project in one table: name, kind, help, label and its values, who serves it.

Dashboards, alerts and documents name nothing else; a test compares them with this table. A label
has at most ten values, and every series is there from the start, at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from des_core.basics.errors import ExitCode
from des_core.ledger.outcomes import JOBS

Kind = Literal["gauge", "counter", "histogram"]

STATUS_OF_CODE = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "bug",
    ExitCode.USAGE: "usage",
    ExitCode.NEW_EXCEPTIONS: "new_exceptions",
    ExitCode.REFUSED: "refused",
    ExitCode.DATABASE_UNREACHABLE: "unreachable",
    ExitCode.LOCKED: "locked",
    ExitCode.WRONG_SCHEMA: "wrong_schema",
    ExitCode.DAMAGED: "damaged",
    ExitCode.INTERRUPTED: "stopped",
    ExitCode.TERMINATED: "stopped",
}
STATUSES = tuple(dict.fromkeys(STATUS_OF_CODE.values()))

# There are more reasons than a label should have values; a cause is what an operator does about it.
CAUSE_OF_REASON = {
    "pending_at_seed": "seed",
    "missing": "missing",
    "unreadable": "unreadable",
    "worker_killed": "unreadable",
    "changed": "changed",
    "size_mismatch": "changed",
    "row_gone": "missing",
    "not_regular": "location",
    "outside_roots": "location",
    "bad_location": "location",
    "bad_uid": "uid",
    "duplicate_uid": "uid",
    "late": "late",
    "skipped": "skipped",
}
OTHER_CAUSE = "other"
CAUSES = (*dict.fromkeys(CAUSE_OF_REASON.values()), OTHER_CAUSE)

SLICE_BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `label` may be None; `values` are all the values its label can have.

    `runner` and `exporter` say which endpoint serves it. `optional` series are left out where
    there is nothing to measure (no directory to look at).
    """

    name: str
    kind: Kind
    help: str
    label: str | None = None
    values: tuple[str, ...] = ()
    runner: bool = False
    exporter: bool = True
    optional: bool = False


_BOTH = (
    Metric("des_watermark_lag_days", "gauge", "Setting lag_days of the watermark, in days."),
    Metric("des_watermark_lag_seconds", "gauge", "From the watermark to the target; 0 if reached."),
    Metric(
        "des_watermark_window_size_seconds",
        "gauge",
        "Length of the window: of the running cycle, or of the one that would start now.",
    ),
    Metric("des_watermark_timestamp_seconds", "gauge", "The watermark, archived_until."),
    Metric(
        "des_watermark_target_timestamp_seconds",
        "gauge",
        "End of the next window: the watermark when nothing is pending.",
    ),
    Metric(
        "des_migration_files_total",
        "counter",
        "Files packed, or found packed, by committed slices.",
    ),
    Metric(
        "des_migration_files_failed_total",
        "counter",
        "Files that could not be packed and became exceptions.",
    ),
    Metric("des_migration_bytes_total", "counter", "Content bytes of the files packed."),
    Metric("des_migration_shard_bytes_total", "counter", "Bytes of the shards written."),
    Metric("des_migration_shards_total", "counter", "Shards written."),
    Metric("des_migration_slices_total", "counter", "Slices committed."),
    Metric(
        "des_migration_cycles_total", "counter", "Cycles by how they ended.", "status", STATUSES
    ),
    Metric("des_migration_duration_seconds", "gauge", "Duration of the last finished cycle."),
    Metric(
        "des_migration_last_progress_timestamp_seconds",
        "gauge",
        "When the watermark last moved by packing; 0 if never.",
    ),
    Metric(
        "des_migration_last_success_timestamp_seconds",
        "gauge",
        "When a cycle last ended with exit code 0 or 3; 0 if never.",
    ),
    Metric(
        "des_migration_failed_cycles",
        "gauge",
        "Failed cycles since the last one that succeeded.",
    ),
    Metric("des_build_info", "gauge", "Version of the program; always 1.", "version"),
)

_RUNNER = (
    Metric("des_migration_cycle_running", "gauge", "1 while a cycle runs."),
    Metric(
        "des_migration_cycle_start_timestamp_seconds",
        "gauge",
        "When the current or last cycle of this process began; 0 if none has.",
    ),
    Metric(
        "des_migration_slice_duration_seconds",
        "histogram",
        "From the first row of a slice to its commit.",
    ),
)

_EXPORTER = (
    Metric(
        "des_migration_pending_files",
        "gauge",
        "Files pending in the window, counted up to des_migration_pending_files_limit.",
    ),
    Metric("des_migration_pending_files_limit", "gauge", "Limit of the count of pending files."),
    Metric(
        "des_migration_oldest_pending_timestamp_seconds",
        "gauge",
        "When the oldest pending file became due; 0 if none is pending.",
    ),
    Metric(
        "des_archive_exceptions_open",
        "gauge",
        "Open exceptions by cause, all together counted up to 100000.",
        "cause",
        CAUSES,
    ),
    Metric(
        "des_archive_damaged_shards",
        "gauge",
        "Shards and manifests that a verification found damaged and nobody has fixed.",
    ),
    Metric(
        "des_watermark_explained",
        "gauge",
        "1 if the audit trail explains where the watermark is; 0 if SQL moved it.",
    ),
    Metric(
        "des_table_older_than_archive",
        "gauge",
        "1 if the table has no row of the newest day that was packed, or of a later one.",
    ),
    Metric(
        "des_ledger_emptied",
        "gauge",
        "1 if rows of the ledger are gone that its other tables or the trail prove.",
    ),
    Metric(
        "des_trail_newest_event", "gauge", "Number of the audit trail's newest event; 0 if none."
    ),
    Metric(
        "des_trail_head_high", "gauge", "The first 13 hex digits of that event's hash, as a number."
    ),
    Metric("des_trail_head_low", "gauge", "The next 13 hex digits of it, as a number."),
    Metric(
        "des_job_failed",
        "gauge",
        "1 if the last job of its kind that ended by itself ended badly.",
        "kind",
        JOBS,
    ),
    Metric("des_backup_last_success_timestamp_seconds", "gauge", "Newest good backup; 0 if none."),
    Metric(
        "des_backup_max_age_seconds",
        "gauge",
        "How old a backup may be; 0 if no backups are configured.",
    ),
    Metric("des_workers_expected", "gauge", "Sharded workers that must all reach the target."),
    Metric(
        "des_workers_behind", "gauge", "Sharded workers that have packed less than the fastest."
    ),
    Metric(
        "des_workers_slowest_update_timestamp_seconds",
        "gauge",
        "When the slowest sharded worker last recorded progress; 0 if it never did.",
    ),
    Metric(
        "des_database_up",
        "gauge",
        "1 if this database answered at the last read.",
        "database",
        ("source", "config"),
    ),
    Metric(
        "des_database_clock_offset_seconds",
        "gauge",
        "Clock of the database minus clock of the exporter.",
        "database",
        ("source", "config"),
    ),
    Metric(
        "des_volume_size_bytes",
        "gauge",
        "Size of the file system that holds a directory of the configuration.",
        "volume",
        ("output", "backup"),
        optional=True,
    ),
    Metric(
        "des_volume_free_bytes",
        "gauge",
        "What an unprivileged user may still write there.",
        "volume",
        ("output", "backup"),
        optional=True,
    ),
    Metric(
        "des_exporter_last_read_timestamp_seconds",
        "gauge",
        "When the exporter last read everything it serves; 0 if never.",
    ),
    Metric("des_exporter_read_duration_seconds", "gauge", "Duration of its last read."),
    Metric("des_exporter_failed_reads_total", "counter", "Its reads that failed."),
)


def _serve(metric: Metric, *, runner: bool, exporter: bool) -> Metric:
    return Metric(
        name=metric.name,
        kind=metric.kind,
        help=metric.help,
        label=metric.label,
        values=metric.values,
        runner=runner,
        exporter=exporter,
        optional=metric.optional,
    )


METRICS = {
    metric.name: metric
    for metric in (
        *(_serve(metric, runner=True, exporter=True) for metric in _BOTH),
        *(_serve(metric, runner=True, exporter=False) for metric in _RUNNER),
        *_EXPORTER,
    )
}


def cycle_status(code: int) -> str:
    """The value of the label `status` for an exit code."""
    return STATUS_OF_CODE.get(ExitCode(code), "bug")


def cycle_succeeded(code: int) -> bool:
    """Whether the window was closed: with or without new exceptions."""
    return code in (ExitCode.DONE, ExitCode.NEW_EXCEPTIONS)


def cause_of(reason: str) -> str:
    """The value of the label `cause` for an exception's reason."""
    return CAUSE_OF_REASON.get(reason, OTHER_CAUSE)
