"""Writing the formula into the column archived, in chunks that nobody has to wait for.

1. Up to `base` the column is right already, but for exceptions: the seed's holes, what was
   resolved since. Nothing below it is read.
2. Above it, chunk by chunk in the order of created_at: TRUE up to the watermark, FALSE above,
   and in the same transaction the open exceptions that lie in the chunk.
3. Then the exceptions up to `base`, and rows without created_at.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from des_core.database import run
from des_core.exceptions import iterate_open
from des_core.identifiers import Dialect
from des_core.migration.flag_jobs import (
    ROLLBACK_JOB,
    Progress,
    below_is_true,
    resume_job,
    with_false_below,
)
from des_core.migration.jobs import Job, advance_job, write_job
from des_core.migration.patience import patiently
from des_core.migration.run import MigrationRun
from des_core.migration.seed import newest_row, oldest_row
from des_core.migration.throttle import Turns
from des_core.sql_catalog import config_statement
from des_core.stored_time import from_stored, to_stored
from des_core.timestamps import EARLIEST, LATEST, from_us

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CHUNK_TIME_S = 0.05
FIRST_CHUNK_ROWS = 1000
MOST_CHUNK_ROWS = 50_000
PAGE_SIZE = 1000
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of rows in the order of (created_at, key); `first` is None for the first one."""

    first: dict[str, Any] | None
    last: dict[str, Any]


def write_formula(
    migration: MigrationRun,
    watermark: datetime,
    base: datetime | None,
    job_name: str = ROLLBACK_JOB,
) -> int:
    """Make the column agree with watermark and exceptions; how many flags changed above `base`.

    `base` None means that nothing in the column can be believed.
    """
    job = resume_job(migration, job_name, watermark, min(base or EARLIEST, watermark))
    job = _write_chunks(migration, watermark, job)
    # Once the exceptions are FALSE, what is resolved later must be written TRUE.
    write_job(migration.config, with_false_below(job), migration.now())
    _write_exceptions(migration, watermark, job)
    _write_unseen(migration, job_name)
    write_job(migration.config, replace(with_false_below(job), state="done"), migration.now())
    return job.rows_done


def _write_chunks(migration: MigrationRun, watermark: datetime, job: Job) -> Job:
    start = base = from_us(job.details["base_us"])
    if job.cursor is not None:
        start = max(start, job.cursor - _resume_margin(migration))
    progress = Progress(job.name, max(base, oldest_row(migration)), newest_row(migration))
    turns = Turns(migration, job.name)
    size: int = FIRST_CHUNK_ROWS
    key: dict[str, Any] | None = None
    while True:
        last = _find_end(migration, start, key, size)
        if last is None:
            return job
        began = time.monotonic()
        job = _write_chunk(migration, watermark, start, Chunk(key, last), job)
        took_s = time.monotonic() - began
        migration.report(progress.notice(job))
        turns.wait()
        size = _next_size(size, took_s)
        key = last


def _resume_margin(migration: MigrationRun) -> timedelta:
    """Texts are in the order of their letters, which may differ from time by an offset."""
    return timedelta(days=2) if migration.source.dialect is Dialect.SQLITE else _MICROSECOND


def _next_size(size: int, took_s: float) -> int:
    """Towards chunks that take CHUNK_TIME_S, at most doubled or quartered at once."""
    wanted = size * CHUNK_TIME_S / max(took_s, 0.001)
    return int(min(max(wanted, size / 4, 100), size * 2, MOST_CHUNK_ROWS))


def _find_end(
    migration: MigrationRun, start: datetime, key: dict[str, Any] | None, size: int
) -> dict[str, Any] | None:
    name = "migration_chunk_first" if key is None else "migration_chunk_next"
    values = {**_bounds(migration, start), **(key or {}), "page_size": size}
    with migration.source.read() as connection:
        row = run(connection, migration.source_catalog.get(name), values).first()
    return None if row is None else dict(row._mapping)


