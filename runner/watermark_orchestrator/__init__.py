"""The cycle: pack the rows between watermark and target, then move the watermark once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watermark_orchestrator.orchestrator import WatermarkMigrationOrchestrator

__all__ = ["WatermarkMigrationOrchestrator"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: `python -m watermark_orchestrator --help` needs no database."""
    if name != "WatermarkMigrationOrchestrator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from watermark_orchestrator.orchestrator import WatermarkMigrationOrchestrator

    return WatermarkMigrationOrchestrator
