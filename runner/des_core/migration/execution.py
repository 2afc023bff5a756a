"""Carrying out the operations of a revision: each looks at what is there, then does its part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count, groupby
from typing import TYPE_CHECKING

from des_core.database.transaction import Transaction
from des_core.ledger.revisions import Branch, Direction, Revision
from des_core.migration.base.migration import Migration, Notice
from des_core.migration.operations.facts import Facts
from des_core.migration.operations.kinds import Operation, Scene
from des_core.migration.operations.versions import operations_of
from des_core.migration.steps.patience import patiently
from des_core.migration.work.config_row import WatermarkMoved

if TYPE_CHECKING:
    from collections.abc import Iterable

# How often a watermark may move under a rollback before that gives up.
MOST_MOVES = 5


def carry_out(migration: Migration, revisions: Iterable[Revision], direction: Direction) -> None:
    """These revisions in the given order, each on the database that it changes."""
    for revision in revisions:
        for attempt in count(1):
            try:
                _carry_out_revision(migration, revision, direction)
                break
            except WatermarkMoved as moved:
                if attempt == MOST_MOVES:
                    raise
                # What was written is true of a watermark that is no more: the rest is read again.
                migration.formula_written_for = None
                migration.tell(revision.name, "write_flags", str(moved))


def _carry_out_revision(migration: Migration, revision: Revision, direction: Direction) -> None:
    alone = count()
    scene = Scene(migration, revision, direction, Facts(migration))
    for _group, members in groupby(
        operations_of(revision, direction),
        key=lambda operation: operation.group(scene) or next(alone),
    ):
        _carry_out_group(scene, list(members))


def _carry_out_group(start: Scene, members: Sequence[Operation]) -> None:
    migration = start.migration
    began = time.monotonic()
    chosen = _choose(start, members)
    if not chosen:
        return
    if len(members) == 1:
        operation, scene = chosen[0]
        operation.run(scene)
    else:
        _run_together(migration, chosen)
    if any(operation.place(scene) is Branch.SOURCE for operation, scene in chosen):
        migration.forget_schema()
    took_s = time.monotonic() - began
    for operation, scene in chosen:
        migration.report(
            Notice(
                scene.revision.name,
                operation.name,
                operation.purpose(scene),
                is_detail=True,
                took_s=took_s,
                is_on_files=operation.place(scene) is Branch.SOURCE,
            )
        )


def _choose(start: Scene, members: Sequence[Operation]) -> list[tuple[Operation, Scene]]:
    """Those that are needed by what is there now, and by what those before them will have done."""
    facts = Facts(start.migration)
    chosen = []
    for operation in members:
        scene = Scene(start.migration, start.revision, start.direction, facts)
        if operation.when(facts):
            chosen.append((operation, scene))
            facts = facts.after(operation.changes(scene))
    return chosen


def _run_together(migration: Migration, chosen: list[tuple[Operation, Scene]]) -> None:
    first, scene = chosen[0]

    def work(tx: Transaction) -> None:
        for operation, scene in chosen:
            operation.apply(scene, tx)

    names = ", ".join(operation.name for operation, _scene in chosen)
    patiently(migration, scene.database(first.place(scene)), names, work)
