"""What an operator can watch: the metrics of a running cycle and those read from the database.

`definitions` is the one table of names, `seam` what a cycle calls while it runs, `session` where a
process that runs cycles gets it from. The exporter's side is `snapshot`, `collector`, `exporter`.
"""

from des_core.metrics.seam import RunnerMetrics, observe_cycle

__all__ = ["RunnerMetrics", "observe_cycle"]
