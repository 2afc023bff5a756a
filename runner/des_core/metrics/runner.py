"""The metrics of a running cycle, in a registry of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from des_core import __version__
from des_core.basics.errors import ExitCode
from des_core.ledger.slices import SliceRecord
from des_core.metrics.definitions import (
    METRICS,
    SLICE_BUCKETS_S,
    Metric,
    cycle_status,
    cycle_succeeded,
)
from des_core.metrics.seam import RunnerMetrics


class PrometheusMetrics(RunnerMetrics):
    """Keeps the runner's metrics in `registry`; `wall_clock` and `stopwatch` give seconds."""

    def __init__(
        self,
        *,
        wall_clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        # Otherwise the library adds a *_created gauge of its own beside every counter.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._wall_clock = wall_clock
        self._stopwatch = stopwatch
        self._began = stopwatch()
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        for metric in METRICS.values():
            if metric.runner:
                self._add(metric)
        self._slices = Histogram(
            "des_migration_slice_duration_seconds",
            METRICS["des_migration_slice_duration_seconds"].help,
            registry=self.registry,
            buckets=SLICE_BUCKETS_S,
        )
        self._gauges["des_build_info"].labels(__version__).set(1)

    def cycle_started(self, *, watermark: datetime, target: datetime, lag_days: int) -> None:
        """See RunnerMetrics."""
        self._began = self._stopwatch()
        window_s = max((target - watermark).total_seconds(), 0.0)
        self._set("des_watermark_lag_days", lag_days)
        self._set("des_watermark_window_size_seconds", window_s)
        self._set("des_migration_cycle_running", 1)
        self._set("des_migration_cycle_start_timestamp_seconds", self._wall_clock())
        self._set_watermark(watermark, target)

    def slice_committed(
        self, record: SliceRecord, *, shards: int, watermark: datetime, target: datetime
    ) -> None:
        """See RunnerMetrics."""
        self._count("des_migration_files_total", record.files_out)
        # A second try that fails again is no new exception.
        if record.kind != "exceptions":
            self._count("des_migration_files_failed_total", record.files_failed)
        self._count("des_migration_bytes_total", record.bytes_in)
        self._count("des_migration_shard_bytes_total", record.bytes_out)
        self._count("des_migration_shards_total", shards)
        self._count("des_migration_slices_total", 1)
        self._slices.observe((record.finished_at - record.started_at).total_seconds())
        self._set_watermark(watermark, target)
        if record.kind == "window":
            finished = record.finished_at.timestamp()
            self._set("des_migration_last_progress_timestamp_seconds", finished)

    def cycle_finished(self, code: ExitCode) -> None:
        """See RunnerMetrics."""
        self._set("des_migration_cycle_running", 0)
        self._set("des_migration_duration_seconds", self._stopwatch() - self._began)
        self._counters["des_migration_cycles_total"].labels(cycle_status(code)).inc()
        if cycle_succeeded(code):
            self._set("des_migration_last_success_timestamp_seconds", self._wall_clock())
            self._set("des_migration_failed_cycles", 0)
        elif code not in (ExitCode.LOCKED, ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            self._gauges["des_migration_failed_cycles"].inc()

    def _set_watermark(self, watermark: datetime, target: datetime) -> None:
        self._set("des_watermark_timestamp_seconds", watermark.timestamp())
        self._set("des_watermark_target_timestamp_seconds", target.timestamp())
        self._set("des_watermark_lag_seconds", max((target - watermark).total_seconds(), 0.0))

    def _add(self, metric: Metric) -> None:
        labels = () if metric.label is None else (metric.label,)
        if metric.kind == "gauge":
            gauge = Gauge(metric.name, metric.help, labels, registry=self.registry)
            self._gauges[metric.name] = gauge
        elif metric.kind == "counter":
            counter = Counter(metric.name, metric.help, labels, registry=self.registry)
            self._counters[metric.name] = counter
            for value in metric.values:
                counter.labels(value)

    def _set(self, name: str, value: float) -> None:
        self._gauges[name].set(value)

    def _count(self, name: str, amount: float) -> None:
        self._counters[name].inc(amount)
