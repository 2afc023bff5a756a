"""The cycle: pack what lies between watermark and target, then move the watermark once."""

from watermark_orchestrator.orchestrator import WatermarkMigrationOrchestrator

__all__ = ["WatermarkMigrationOrchestrator"]
