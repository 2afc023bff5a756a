"""Who holds `files`, so that a change of the table must wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from des_core.migration.base.migration import Migration
from des_core.migration.state.tables import table_values


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds `files` and for how long its transaction has been open."""

    session: int | None
    user: str | None
    age_s: float
    state: str | None
    query: str | None

    def __str__(self) -> str:
        who = "a prepared transaction" if self.session is None else f"session {self.session}"
        query = " ".join((self.query or "").split())
        return f"{who} of {self.user or '?'}, open for {self.age_s:.0f} s ({self.state}): {query}"


def find_blockers(migration: Migration, query: str = "migration_blockers") -> list[Blocker]:
    """Who holds `files` right now, oldest first; as far as this user may see.

    `migration_own_waits` instead asks whom our own sessions are waiting for.
    """
    statement = migration.source_catalog.get(query)
    with migration.source.read() as tx:
        rows: list[Any] = list(tx.run(statement, table_values(migration)))
    return [
        Blocker(
            session=None if row.session is None else int(row.session),
            user=row.user_name,
            age_s=float(row.age_s or 0),
            state=row.state,
            query=row.query,
        )
        for row in rows
    ]
