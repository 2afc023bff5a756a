"""Telling the caller how far a long step is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is. `total_bytes` is an estimate, or None where nobody knows."""

    step: str
    done_bytes: int
    total_bytes: int | None = None


Listener = Callable[[Progress], None]


def ignore(_progress: Progress) -> None:
    """For callers who want only the result."""
