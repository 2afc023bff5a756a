"""What the column archived is made of, as a value that is kept from its drop to the way back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

COLUMN_JOB = "archived_column"


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do with the column alone; `grantee` None is everybody."""

    grantee: str | None
    privilege: str
    is_grantable: bool


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """`default`: FALSE, TRUE or nothing. `after`: the column before it, if that counts.

    `definition`: SQLite's own words. `lost`: what the way back does not make.
    """

    type: str
    is_nullable: bool
    default: str
    comment: str | None = None
    statistics: int | None = None
    options: str | None = None
    after: str | None = None
    is_invisible: bool = False
    definition: str | None = None
    grants: tuple[Grant, ...] = ()
    lost: tuple[str, ...] = ()

    def details(self) -> dict[str, Any]:
        """For a record: what is not as it would be by itself."""
        ordinary = (None, False, ())
        return {name: value for name, value in asdict(self).items() if value not in ordinary}
