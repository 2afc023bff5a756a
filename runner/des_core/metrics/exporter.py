"""The long-lived reader: it reads at its own pace, and a scrape gets what was read last.

So a scrape never waits for a database, and many scrapes cost a database no more than one. What
could not be read keeps its last value; `des_database_up` and the time of the last complete read
say that it is old. What was never read is not served: unknown is not zero.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from des_core import __version__
from des_core.basics.errors import DatabaseUnreachable, DesError
from des_core.ledger.watermark import Watermark
from des_core.metrics.archive_reader import ArchiveReader
from des_core.metrics.collector import ValuesCollector
from des_core.metrics.server import Health
from des_core.metrics.values import MetricValues
from des_core.process.logs import get_logger
from des_core.settings.config import Settings

INTERVAL_S = 15.0
STUCK_AFTER_S = 300.0
LAST_READ_S = 2.0
AWAKE_S = 1.0


class Exporter:
    """Keeps the current values. One thread reads, by `run`; those of the server only look."""

    def __init__(self, settings: Settings, *, interval_s: float = INTERVAL_S) -> None:
        self._settings = settings
        self._interval_s = interval_s
        self._reader = ArchiveReader(settings)
        self._log = get_logger("exporter")
        self._guard = threading.Lock()
        self._values = _first_values()
        self._problem: str | None = "nothing was read yet"
        self._has_tried = False
        self._busy_since: float | None = None
        self.registry = CollectorRegistry()
        self.registry.register(ValuesCollector(self.current))

    def current(self) -> MetricValues:
        """What a scrape gets now."""
        with self._guard:
            return self._values.copy()

    @property
    def health(self) -> Health:
        """Live while reads come back; ready once the first one did, also from a dead database.

        An exporter that says that the database is down must itself stay in the list of targets.
        """
        return Health(
            live=self._describe_stuck_read,
            ready=lambda: None if self._has_tried else self._problem,
        )

    def run(self, stop: threading.Event) -> None:
        """Read at each interval until the stop, then close the databases.

        A thread of its own reads: a server that never answers must not hold up the end. Nothing is
        lost with a read that is given up.
        """
        failures: list[BaseException] = []
        ended = threading.Event()  # a join that a signal interrupts takes the thread for ended

        def read() -> None:
            try:
                self._read_until(stop)
            except BaseException as exc:
                failures.append(exc)
            finally:
                ended.set()

        threading.Thread(target=read, name="reader", daemon=True).start()
        try:
            # Awake now and then: a signal that another thread got is handled only by an awake one.
            while not ended.wait(AWAKE_S):
                pass
        finally:
            stop.set()
            ended.wait(LAST_READ_S)
        if failures:
            raise failures[0]

    def _read_until(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self.read_once()
                stop.wait(self._interval_s)
        finally:
            self.close()

    def close(self) -> None:
        """Close the databases; the next read would open them again."""
        self._reader.disconnect()

    def read_once(self) -> str | None:
        """Read everything; what the databases refuse is logged, counted and returned."""
        self._busy_since = began = time.monotonic()
        values = MetricValues()
        problems = self._read_databases(values)
        _read_volumes(self._settings, values)
        values.set("des_exporter_read_duration_seconds", time.monotonic() - began)
        if not problems:
            values.set("des_exporter_last_read_timestamp_seconds", time.time())
        with self._guard:
            self._values.update(values)
            self._values.add("des_exporter_failed_reads_total", bool(problems))
        self._note("; ".join(problems) or None)
        self._busy_since, self._has_tried = None, True
        return self._problem

    def _read_databases(self, values: MetricValues) -> list[str]:
        problems: list[str] = []
        watermark: Watermark | None = None
        try:
            found, watermark = self._reader.read_config()
            values.update(found)
        except DesError as exc:
            problems.append(f"config database: {exc}")
            self._after_failure(exc, values, "config")
        else:
            values.set("des_database_up", 1, "config")
        try:
            # Without the watermark one cannot ask what waits, but whether anybody is there.
            if watermark is None:
                self._reader.ask_source()
            else:
                values.update(self._reader.read_source(watermark))
        except DesError as exc:
            problems.append(f"source database: {exc}")
            self._after_failure(exc, values, "source")
        else:
            values.set("des_database_up", 1, "source")
        return problems

    def _after_failure(self, exc: DesError, values: MetricValues, database: str) -> None:
        self._reader.disconnect()
        values.set("des_database_up", not isinstance(exc, DatabaseUnreachable), database)

    def _note(self, problem: str | None) -> None:
        """Log when it gets worse or better, not at every read."""
        if problem is not None and problem != self._problem:
            self._log.warning("read_failed", error=problem)
        elif problem is None and self._problem is not None:
            self._log.info("read_succeeded")
        self._problem = problem

    def _describe_stuck_read(self) -> str | None:
        since = self._busy_since
        if since is None or time.monotonic() - since < STUCK_AFTER_S:
            return None
        return f"a read has not come back for {STUCK_AFTER_S:.0f} seconds"


def _first_values() -> MetricValues:
    values = MetricValues()
    values.zero("des_database_up")
    values.set("des_build_info", 1, __version__)
    values.set_moment("des_exporter_last_read_timestamp_seconds", None)
    values.set("des_exporter_read_duration_seconds", 0)
    values.set("des_exporter_failed_reads_total", 0)
    return values


def _read_volumes(settings: Settings, values: MetricValues) -> None:
    directories = {"output": settings.packer.output_dir, "backup": settings.backup.dir}
    for volume, directory in directories.items():
        if directory is None or not Path(directory).is_dir():
            continue
        try:
            found = os.statvfs(directory)
        except OSError:
            continue  # it was there a moment ago: its last values stay
        values.set("des_volume_size_bytes", found.f_blocks * found.f_frsize, volume)
        values.set("des_volume_free_bytes", found.f_bavail * found.f_frsize, volume)
