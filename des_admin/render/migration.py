"""Plans and status of the migrations, as an operator reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, size, utc

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.migration.plan import MigrationPlan
    from des_core.migration.seed_plan import SeedPlan
    from des_core.migration.status import MigrationStatus, RevisionStatus

ORIGINS = {
    "newest_archived": "the newest archived row",
    "seed_at": "--seed-at",
    "default_archived_until": "watermark.default_archived_until; nothing is archived yet",
    "below_oldest": "below the oldest row; nothing is archived yet",
    "target": "the target; the table is empty",
    "adopted": "the table des_archive_config that was made by hand",
}
STATEMENT_COLUMNS = (
    Column("database"),
    Column("step", wraps=False, style="bold"),
    Column("what for"),
    Column("locks"),
    Column("costs"),
    Column("rows", numeric=True),
)


def print_plan(console: Console, plan: MigrationPlan) -> None:
    """The whole plan: facts, seed, gate, statements."""
    if plan.is_empty:
        console.print("nothing to do: every revision is in place", markup=False)
        return
    print_facts(console, _plan_facts(plan))
    console.print()
    print_table(console, STATEMENT_COLUMNS, _statement_rows(plan))
    for finding in plan.gate:
        mark = "passes" if finding.is_passed else "REFUSES"
        mark = "passes, WARNING" if finding.is_warning else mark
        console.print(f"gate {finding.check}: {mark}: {finding.text}", markup=False)
    for blocker in plan.blockers:
        console.print(f"holds files now: {blocker}", markup=False)


def print_status(console: Console, status: MigrationStatus) -> None:
    """Revisions as a table, then the rest as facts."""
    columns = [Column("revision", wraps=False, style="bold"), Column("database"), Column("state")]
    rows = [(r.name, r.database, _state(r)) for r in status.revisions]
    print_table(console, columns, rows)
    console.print()
    print_facts(console, _status_facts(status))


def _state(revision: RevisionStatus) -> str:
    from des_core.ledger.revisions import DROP_ARCHIVED

    if revision.is_applied:
        return "applied"
    is_optional = revision.name == DROP_ARCHIVED.name
    return "not applied (optional: migrate up --drop-archived)" if is_optional else "not applied"


def _plan_facts(plan: MigrationPlan) -> Iterator[tuple[str, object]]:
    yield f"migrate {plan.direction}", ", ".join(plan.revisions)
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


def _seed_facts(seed: SeedPlan) -> Iterator[tuple[str, object]]:
    yield "watermark starts at", f"{utc(seed.archived_until)}, from {ORIGINS[seed.origin]}"
    yield "rows from, to", f"{utc(seed.oldest_row)}, {utc(seed.newest_row)}"
    yield "lag", f"{seed.lag_days} days"
    yield "captured as exceptions", f"{seed.holes} rows below it that are not archived"
    if seed.repacked.rows:
        yield "packed again", f"{seed.repacked} rows above it that are marked archived"
    if seed.unseen.rows:
        yield "never seen", f"{seed.unseen} rows without created_at: no window can see them"
    for note in seed.notes:
        yield "note", note


def _statement_rows(plan: MigrationPlan) -> Iterator[tuple[object, ...]]:
    for item in plan.statements:
        rows = "" if item.rows is None else str(item.rows)
        yield item.database, item.step, item.purpose, item.lock, item.cost, rows


def _status_facts(status: MigrationStatus) -> Iterator[tuple[str, object]]:
    watermark = status.watermark
    if watermark is None:
        yield "watermark", "none"
    else:
        yield "watermark", utc(watermark.archived_until)
        yield "lag", f"{watermark.lag_days} days"
        yield "changed", f"{utc(watermark.last_updated)} by {watermark.updated_by or '–'}"
        yield "seed", utc(status.seed)
    files = sum(reason.files for reason in status.exceptions)
    reasons = ", ".join(f"{reason.files:,} {reason.reason}" for reason in status.exceptions)
    yield "open exceptions", f"{count(files)}" + (f" ({reasons})" if reasons else "")
    yield "column archived", "there" if status.has_archived_column else "gone"
    yield "index on created_at", status.created_at_index or "none"
    if status.rollback is not None and status.rollback.state == "running":
        rows = count(status.rollback.rows_done)
        yield "rollback", f"unfinished, {rows} flags written: run des-admin migrate down again"
    yield "at work", status.lock_holder or "nobody"
