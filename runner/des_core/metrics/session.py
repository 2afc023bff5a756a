"""The metrics of one process that runs cycles: kept in the database, and shown as configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from des_core.database.connections import Database
from des_core.metrics.journal import JournaledMetrics
from des_core.metrics.seam import RunnerMetrics
from des_core.settings.config import MetricsSettings


@contextmanager
def open_runner_metrics(
    settings: MetricsSettings, config: Database, *, worker: int = 0
) -> Iterator[RunnerMetrics]:
    """What the cycles of this process tell their story to.

    The journal is always kept. Packing matters more than watching: nothing of `watched` is fatal,
    and a run that nobody watches does not even load it.
    """
    journal = JournaledMetrics(config, worker=worker)
    if settings.enabled or settings.textfile is not None or settings.pushgateway_url is not None:
        from des_core.metrics.watched import watched

        with watched(journal, settings) as metrics:
            yield metrics
    else:
        yield journal
