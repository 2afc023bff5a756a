"""Metrics that were read elsewhere, as the client library wants to collect them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from des_core.metrics.values import MetricValues


class ValuesCollector(Collector):
    """Serves what `current` returns at the moment of the scrape; it must not block."""

    def __init__(self, current: Callable[[], MetricValues]) -> None:
        self._current = current

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """One family per metric that has values."""
        for metric, series in self._current():
            family_type = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            labels = () if metric.label is None else (metric.label,)
            family = family_type(metric.name, metric.help, labels=labels)
            for label, value in series.items():
                family.add_metric((label,) if labels else (), value)
            yield family
