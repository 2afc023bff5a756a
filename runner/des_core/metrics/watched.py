"""The metrics of one process that somebody watches: served, and left behind, as configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from des_core.basics.errors import ExitCode, UsageError
from des_core.metrics.journal import JournaledMetrics
from des_core.metrics.leave_behind import leave_behind
from des_core.metrics.runner import PrometheusMetrics
from des_core.metrics.seam import RunnerMetrics
from des_core.metrics.server import serve
from des_core.process.logs import get_logger
from des_core.settings.config import MetricsSettings


@contextmanager
def watched(journal: JournaledMetrics, settings: MetricsSettings) -> Iterator[RunnerMetrics]:
    """The endpoint is there if metrics are enabled; a port that is taken is logged, not fatal.

    At the end the values go to the textfile and the Pushgateway, where these are configured.
    """
    kept = _JournaledToo(journal)
    try:
        with _served_if_possible(kept, settings):
            yield kept
    finally:
        leave_behind(kept.registry, settings)


class _JournaledToo(PrometheusMetrics):
    """What the endpoint shows, and then the journal, which wants begin and end only."""

    def __init__(self, journal: JournaledMetrics) -> None:
        super().__init__()
        self._journal = journal

    def cycle_started(self, *, watermark: datetime, target: datetime, lag_days: int) -> None:
        """See RunnerMetrics."""
        super().cycle_started(watermark=watermark, target=target, lag_days=lag_days)
        self._journal.cycle_started(watermark=watermark, target=target, lag_days=lag_days)

    def cycle_finished(self, code: ExitCode) -> None:
        """See RunnerMetrics."""
        super().cycle_finished(code)
        self._journal.cycle_finished(code)


@contextmanager
def _served_if_possible(kept: PrometheusMetrics, settings: MetricsSettings) -> Iterator[None]:
    log = get_logger("metrics")
    with ExitStack() as stack:
        if settings.enabled:
            try:
                endpoint = stack.enter_context(serve(kept.registry, settings))
                log.info("metrics_served", url=endpoint.url)
            except UsageError as exc:
                log.warning("metrics_not_served", error=str(exc))
        yield
