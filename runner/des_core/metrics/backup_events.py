"""When the newest good backup ended, from the audit trail; only new events are read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from des_core.config import BackupSettings
from des_core.database import run
from des_core.identifiers import Dialect
from des_core.metrics.values import MetricValues
from des_core.sql_catalog import config_statement
from des_core.stored_time import from_stored

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

PAGE_SIZE = 100
SECONDS_PER_HOUR = 3600


class BackupEvents:
    """Remembers the newest good backup, and up to which event the trail was read."""

    def __init__(self) -> None:
        self._read_until = 0
        self._newest: datetime | None = None

    def read(
        self, connection: Connection, dialect: Dialect, settings: BackupSettings
    ) -> MetricValues:
        """The backup metrics. No limit is served where no backup was configured or ever made."""
        newest_id = run(connection, config_statement(dialect, "metrics_newest_ids")).one().event_id
        upto = int(newest_id or 0)
        if upto < self._read_until:
            self._read_until, self._newest = 0, None
        if upto > self._read_until:
            self._read_new(connection, dialect, upto)
        values = MetricValues()
        wanted = settings.dir is not None or self._newest is not None
        limit_s = settings.max_age_hours * SECONDS_PER_HOUR if wanted else 0.0
        values.set("des_backup_max_age_seconds", limit_s)
        values.set_moment("des_backup_last_success_timestamp_seconds", self._newest)
        return values

    def _read_new(self, connection: Connection, dialect: Dialect, upto: int) -> None:
        span = {"after_id": self._read_until, "upto_id": upto, "page_size": PAGE_SIZE}
        for row in run(connection, config_statement(dialect, "metrics_backups"), span):
            finished = finish_of_good_backup(row.at, row.details)
            if finished is not None and (self._newest is None or finished > self._newest):
                self._newest = finished
        self._read_until = upto


def finish_of_good_backup(at: Any, details: str | None) -> datetime | None:
    """When the backup of an event ended; None for one that failed, or does not say how it went."""
    try:
        facts = json.loads(details or "{}")
    except ValueError:
        return None
    if not isinstance(facts, dict) or facts.get("result") not in ("ok", True):
        return None
    return from_stored(facts.get("finished_at") or at)
