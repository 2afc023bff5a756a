"""The four revisions, in the order in which they go up; they go down in the reverse order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

VERSION_TABLE = "des_admin_version"


class Branch(StrEnum):
    """Which of the two databases a revision changes. The value is Alembic's branch label."""

    CONFIG = "config"
    SOURCE = "source"


class Direction(StrEnum):
    """Which way a migration goes."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision. `down` is the one before it on its branch, `needs` one of the other branch."""

    name: str
    branch: Branch
    down: str | None
    intent: str
    needs: str | None = None


LEDGER = Revision("0001_ledger", Branch.CONFIG, None, "tables for ledger, exceptions and events")
CREATED_AT_INDEX = Revision(
    "0002_created_at_index", Branch.SOURCE, None, "an index on created_at alone"
)
WATERMARK = Revision("0003_watermark", Branch.CONFIG, LEDGER.name, "the watermark, seeded")
DROP_ARCHIVED = Revision(
    "0004_drop_archived",
    Branch.SOURCE,
    CREATED_AT_INDEX.name,
    "the column archived goes",
    needs=WATERMARK.name,
)
REVISIONS = (LEDGER, CREATED_AT_INDEX, WATERMARK, DROP_ARCHIVED)
BY_NAME = {revision.name: revision for revision in REVISIONS}


def applied_revisions(heads: frozenset[str]) -> frozenset[str]:
    """The heads and everything below them."""
    found: set[str] = set()
    for head in heads:
        name: str | None = head
        while name is not None:
            found.add(name)
            name = BY_NAME[name].down
    return frozenset(found)
