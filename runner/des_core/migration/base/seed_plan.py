"""The first watermark as a value: what was decided, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows; `is_exact` is False where counting stopped at a limit."""

    rows: int
    is_exact: bool = True

    def __str__(self) -> str:
        return f"{self.rows:,}" if self.is_exact else f"more than {self.rows:,}"


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """The first watermark and what it means.

    `origin` says where it comes from; `holes` become exceptions; `repacked` rows above it are
    marked archived and will be packed again; `unseen` rows have no created_at, or one that is no
    time.
    """

    archived_until: datetime
    origin: str
    lag_days: int
    holes: Count
    repacked: Count
    unseen: Count
    oldest_row: datetime | None
    newest_row: datetime | None
    notes: tuple[str, ...] = ()
