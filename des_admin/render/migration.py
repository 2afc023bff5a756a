"""The status of the migrations, as an operator reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from des_admin.render.tables import Column, print_facts, print_table
from des_admin.render.values import count, utc
from des_core.basics.wording import numbered

if TYPE_CHECKING:
    from rich.console import Console

    from des_core.migration.status import MigrationStatus, RevisionStatus


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


def _status_facts(status: MigrationStatus) -> Iterator[tuple[str, object]]:
    watermark = status.watermark
    if watermark is None:
        yield "watermark", "none"
    else:
        yield "watermark", utc(watermark.archived_until)
        yield "lag", numbered(watermark.lag_days, "day")
        yield "changed", f"{utc(watermark.last_updated)} by {watermark.updated_by or '–'}"
        yield "initial watermark", utc(status.seed)
    files = sum(reason.files for reason in status.exceptions)
    reasons = ", ".join(f"{reason.files:,} {reason.reason}" for reason in status.exceptions)
    yield "open exceptions", f"{count(files)}" + (f" ({reasons})" if reasons else "")
    yield "column archived", "there" if status.has_archived_column else "gone"
    yield "index on created_at", status.created_at_index or "none"
    if status.rollback is not None and status.rollback.state == "running":
        flags = numbered(status.rollback.rows_done, "flag")
        yield "rollback", f"unfinished, {flags} written: run des-admin migrate down again"
    yield "at work", status.lock_holder or "nobody"
