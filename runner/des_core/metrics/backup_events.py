"""When the newest good backup ended, by the last recorded check of each; reads new events only."""

from __future__ import annotations

import json
from datetime import datetime

from des_core.backup.record import GOOD
from des_core.basics.timestamps import parse_stored
from des_core.database.transaction import Transaction
from des_core.metrics.values import MetricValues
from des_core.settings.config import BackupSettings

NEWEST_CHECKS = 1000
SECONDS_PER_HOUR = 3600
BackupKey = tuple[str, str]


class BackupEvents:
    """Remembers what the last check of each backup said, and how far the trail was read."""

    def __init__(self) -> None:
        self._read_until = 0
        self._finished: dict[BackupKey, datetime | None] = {}

    def read(self, tx: Transaction, settings: BackupSettings) -> MetricValues:
        """The backup metrics. The limit is 0 where no backup was configured or ever checked."""
        newest_id = tx.run("metrics_newest_ids").one().event_id
        upto = int(newest_id or 0)
        if upto < self._read_until:
            self._read_until, self._finished = 0, {}
        if upto > self._read_until:
            self._read_new(tx, upto)
        wanted = settings.dir is not None or bool(self._finished)
        newest = max(filter(None, self._finished.values()), default=None)
        values = MetricValues()
        values.set("des_backup_max_age_seconds", settings.max_age_hours * SECONDS_PER_HOUR * wanted)
        values.set_moment("des_backup_last_success_timestamp_seconds", newest)
        return values

    def _read_new(self, tx: Transaction, upto: int) -> None:
        span = {"after_id": self._read_until, "upto_id": upto, "page_size": NEWEST_CHECKS}
        rows = tx.run("metrics_backups", span).all()
        for row in reversed(rows):
            found = checked_backup(row.details)
            if found is not None:
                key, finished = found
                self._finished.pop(key, None)
                self._finished[key] = finished
        for key in list(self._finished)[:-NEWEST_CHECKS]:
            del self._finished[key]
        self._read_until = upto


def checked_backup(details: str | None) -> tuple[BackupKey, datetime | None] | None:
    """Which backup a check was about, and when it ended if it is good; None for no backup."""
    try:
        facts = json.loads(details or "{}")
        key = (str(facts["name"]), str(facts.get("manifest_sha256")))
        finished = parse_stored(facts["finished_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # a check that found no manifest, or an event of another version
    return key, finished if facts.get("result") == GOOD else None
