"""Every statement that a way up or back may run in the state that was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_core.ledger.revisions import Direction, Revision
from des_core.migration.base.seed_plan import Count

if TYPE_CHECKING:
    from des_core.migration.base.migration import Migration


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """One statement that may run: where, what for, what it locks and costs, rows it touches."""

    revision: str
    step: str
    database: str
    purpose: str
    sql: str
    lock: str
    cost: str
    rows: Count | None = None


def list_statements(
    migration: Migration, revisions: Iterable[Revision], direction: Direction
) -> Iterator[PlannedStatement]:
    """The statements of these revisions, in order; what one leaves the next one finds."""
    from des_core.migration.operations.facts import Facts
    from des_core.migration.operations.kinds import Scene
    from des_core.migration.operations.versions import operations_of

    facts = Facts(migration)
    for revision in revisions:
        for operation in operations_of(revision, direction):
            if operation.when(facts):
                scene = Scene(migration, revision, direction, facts)
                yield from operation.planned(scene)
                facts = facts.after(operation.changes(scene))
