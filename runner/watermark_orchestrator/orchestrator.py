"""The seam for scripts: an orchestrator over connections that the script opened itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from des_core.basics.errors import UsageError
from des_core.database.borrowed import left_as_it_was
from des_core.database_source import SourceDatabaseConfig
from des_core.ledger.watermark import read_watermark
from des_core.packer_planner import PackerConfig
from watermark_orchestrator.archive import Archive, archive_from_connections
from watermark_orchestrator.cycle import CycleReport, plan_cycle, run_cycle
from watermark_orchestrator.progress_events import ProgressSink, ignore_progress
from watermark_orchestrator.stopping import StopRequest


class WatermarkMigrationOrchestrator:
    """Watermark cycles over two open DB-API connections (psycopg, PyMySQL or sqlite3).

    The two may be one connection. They stay open, and each method leaves them as they were, without
    a transaction; they are used by the calling thread only, and by nobody else while one runs.
    The methods are coroutines for the convenience of async scripts, and do their work before they
    return.
    """

    def __init__(
        self,
        *,
        db_connection: Any,
        config_connection: Any,
        source_config: SourceDatabaseConfig,
        packer_config: PackerConfig,
        delete_source_files: bool = False,
    ) -> None:
        if delete_source_files:
            raise UsageError(
                "sources are not deleted while packing",
                hint="pass delete_source_files=False; deleting is a job of its own, much later",
            )
        self._connections = (db_connection, config_connection)
        self._source_config = source_config
        self._packer_config = packer_config

    async def initialize(self) -> None:
        """Look at the table and the watermark; WrongSchema where one is not as it must be."""
        with self._archive() as archive, archive.config.read() as tx:
            read_watermark(tx)

    async def get_pending_stats(self) -> dict[str, Any]:
        """What a cycle would pack now.

        Keys: window_start, window_end (aware UTC), lag_days, pending_files, pending_bytes (None
        where the table has no sizes), oldest_pending, newest_pending, slices.
        """
        with self._archive() as archive:
            plan = plan_cycle(archive)
        return {
            "window_start": plan.window.start,
            "window_end": plan.window.end,
            "lag_days": plan.lag_days,
            "pending_files": plan.pending.files,
            "pending_bytes": plan.pending.size_bytes,
            "oldest_pending": plan.pending.oldest,
            "newest_pending": plan.pending.newest,
            "slices": plan.slices,
        }

    async def run_cycle(
        self, *, stop: StopRequest | None = None, progress: ProgressSink = ignore_progress
    ) -> CycleReport:
        """Pack everything up to the target, and move the watermark there."""
        with self._archive() as archive:
            return run_cycle(archive, stop=stop, progress=progress)

    @contextmanager
    def _archive(self) -> Iterator[Archive]:
        """The archive over the connections, which are left as they were."""
        with ExitStack() as stack:
            for raw in dict.fromkeys(self._connections):
                stack.enter_context(left_as_it_was(raw))
            yield archive_from_connections(
                *self._connections, self._source_config, self._packer_config
            )
