"""The rows of the next slice are read while this one is packed.

At most one slice is read at a time, into a spool that is on disk where it is long. A row that comes
into a window after it was read is late, exactly as one that comes while the window is packed: both
are found by the recheck. Whatever the reading raises is raised where its slice would begin, so what
was packed before is committed first.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from des_core.packing.row_spool import RowSpool
from des_core.records import SourceRow
from des_core.rows.share import Share, own_rows
from watermark_orchestrator.slices import Window

if TYPE_CHECKING:
    from watermark_orchestrator.run import Run

# So many rows keep all workers busy; they start while the rest is read.
PREPARED_ROWS = 2000
# How long an error waits for the reading of the next slice to end.
GIVEN_UP_S = 5.0


def slices_with_rows(
    run: Run, windows: Iterable[Window], share: Share | None
) -> Generator[tuple[Window, RowSpool], None, None]:
    """Each window with its rows, in a spool that is closed when the next is asked for.

    Close this generator when done: it ends a reading that nobody waits for any more. A connection
    that a script handed in serves one thread, so there nothing is read ahead.
    """
    is_ahead = not run.archive.source.database.shared_connection
    readings = (_Reading(run, window, share) for window in windows)
    reading = next(readings, None)
    try:
        while reading is not None:
            with closing(reading.wait()) as spool:
                window = reading.window
                reading = next(readings, None)
                if is_ahead and reading is not None:
                    reading.start()
                yield window, spool
    finally:
        if reading is not None:
            reading.abandon()


def fill(run: Run, spool: RowSpool, pages: Iterable[list[SourceRow]], share: Share | None) -> None:
    """Read all rows into the spool; the workers start as soon as there is enough for them."""
    for page in pages:
        run.stop.check()
        _add(spool, page, share)
        if spool.rows >= PREPARED_ROWS:
            run.packer.prepare()


def _add(spool: RowSpool, page: list[SourceRow], share: Share | None) -> None:
    spool.add(page if share is None else own_rows(page, share))


class _Reading:
    """A slice's rows on their way into a spool: by a thread if started, else when waited for."""

    def __init__(self, run: Run, window: Window, share: Share | None) -> None:
        self.window = window
        self._run = run
        self._share = share
        n_bits, directory = run.archive.packer_config.n_bits, run.archive.storage.scratch_dir
        self._spool = RowSpool(n_bits, directory)
        self._error: BaseException | None = None
        self._is_abandoned = threading.Event()
        self._thread = threading.Thread(target=self._read, name="next-slice", daemon=True)

    def start(self) -> None:
        """Read in a thread from now on."""
        self._thread.start()

    def wait(self) -> RowSpool:
        """All rows; whatever reading them raised."""
        if self._thread.ident is not None:
            self._thread.join()
        else:
            with self._pages() as pages:
                fill(self._run, self._spool, pages, self._share)
        if self._error is not None:
            raise self._error
        return self._spool

    def abandon(self) -> None:
        """End it at the next page. A database that gives no answer is not waited for."""
        self._is_abandoned.set()
        if self._thread.ident is not None:
            self._thread.join(GIVEN_UP_S)
        if not self._thread.is_alive():
            self._spool.close()

    def _pages(self) -> closing[Generator[list[SourceRow], None, None]]:
        rows = self._run.archive.source.rows(self.window.start, self.window.end, share=self._share)
        return closing(rows)

    def _read(self) -> None:
        """The workers are left alone: they have work while this thread runs."""
        try:
            with self._pages() as pages:
                for page in pages:
                    self._run.stop.check()
                    if self._is_abandoned.is_set():
                        return
                    _add(self._spool, page, self._share)
        except BaseException as error:  # raised where it is waited for
            self._error = error
