"""Watching a concurrent index build of PostgreSQL: how far it is, and whom it waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from des_core.basics.errors import DesError
from des_core.basics.identifiers import Dialect
from des_core.migration.base.migration import Migration
from des_core.migration.state.blockers import find_blockers
from des_core.migration.state.tables import table_values

WATCH_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """One build that goes on right now."""

    session: int
    phase: str
    done_blocks: int
    total_blocks: int

    def __str__(self) -> str:
        share = f", {self.done_blocks * 100 // self.total_blocks} %" if self.total_blocks else ""
        return f"{self.phase}{share}"


def find_builds(migration: Migration) -> list[IndexBuild]:
    """Builds of indexes on `files`, ours and those of others."""
    statement = migration.source_catalog.get("migration_index_builds")
    with migration.source.read() as tx:
        rows: list[Any] = list(tx.run(statement, table_values(migration)))
    return [IndexBuild(int(r.session), r.phase, int(r.done), int(r.total)) for r in rows]


@contextmanager
def watch_build(migration: Migration, revision: str, step: str) -> Iterator[None]:
    """Report progress and blockers while the block runs; silent where nothing can be seen."""
    if migration.source.dialect is not Dialect.POSTGRES:
        yield
        return
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(WATCH_EVERY_S):
            try:
                texts = _see(migration)
            except DesError:
                return
            for text in texts:
                migration.tell(revision, step, text)

    thread = threading.Thread(target=watch, name="des-index-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _see(migration: Migration) -> list[str]:
    waits = find_blockers(migration, "migration_own_waits")
    if waits:
        return ["waiting: " + "; ".join(map(str, waits))]
    return [str(build) for build in find_builds(migration)]
