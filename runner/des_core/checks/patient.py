"""What is examined: opened step by step, so that one thing missing hides only what needs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from des_core.database.connections import Database, open_database
from des_core.ledger.watermark import Watermark, compute_target, read_watermark
from des_core.migration.base.migration import Migration
from des_core.rows.reader import SourceClock, SourceReader
from des_core.settings.config import Settings


@dataclass
class Patient:
    """An archive that may be ill anywhere; each property raises DesError where it is."""

    settings: Settings

    @cached_property
    def source(self) -> Database:
        database = open_database(self.settings.source_url)
        with database.read():
            return database

    @cached_property
    def config(self) -> Database:
        if self.settings.config_url == self.settings.source_url:
            return self.source
        database = open_database(self.settings.config_url)
        with database.read():
            return database

    @cached_property
    def reader(self) -> SourceReader:
        return SourceReader(self.source, self.settings.database)

    @cached_property
    def migration(self) -> Migration:
        return Migration(self.settings, self.source, self.config)

    @property
    def clock(self) -> SourceClock:
        return self._both_clocks[0]

    @property
    def clock_read_at(self) -> datetime:
        """Our own time, taken when the server's was."""
        return self._both_clocks[1]

    @cached_property
    def _both_clocks(self) -> tuple[SourceClock, datetime]:
        """Read together: how long the server takes to answer says nothing about its clock."""
        reader = self.reader
        before = datetime.now(UTC)
        clock = reader.clock()
        return clock, before + (datetime.now(UTC) - before) / 2

    @cached_property
    def watermark(self) -> Watermark:
        with self.config.read() as tx:
            return read_watermark(tx)

    @cached_property
    def target(self) -> datetime:
        clock, watermark = self.clock, self.watermark
        return compute_target(clock.now, watermark.lag_days, clock.oldest_transaction)

    def close(self) -> None:
        for name in ("source", "config"):
            database = self.__dict__.get(name)
            if database is not None:
                database.close()
