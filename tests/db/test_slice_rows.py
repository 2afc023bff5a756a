"""The rows of the next slice are read while this one is packed; nothing else changes by that."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from des_core.basics.errors import DatabaseUnreachable, Terminated
from support.crash.truth import check_truth, read_watermark_value
from support.program.archive import make_archive
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import Archive, open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.progress_events import ProgressEvent
from watermark_orchestrator.stopping import StopRequest

READER = "next-slice"
LONGEST_S = 60


@contextmanager
def reading_ahead(archive: Archive, on_read: Any) -> Iterator[None]:
    """`on_read` is called before each statement that the thread of the next slice runs."""

    def listen(*_: Any) -> None:
        if threading.current_thread().name == READER:
            on_read()

    engine = archive.source.database.engine
    sa.event.listen(engine, "before_cursor_execute", listen)
    sa.event.listen(engine, "checkout", listen)  # what is copied runs past the engine
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)
        sa.event.remove(engine, "checkout", listen)


def test_the_next_slice_is_read_while_one_is_packed(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=3)
    settings = make_archive(database, tmp_path / "out")
    is_read = threading.Event()
    seen: list[bool] = []

    def watch(event: ProgressEvent) -> None:
        if event.kind == "files_packed" and not seen:
            seen.append(is_read.wait(LONGEST_S))

    with open_archive(settings) as archive, reading_ahead(archive, is_read.set):
        report = run_cycle(archive, progress=watch)
    assert seen == [True]
    assert report.files_out == 120
    assert check_truth(table, database, tmp_path / "out") == {}


def test_what_was_packed_is_committed_before_the_next_reading_fails(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=3)
    settings = make_archive(database, tmp_path / "out")
    before = read_watermark_value(database)

    def fail() -> None:
        raise DatabaseUnreachable("the database went away")

    committed: list[Any] = []

    def watch(event: ProgressEvent) -> None:
        if event.kind == "slice_committed":
            committed.append(event.window)

    gone = pytest.raises(DatabaseUnreachable, match="went away")
    with open_archive(settings) as archive, reading_ahead(archive, fail), gone:
        run_cycle(archive, progress=watch)
    assert len(committed) == 1
    assert read_watermark_value(database) == committed[0].end > before
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}


def test_a_stop_or_an_error_leaves_no_reading_behind(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = files_table(database, rows=120, days=3)
    settings = make_archive(database, tmp_path / "out")
    stop = StopRequest()

    def watch(event: ProgressEvent) -> None:
        if event.kind == "files_packed":
            stop.set()

    with open_archive(settings) as archive, pytest.raises(Terminated):
        run_cycle(archive, progress=watch, stop=stop)
    assert READER not in {thread.name for thread in threading.enumerate()}
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}