def _write_chunk(
    migration: MigrationRun, watermark: datetime, start: datetime, chunk: Chunk, job: Job
) -> Job:
    """The flags of the chunk, then how far the job is: in one transaction where one will do.

    In two databases the flags are committed first: a chunk that is written twice is harmless.
    """
    name = "migration_flags_first" if chunk.first is None else "migration_flags_next"
    statement = migration.source_catalog.get(name)
    values = {
        **_bounds(migration, start),
        **(chunk.first or {}),
        "last_created_at": chunk.last["page_created_at"],
        "last_key": chunk.last["page_key"],
        "watermark": migration.schema.to_db(watermark),
    }
    exceptions = _exceptions_of(migration, start, chunk)

    def advance(connection: Connection, changed: int) -> Job:
        advanced = job.advanced(_cursor(migration, chunk.last), changed)
        advance_job(connection, migration.config, advanced, migration.now())
        return advanced

    def work(connection: Connection) -> Job | int:
        changed = run(connection, statement, values).rowcount
        for uid, created_at, archived in exceptions:
            write_flag(migration, connection, uid, created_at, archived=archived)
        return advance(connection, changed) if migration.shares_database else changed

    done = patiently(migration, migration.source, job.name, work)
    if isinstance(done, Job):
        return done
    with migration.config.write() as connection:
        return advance(connection, done)


def _exceptions_of(
    migration: MigrationRun, start: datetime, chunk: Chunk
) -> list[tuple[str, datetime, bool]]:
    margin = _resume_margin(migration)
    low = start if chunk.first is None else _cursor(migration, chunk.first)
    low, high = max(low - margin, EARLIEST), _cursor(migration, chunk.last) + margin
    statement = config_statement(migration.config.dialect, "migration_exceptions_between")
    dialect = migration.config.dialect
    values = {"start_at": to_stored(low, dialect), "end_at": to_stored(high, dialect)}
    with migration.config.read() as connection:
        return [
            (row.uid, from_stored(row.created_at), bool(row.archived))
            for row in run(connection, statement, values)
        ]


def write_flag(
    migration: MigrationRun,
    connection: Connection,
    uid: str,
    created_at: datetime,
    *,
    archived: bool,
) -> None:
    """The flag of one row, in the caller's transaction; a row that is gone needs none."""
    try:
        key = migration.schema.uid_to_db(uid)
    except ValueError:
        return
    values = migration.schema.window(created_at - _MICROSECOND, created_at)
    values |= {"uid": key, "archived": archived}
    run(connection, migration.source_catalog.get("migration_flag_one"), values)


def _write_exceptions(migration: MigrationRun, watermark: datetime, job: Job) -> None:
    """Resolved ones first: an exception that was opened again is open."""
    if not below_is_true(job):
        for page in _resolved(migration, from_us(job.details["base_us"])):
            _write_page(migration, job.name, [(uid, at, at <= watermark) for uid, at in page])
    for opened in iterate_open(migration.config):
        rows = [(item.uid, item.created_at, item.archived) for item in opened]
        _write_page(migration, job.name, rows)


def _write_page(
    migration: MigrationRun, job_name: str, page: list[tuple[str, datetime, bool]]
) -> None:
    def work(connection: Connection) -> None:
        for uid, created_at, archived in page:
            write_flag(migration, connection, uid, created_at, archived=archived)

    patiently(migration, migration.source, job_name, work)


def _resolved(migration: MigrationRun, base: datetime) -> Iterator[list[tuple[str, datetime]]]:
    dialect = migration.config.dialect
    statement = config_statement(dialect, "migration_exceptions_resolved")
    values = {"after_id": 0, "end_at": to_stored(base, dialect), "page_size": PAGE_SIZE}
    while True:
        with migration.config.read() as connection:
            rows: list[Any] = list(run(connection, statement, values))
        if not rows:
            return
        yield [(row.uid, from_stored(row.created_at)) for row in rows]
        values |= {"after_id": rows[-1].exception_id}


def _write_unseen(migration: MigrationRun, job_name: str) -> None:
    statement = migration.source_catalog.get("migration_flags_unseen")
    patiently(migration, migration.source, job_name, lambda connection: run(connection, statement))


def _cursor(migration: MigrationRun, key: dict[str, Any]) -> datetime:
    return migration.schema.from_db(key["page_created_at"])


def _bounds(migration: MigrationRun, start: datetime) -> dict[str, Any]:
    return migration.schema.window(start, LATEST - timedelta(days=3))
