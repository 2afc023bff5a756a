"""Sharded workers: how many must reach the target, how many are behind, how long ago they moved."""

from __future__ import annotations

from typing import Any

from des_core.database.stored_time import from_stored
from des_core.database.transaction import Transaction
from des_core.metrics.values import MetricValues


def read_workers(tx: Transaction, configured: int | None) -> MetricValues:
    """The worker metrics; rows of another number of workers than the expected one do not count.

    Workers may have their number from flags or from a pod's environment, where the exporter's own
    configuration does not say it. Then the table does: a single runner leaves no rows there.
    """
    rows: list[Any] = list(tx.run("metrics_workers"))
    expected = configured or 1
    if expected == 1:
        expected = max((int(row.workers_total) for row in rows), default=1)
    values = MetricValues()
    values.set("des_workers_expected", expected)
    values.set("des_workers_behind", 0)
    values.set_moment("des_workers_slowest_update_timestamp_seconds", None)
    group = [row for row in rows if int(row.workers_total) == expected]
    if expected > 1:
        _set_progress(values, group, expected)
    return values


def _set_progress(values: MetricValues, group: list[Any], expected: int) -> None:
    reached = [from_stored(row.packed_until) for row in group]
    furthest = max(reached, default=None)
    behind = [row for row in group if from_stored(row.packed_until) != furthest]
    silent = expected - len(group)
    values.set("des_workers_behind", len(behind) + silent)
    if silent == 0:
        slowest = min(group, key=lambda row: from_stored(row.packed_until))
        updated = from_stored(slowest.updated_at)
        values.set_moment("des_workers_slowest_update_timestamp_seconds", updated)
