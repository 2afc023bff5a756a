"""What a cycle tells its metrics. No call raises for a reason of its own, none blocks for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from des_core.basics.errors import DesError, ExitCode
from des_core.ledger.slices import SliceRecord


class RunnerMetrics:
    """Called by the one process that runs cycles, from its main thread, after the fact.

    Times are aware UTC. `watermark` is where it is now, `target` where this cycle wants it. This
    one keeps nothing: it is for runs that nobody watches.
    """

    def cycle_started(self, *, watermark: datetime, target: datetime, lag_days: int) -> None:
        """A cycle has taken the lock and computed its window `(watermark, target]`."""

    def slice_committed(
        self, record: SliceRecord, *, shards: int, watermark: datetime, target: datetime
    ) -> None:
        """A slice is in the ledger. `shards` counts the shards written for it."""

    def cycle_finished(self, code: ExitCode) -> None:
        """The cycle ended as the process would say it by its exit code."""


@dataclass
class ObservedCycle:
    """How a cycle ends unless it raises: set `code` before the block ends."""

    code: ExitCode = ExitCode.DONE


@contextmanager
def observe_cycle(metrics: RunnerMetrics) -> Iterator[ObservedCycle]:
    """Tell `metrics` how the block ended, also where it raised; errors go on unchanged."""
    observed = ObservedCycle()
    try:
        yield observed
    except BaseException as exc:
        observed.code = code_of(exc)
        raise
    finally:
        metrics.cycle_finished(observed.code)


def code_of(error: BaseException) -> ExitCode:
    """The exit code with which a process would end for this error."""
    if isinstance(error, DesError):
        return error.exit_code
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.BUG
