"""Rows whose file may not be in the archive: a deletion leaves alone whatever they point to.

1. Rows above the watermark, and open exceptions.
2. Rows that no window sees: without created_at, or with one that is no time.
3. Late rows: those of each day that is due are compared with its shards, and so are those of any
   other day whose count differs from the ledger's. What cannot be compared is not proved.

Below the place where the ledger begins nothing tells them apart; see docs/safety.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from des_core.basics.errors import DamagedData, StorageError
from des_core.basics.timestamps import EARLIEST, LATEST
from des_core.ledger.exceptions import iterate_open
from des_core.ledger.watermark import Watermark
from des_core.reading.reconcile import DayScope, Reconciler, find_scope
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.rechecking import reconciler_of
from watermark_orchestrator.stopping import StopRequest

Locations = list[str | None]


def unproved_locations(
    archive: Archive, watermark: Watermark, due: Collection[date], stop: StopRequest
) -> Iterator[Locations]:
    """Where those rows point to, in pages."""
    source = archive.source
    for page in source.rows(watermark.archived_until, LATEST):
        stop.check()
        yield [row.location for row in page]
    for page in source.rows(EARLIEST, LATEST, statement="undated_rows"):
        stop.check()
        yield [row.location for row in page]
    for items in iterate_open(archive.config):
        yield [item.location for item in items]
    reconciler = reconciler_of(archive, stop)
    for count in reconciler.count_days(find_scope(archive.config, watermark.archived_until)):
        if count.rows and (count.scope.day in due or not count.agrees):
            yield from _of_day(reconciler, count.scope)


def _of_day(reconciler: Reconciler, part: DayScope) -> Iterator[Locations]:
    try:
        for rows in reconciler.find_unproved(part):
            yield [row.location for row in rows]
    except (DamagedData, StorageError):
        for page in reconciler.source.rows(part.start, part.end):
            yield [row.location for row in page]
