"""Values of metrics as they were read: checked against the table of definitions when set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from des_core.metrics.definitions import METRICS, Metric


class MetricValues:
    """Values by metric and label value. What was never set is not served."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = {}

    def set(self, name: str, value: float, label: str = "") -> None:
        """Set one series; KeyError for a name that the table does not have."""
        METRICS[name]
        self._values.setdefault(name, {})[label] = float(value)

    def add(self, name: str, amount: float, label: str = "") -> None:
        """Add to one series, which begins at zero."""
        self.set(name, (self.get(name, label) or 0.0) + amount, label)

    def set_moment(self, name: str, moment: datetime | None, label: str = "") -> None:
        """Set a `*_timestamp_seconds`; None is 0, which means never."""
        self.set(name, 0.0 if moment is None else moment.timestamp(), label)

    def zero(self, name: str) -> None:
        """All series of a metric with a label, at zero."""
        for value in METRICS[name].values:
            self.set(name, 0, value)

    def update(self, other: MetricValues) -> None:
        """Take over what the other one has."""
        for name, series in other._values.items():
            self._values.setdefault(name, {}).update(series)

    def copy(self) -> MetricValues:
        """The same values, independent of later changes."""
        twin = MetricValues()
        twin.update(self)
        return twin

    def get(self, name: str, label: str = "") -> float | None:
        """One value, or None where it was never set."""
        return self._values.get(name, {}).get(label)

    def __iter__(self) -> Iterator[tuple[Metric, dict[str, float]]]:
        for name, metric in METRICS.items():
            if name in self._values:
                yield metric, self._values[name]
