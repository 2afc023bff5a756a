"""Writing the formula into the column archived, in chunks that nobody has to wait for.

1. Up to `base` the column is right already, but for exceptions: the seed's holes, what was
   resolved since. Nothing below it is read.
2. Above it, chunk by chunk in the order of created_at: TRUE up to the watermark, FALSE above,
   and in the same transaction the open exceptions that lie in the chunk.
3. Then the exceptions up to `base`, and rows that no window sees: without created_at, or with what
   is no time. They were never packed.
4. Where triggers or rules fire, flags are read again: see `proof`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from des_core.basics.timestamps import EARLIEST, from_us
from des_core.database.stored_time import from_stored, to_stored
from des_core.database.transaction import Transaction
from des_core.ledger.exceptions import iterate_open, recorded_uid
from des_core.ledger.jobs import Job, advance_job
from des_core.ledger.provenance import require_explained
from des_core.migration.base.migration import Migration
from des_core.migration.flags.chunks import ChunkWriter, resume_margin, write_flag
from des_core.migration.flags.proof import find_unwritten
from des_core.migration.flags.sessions import Written, hand_out_chunks
from des_core.migration.flags.throttle import Turns
from des_core.migration.seed.seeding import count_unseen, newest_row, oldest_row
from des_core.migration.state.flag_jobs import (
    ROLLBACK_JOB,
    Progress,
    below_is_true,
    put,
    resume_job,
    with_false_below,
)
from des_core.migration.steps.patience import patiently

if TYPE_CHECKING:
    from concurrent.futures import Future


CHUNK_TIME_S = 0.05
FIRST_CHUNK_ROWS = 1000
MOST_CHUNK_ROWS = 50_000
PAGE_SIZE = 1000


def write_formula(
    migration: Migration,
    watermark: datetime,
    base: datetime | None,
    job_name: str = ROLLBACK_JOB,
) -> int:
    """Make the column agree with watermark and exceptions; how many flags changed above `base`.

    `base` None means that nothing in the column can be believed. Refused where nobody has said why
    the watermark is ahead of what was packed: the column would call those files archived.
    """
    require_explained(migration.config)
    job = resume_job(migration, job_name, watermark, min(base or EARLIEST, watermark))
    job = _write_chunks(migration, watermark, job)
    # Once the exceptions are FALSE, what is resolved later must be written TRUE.
    put(migration, with_false_below(job))
    _write_exceptions(migration, watermark, job)
    _write_unseen(migration, job_name)
    unwritten = find_unwritten(migration, watermark, from_us(job.details["base_us"]))
    if unwritten is not None:
        put(migration, replace(with_false_below(job), cursor=None))  # all of them once more
        raise unwritten
    put(migration, replace(with_false_below(job), state="done"))
    return job.rows_done


def _write_chunks(migration: Migration, watermark: datetime, job: Job) -> Job:
    """In one session the job's place is committed with the flags, which costs least."""
    start = base = from_us(job.details["base_us"])
    if job.cursor is not None:
        start = max(start, job.cursor - resume_margin(migration))
    progress = Progress(job.name, max(base, oldest_row(migration)), newest_row(migration))
    turns = Turns(migration, job.name)
    writer = ChunkWriter(migration, watermark, start)
    if migration.options.sessions > 1:
        return _write_together(writer, job, progress, turns)
    size: int = FIRST_CHUNK_ROWS
    key: dict[str, Any] | None = None
    while (last := writer.find_end(key, size)) is not None:
        slowest_s = 0.0
        for part in writer.parts(key, last):
            began = time.monotonic()
            job = writer.commit(part, job)
            slowest_s = max(slowest_s, time.monotonic() - began)
            migration.report(progress.notice(job))
            turns.wait()
        size = _next_size(size, slowest_s)
        key = last
    return job


def _write_together(writer: ChunkWriter, job: Job, progress: Progress, turns: Turns) -> Job:
    """As many chunks at once as there are sessions; counted as done in their order."""
    migration = writer.migration
    size: int = FIRST_CHUNK_ROWS
    key: dict[str, Any] | None = None
    ahead: deque[Future[Written]] = deque()
    with hand_out_chunks(writer, job.name) as hand_out:
        while True:
            last = writer.find_end(key, size)
            if last is not None:
                ahead.append(hand_out(key, last))
                key = last
            if not ahead:
                return job
            if last is not None and len(ahead) < migration.options.sessions:
                continue
            written = ahead.popleft().result()
            job = job.advanced(written.until, written.changed)
            migration.write(partial(advance_job, job=job, now=migration.now()))
            migration.report(progress.notice(job))
            turns.wait()
            size = _next_size(size, written.slowest_s)


def _next_size(size: int, took_s: float) -> int:
    """Towards transactions that take CHUNK_TIME_S, at most four times as long or as short."""
    wanted = size * CHUNK_TIME_S / max(took_s, 0.001)
    return int(min(max(wanted, size / 4, 100), size * 4, MOST_CHUNK_ROWS))


def _write_exceptions(migration: Migration, watermark: datetime, job: Job) -> None:
    """Resolved ones first: an exception that was opened again is open."""
    if not below_is_true(job):
        for page in _resolved(migration, from_us(job.details["base_us"])):
            _write_page(migration, job.name, [(uid, at, at <= watermark) for uid, at in page])
    for opened in iterate_open(migration.config):
        rows = [(item.uid, item.created_at, item.archived) for item in opened]
        _write_page(migration, job.name, rows)


def _write_page(
    migration: Migration, job_name: str, page: list[tuple[str, datetime, bool]]
) -> None:
    def work(tx: Transaction) -> None:
        for uid, created_at, archived in page:
            write_flag(migration, tx, uid, created_at, archived=archived)

    patiently(migration, migration.source, job_name, work)


def _resolved(migration: Migration, base: datetime) -> Iterator[list[tuple[str, datetime]]]:
    dialect = migration.config.dialect
    values = {"after_id": 0, "end_at": to_stored(base, dialect), "page_size": PAGE_SIZE}
    pages = migration.config.pages("migration_exceptions_resolved", values, after_id="exception_id")
    for rows in pages:
        yield [(recorded_uid(row), from_stored(row.created_at)) for row in rows]


def _write_unseen(migration: Migration, job_name: str) -> None:
    """Only where there are any: on SQLite the statement goes through the whole table."""
    if not count_unseen(migration, limit=1).rows:
        return
    statement = migration.source_catalog.get("migration_flags_unseen")
    patiently(migration, migration.source, job_name, lambda tx: tx.run(statement))
