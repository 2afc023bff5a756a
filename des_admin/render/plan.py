"""The plan of a migration on one screen: what it means for the big table, then what will run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, duration, size, utc
from des_core.basics.wording import numbered, one_or_many

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.migration.base.seed_plan import Count, SeedPlan
    from des_core.migration.operations.planned import PlannedStatement
    from des_core.migration.plan import MigrationPlan

ORIGINS = {
    "newest_archived": "the newest archived row",
    "seed_at": "--seed-at",
    "default_archived_until": "watermark.default_archived_until; nothing is archived yet",
    "below_oldest": "below the oldest row; nothing is archived yet",
    "target": "the target; the table is empty",
    "adopted": "the table des_archive_config that was made by hand",
}
EVERY_COLUMN = (
    Column("database"),
    Column("step", wraps=False, style="bold"),
    Column("what for"),
    Column("locks"),
    Column("costs"),
    Column("rows", numeric=True),
)
# Of a disk and a server that do little else; said with "about".
BYTES_A_SECOND = 100 << 20
ROWS_A_SECOND = 20_000
ROWS_WRITTEN_BY = "migration_flags_next"


def print_plan(
    console: Console, plan: MigrationPlan, *, command: str | None = None, every: bool = False
) -> None:
    """The plan; `every` lists each statement. `command` is what carries out this very plan."""
    if plan.is_empty:
        console.print("nothing to do: every revision is in place", markup=False)
        return
    console.print(summary(plan), markup=False, style="bold")
    print_facts(console, _facts(plan))
    if every:
        print_table(console, EVERY_COLUMN, map(_cells, plan.statements))
    else:
        print_facts(console, _groups(plan))
    for finding in plan.gate:
        if every or finding.is_warning or not finding.is_passed:
            mark = "passes, WARNING" if finding.is_passed else "REFUSES"
            mark = mark if finding.is_warning or not finding.is_passed else "passes"
            console.print(f"check {finding.check}: {mark}: {finding.text}", markup=False)
    for blocker in plan.blockers:
        console.print(f"holds files now: {blocker}", markup=False)
    if command is not None and all(finding.is_passed for finding in plan.gate):
        console.print(f"do it: {command}", markup=False, soft_wrap=True)


def summary(plan: MigrationPlan) -> str:
    """One line: what is done to the big table, and about how long."""
    shape = [item for item in plan.statements if _place(item) == "shape"]
    parts = [f"{numbered(len(plan.statements), 'statement')} that may run"]
    reads = [item for item in shape if "reads the" in item.cost]
    if reads:
        took = _about(2 * (plan.table_bytes or 0) / BYTES_A_SECOND)
        parts.append(f"files is read for {numbered(len(reads), 'index build')}, {took}")
    parts.append(_written(plan.statements))
    if any("until" in item.lock for item in shape):
        parts.append("files is locked until that is done")
    else:
        parts.append("files is locked for moments only" if shape else "files is not locked")
    return f"migrate {plan.direction}: " + "; ".join(parts)


def _written(statements: Sequence[PlannedStatement]) -> str:
    rows = [item.rows for item in statements if item.step == ROWS_WRITTEN_BY and item.rows]
    if not rows:
        return "no row of files is written"
    took = _about(rows[0].rows / ROWS_A_SECOND)
    return f"the flags of {rows[0]} rows of files are looked at and written, {took}"


def _about(seconds: float) -> str:
    return "a moment" if seconds < 1 else f"about {duration(seconds)}"


def _place(item: PlannedStatement) -> str:
    """`ours`, or of `files`: its `shape`, the `rows` that are written, or what is only read."""
    if item.database == "config" or item.step.startswith("version_"):
        return "ours"
    if item.lock == "nothing":
        return "reads"
    word = next(line for line in item.sql.splitlines() if not line.startswith("--")).split()[0]
    return "shape" if word.upper() in ("CREATE", "ALTER", "DROP") else "rows"


def _facts(plan: MigrationPlan) -> Iterator[tuple[str, object]]:
    yield "revisions", ", ".join(plan.revisions)
    yield "plan", plan.hash
    yield "rows of files", f"about {count(plan.estimated_rows)}, {size(plan.table_bytes)}"
    if plan.row_versions is not None:
        yield "instant changes", str(plan.row_versions)
    if plan.continues:
        yield (
            "then",
            "where the watermark starts is looked for, shown and asked once the index is there",
        )
    if plan.seed is not None:
        yield from _seed_facts(plan.seed)
    if plan.forgotten_files is not None:
        yield (
            "forgets for good",
            f"which shards hold {numbered(plan.forgotten_files, 'file')}, exceptions, audit trail",
        )
    if plan.shards is not None:
        yield "shards will hold", plan.shards.describe()
        if plan.shards.advice is not None:
            yield "advice", f"{plan.shards.advice}; nobody can change it later"


def _rows(count: Count) -> str:
    return f"{count} {one_or_many(count.rows, 'row', 'rows')}"


def _seed_facts(seed: SeedPlan) -> Iterator[tuple[str, object]]:
    yield "watermark starts at", f"{utc(seed.archived_until)}, from {ORIGINS[seed.origin]}"
    yield "rows from, to", f"{utc(seed.oldest_row)}, {utc(seed.newest_row)}"
    yield "lag", numbered(seed.lag_days, "day")
    yield "captured as exceptions", f"{_rows(seed.holes)} below it not archived"
    if seed.repacked.rows:
        yield "packed again", f"{_rows(seed.repacked)} above it marked archived"
    if seed.unseen.rows:
        yield "never seen", f"{_rows(seed.unseen)} without created_at, or with what is no time"
    for note in seed.notes:
        yield "note", note


def _groups(plan: MigrationPlan) -> Iterator[tuple[str, object]]:
    """Line by line what changes the application's table; what is ours, and what reads, counted."""
    groups: dict[str, list[PlannedStatement]] = {}
    for item in plan.statements:
        groups.setdefault(_place(item), []).append(item)
    for item in groups.get("shape", []):
        yield f"shape: {item.step}", f"{item.cost}; locks {item.lock}"
    for item in groups.get("rows", []):
        rows = "" if item.rows is None else f"; rows: {item.rows}"
        yield f"rows: {item.step}", f"{item.purpose}{rows}"
    if reads := groups.get("reads"):
        yield "reads of files", f"{numbered(len(reads), 'statement')}, by an index; lock nothing"
    if ours := groups.get("ours"):
        yield (
            "ours",
            f"{numbered(len(ours), 'statement')} on des_* tables; --verbose shows every statement",
        )


def _cells(item: PlannedStatement) -> tuple[object, ...]:
    rows = "" if item.rows is None else str(item.rows)
    return item.database, item.step, item.purpose, item.lock, item.cost, rows
