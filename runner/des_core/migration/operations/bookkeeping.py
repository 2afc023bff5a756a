"""Which revision a database is at: the row of des_admin_version, after all that it claims.

Written by our own statements, as `migrate sql` writes them, and in a transaction of its own: a
revision may be repeated, so a crash before this row is cured by running the same command again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from des_core.database.catalog import Statement
from des_core.database.transaction import Transaction
from des_core.ledger.revisions import Direction, Revision
from des_core.migration.operations.kinds import ROW_LOCKS, Operation, Scene
from des_core.migration.operations.planned import PlannedStatement
from des_core.migration.steps.patience import patiently

if TYPE_CHECKING:
    from des_core.migration.steps.script_writer import ScriptWriter

TABLE_LOCK = "none on existing tables"


@dataclass(frozen=True, kw_only=True)
class Version(Operation):
    """One of the statements `version_*`, with the revision's own values."""

    def planned(self, scene: Scene) -> Iterable[PlannedStatement]:
        lock = TABLE_LOCK if self.name == "version_table" else ROW_LOCKS
        return [scene.query(self.place(scene), self.name, lock)]

    def run(self, scene: Scene) -> None:
        def work(tx: Transaction) -> None:
            tx.run(self._statement(scene), self._values(scene))

        is_ddl = self.name == "version_table"
        database = scene.database(self.place(scene))
        patiently(scene.migration, database, self.name, work, is_ddl=is_ddl)

    def write(self, scene: Scene, writer: ScriptWriter) -> Iterable[str]:
        return [writer.bound(self._statement(scene), self._values(scene))]

    def _statement(self, scene: Scene) -> Statement:
        return scene.catalog(self.place(scene)).get(self.name)

    def _values(self, scene: Scene) -> dict[str, object]:
        there, back = scene.revision.name, scene.revision.down
        if self.name == "version_table":
            return {}
        if back is None:
            return {"revision": there}
        is_up = scene.direction is Direction.UP
        return {"revision": there if is_up else back, "previous": back if is_up else there}


def bookkeeping(
    revision: Revision, direction: Direction, operations: Sequence[Operation]
) -> Sequence[Operation]:
    """The operations of a revision between those that keep its database's version."""
    return [*_before(revision, direction), *operations, *_after(revision, direction)]


def _before(revision: Revision, direction: Direction) -> Iterator[Operation]:
    if revision.down is None and direction is Direction.UP:
        yield Version(name="version_table")


def _after(revision: Revision, direction: Direction) -> Iterator[Operation]:
    if revision.down is not None:
        yield Version(name="version_move")
    else:
        yield Version(name="version_begin" if direction is Direction.UP else "version_end")
