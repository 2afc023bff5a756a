"""The operation that writes the formula into the column archived: what it may run, how, by whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from des_core.basics.timestamps import EARLIEST, format_utc
from des_core.ledger.exceptions import count_open, iterate_open
from des_core.ledger.jobs import SEED_JOB, read_job
from des_core.ledger.revisions import DROP_ARCHIVED, WATERMARK, Branch
from des_core.migration.base.seed_plan import Count
from des_core.migration.flags.chunks import writes_in_shares
from des_core.migration.flags.writing import write_formula
from des_core.migration.operations.kinds import READS, ROW_LOCKS, Scene, Work
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.seed.seeding import LATEST_ROW, count_rows
from des_core.migration.state.flag_jobs import synced_until
from des_core.migration.steps.sql_file import load_steps
from des_core.migration.work.archived_column import read_until

if TYPE_CHECKING:
    from des_core.migration.base.migration import Migration
    from des_core.migration.steps.script_writer import ScriptWriter

# Of a column that was kept each row is looked at; of one that came back with TRUE only the tail.
WHOLE = ("write_flags", "write_flags_at")
TAIL = ("write_tail", "write_exceptions", "write_tail_at")


def _write(scene: Scene) -> None:
    migration = scene.migration
    watermark = read_until(migration)
    base = None if scene.revision is DROP_ARCHIVED else _believed_until(migration)
    migration.flags_written = write_formula(migration, watermark, base)
    migration.formula_written_for = watermark
    scene.tell("write_flags", f"TRUE up to {format_utc(watermark)}, but for open exceptions")


def _believed_until(migration: Migration) -> datetime | None:
    """Up to where a column that was kept is right, but for exceptions."""
    seed = read_job(migration.config, SEED_JOB)
    if seed is None or seed.cursor is None:
        return None
    return max(seed.cursor, synced_until(migration) or seed.cursor)


def _statements(scene: Scene) -> Iterator[PlannedStatement]:
    migration, facts = scene.migration, scene.facts
    with migration.config.read() as tx:
        counts = count_open(tx)
        exceptions = Count(sum(reason.files for reason in counts))
    until = read_until(migration)
    base = until if facts.rows_read_true else _base(scene, until)
    rows = count_rows(migration, base, LATEST_ROW)
    reads = ("oldest_row", "newest_row", "chunk_first", "chunk_next")
    for name in (*reads, "null_created_at", "odd_created_at"):
        yield scene.query(Branch.SOURCE, f"migration_{name}", READS)
    if writes_in_shares(migration):
        yield scene.query(Branch.SOURCE, "migration_flags_share", ROW_LOCKS, rows)
    yield scene.query(Branch.SOURCE, "migration_flags_first", ROW_LOCKS, rows)
    yield scene.query(Branch.SOURCE, "migration_flags_next", ROW_LOCKS, rows)
    yield scene.query(Branch.SOURCE, "migration_flag_one", ROW_LOCKS, exceptions)
    yield scene.query(Branch.SOURCE, "migration_flags_unseen")
    for name in ("job_write", "job_advance"):
        yield scene.query(Branch.CONFIG, name)


def _base(scene: Scene, until: datetime) -> datetime:
    if scene.revision is DROP_ARCHIVED:
        return EARLIEST
    return min(until, _believed_until(scene.migration) or EARLIEST)


def _script(scene: Scene, writer: ScriptWriter) -> Iterator[str]:
    if scene.facts.rows_read_true:
        steps = load_steps(writer.catalog, f"{DROP_ARCHIVED.name}.down")
        yield from writer.steps(step for step in steps if step.name in TAIL)
    else:
        steps = load_steps(writer.catalog, f"{WATERMARK.name}.down")
        yield from writer.steps(step for step in steps if step.name in WHOLE)
    if writer.apart:
        yield from _exceptions(scene, writer)


def _exceptions(scene: Scene, writer: ScriptWriter) -> Iterable[str]:
    """The watermark lives elsewhere: each exception is written out."""
    migration = scene.migration
    statement = migration.source_catalog.get("migration_flag_one")
    for page in iterate_open(migration.config):
        for item in page:
            start = item.created_at - timedelta(microseconds=1)
            values = migration.schema.window(start, item.created_at)
            values |= {**migration.schema.uid_values(item.uid), "archived": item.archived}
            yield writer.bound(statement, values)


WRITE_FLAGS = Work(
    name="write_flags",
    branch=Branch.SOURCE,
    says="a file is archived if it lies at or below the watermark, unless it is an open exception",
    when=lambda facts: facts.has_watermark and not facts.flags_are_written,
    makes={"flags_are_written": True, "rows_read_true": False},
    statements=_statements,
    act=_write,
    script=_script,
)
