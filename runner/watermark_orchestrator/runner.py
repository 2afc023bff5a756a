"""The packing runner as a program: signals, metrics, one cycle or many; for both command lines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from des_core.basics.errors import Interrupted, Terminated
from des_core.database.connections import open_database
from des_core.ledger.outcomes import RUN, remembered
from des_core.metrics.session import open_runner_metrics
from des_core.process.logs import get_logger
from des_core.process.secrets import Redactor, secrets_of
from des_core.settings.config import Settings
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.continuous import DEFAULT_INTERVAL_S, run_continuously, run_single
from watermark_orchestrator.cycle import CycleReport
from watermark_orchestrator.progress_events import ProgressSink, ignore_progress
from watermark_orchestrator.stopping import stop_on_signals

log = get_logger("runner")


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How to run: `actor` is who moves the watermark; `interval_s` counts in continuous mode."""

    continuous: bool = False
    interval_s: float = DEFAULT_INTERVAL_S
    actor: str = "runner"


def run_cycles(
    settings: Settings,
    options: RunnerOptions,
    *,
    say: Callable[[str], None],
    on_report: Callable[[CycleReport], None],
    progress: ProgressSink = ignore_progress,
) -> CycleReport:
    """One cycle, or cycles until a signal; each report goes to `on_report`, the last is returned.

    In continuous mode it does not return: it raises Interrupted or Terminated.
    """
    opener = partial(open_archive, settings, actor=options.actor)
    worker = settings.database.shard_id or 0
    with (
        stop_on_signals(say) as stop,
        closing(open_database(settings.config_url)) as config,
        open_runner_metrics(settings.metrics, config, worker=worker) as metrics,
    ):
        remember = partial(
            remembered,
            lambda: config,
            RUN,
            actor=options.actor,
            worker=worker,
            clean=Redactor(secrets_of(settings)).clean,
        )
        try:
            if options.continuous:
                run_continuously(
                    opener,
                    stop=stop,
                    on_report=on_report,
                    progress=progress,
                    metrics=metrics,
                    interval_s=options.interval_s,
                    remember=remember,
                )
            report = run_single(
                opener, stop=stop, progress=progress, metrics=metrics, remember=remember
            )
        except (Interrupted, Terminated) as stopped:
            log.info("stopped", exit_code=int(stopped.exit_code))
            raise
    on_report(report)
    return report
