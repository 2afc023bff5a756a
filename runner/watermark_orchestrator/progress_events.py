"""What a run tells whoever watches it: plain values, no printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from watermark_orchestrator.slices import Window


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step of a run.

    `kind`: `slice_started` (files_total is known), `files_packed` (files and bytes so far in the
    slice), `slice_committed`, `retry_started`, `sources_deleted` (files and bytes so far),
    `reconnecting` (message says why).
    """

    kind: Literal[
        "slice_started",
        "files_packed",
        "slice_committed",
        "retry_started",
        "sources_deleted",
        "reconnecting",
    ]
    window: Window | None = None
    files: int = 0
    files_total: int = 0
    bytes: int = 0
    message: str = ""


ProgressSink = Callable[[ProgressEvent], None]


def ignore_progress(_event: ProgressEvent) -> None:
    """A sink for runs that nobody watches."""
