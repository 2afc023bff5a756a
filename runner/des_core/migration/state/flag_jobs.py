"""What is remembered of a job that writes the column archived, so that it can go on later.

`base`: up to there the column is right but for exceptions. `below_base_is_true`: every row up to
`base` reads TRUE, because the column was just added with that default.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from des_core.basics.timestamps import EARLIEST, from_us, to_us
from des_core.database.connections import Database
from des_core.ledger.jobs import JOB_TABLE, Job, change_state, read_job, write_job
from des_core.migration.base.migration import Migration, Notice
from des_core.migration.state.tables import has_table

ROLLBACK_JOB = "rollback_flags"
COMPLIANCE_JOB = "compliance_flags"


@dataclass(frozen=True)
class Progress:
    """How far a job is between the oldest and the newest row that it looks at."""

    job_name: str
    start: datetime
    end: datetime
    began: float = field(default_factory=time.monotonic)

    def notice(self, job: Job) -> Notice:
        whole = (self.end - self.start).total_seconds()
        done = (job.cursor - self.start).total_seconds() if job.cursor else 0.0
        share = min(max(done / whole, 0.0), 1.0) if whole > 0 else 1.0
        spent_s = time.monotonic() - self.began
        eta_s = spent_s * (1 - share) / share if share > 0 else None
        return Notice(
            "", self.job_name, "flags written", done_rows=job.rows_done, share=share, eta_s=eta_s
        )


def begin_anew(migration: Migration, watermark: datetime, *, all_true: bool) -> None:
    """Remember, before the column is added, what of it will have to be written.

    `all_true`: it comes with TRUE in every row, so only what lies above the watermark is wrong;
    otherwise nothing in it can be believed. What was known of an older column is void.
    """
    base = watermark if all_true else EARLIEST
    job = _new_job(ROLLBACK_JOB, watermark, base, all_true=all_true)
    put(migration, job)


def put(migration: Migration, job: Job) -> None:
    """Record where the job is, in a transaction of its own."""
    migration.write(lambda tx: write_job(tx, job, migration.now()))


def resume_job(migration: Migration, name: str, watermark: datetime, base: datetime) -> Job:
    """The job that was begun, if it was for this watermark; else a new one from the lower base.

    Where a job is done, the column was right up to the watermark of that time.
    """
    job = read_job(migration.config, name)
    all_true = False
    if job is not None and job.is_unfinished:
        if job.details.get("watermark_us") == to_us(watermark):
            job = replace(job, state="running")
            put(migration, job)
            return job
        base = min(from_us(job.details["base_us"]), watermark)
        all_true = below_is_true(job)
    elif job is not None:
        base = max(base, min(from_us(job.details["watermark_us"]), watermark))
    job = _new_job(name, watermark, base, all_true=all_true)
    put(migration, job)
    return job


def below_is_true(job: Job) -> bool:
    """Whether what was resolved up to the base needs no writing."""
    return bool(job.details.get("below_base_is_true"))


def with_false_below(job: Job) -> Job:
    """The job once rows up to its base were written FALSE."""
    return replace(job, details={**job.details, "below_base_is_true": False})


def synced_until(migration: Migration) -> datetime | None:
    """Up to where the last finished compliance sync left the column right."""
    job = read_job(migration.config, COMPLIANCE_JOB)
    if job is None or job.state != "done":
        return None
    return from_us(job.details["watermark_us"])


def change_flag_jobs(config: Database, expected: str, state: str, now: datetime) -> list[str]:
    """Pause or resume what writes flags; the names of the jobs that were `expected`."""
    if not has_table(config, JOB_TABLE):
        return []
    names = (ROLLBACK_JOB, COMPLIANCE_JOB)
    return [name for name in names if change_state(config, name, expected, state, now)]


def _new_job(name: str, watermark: datetime, base: datetime, *, all_true: bool) -> Job:
    details = {
        "watermark_us": to_us(watermark),
        "base_us": to_us(base),
        "below_base_is_true": all_true,
    }
    return Job(name, "running", None, 0, None, details)
