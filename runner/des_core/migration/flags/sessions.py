"""Chunks of flags in several sessions at once: faster, at the cost of everybody else.

Chunks are handed out in their order, and the job's place moves in that order: it never passes a
chunk that is not written. One that was written beyond it is written again after a crash, which is
harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from des_core.basics.errors import UsageError
from des_core.basics.identifiers import Dialect
from des_core.migration.base.migration import Migration
from des_core.migration.flags.chunks import ChunkWriter

HandOut = Callable[[dict[str, Any] | None, dict[str, Any]], "Future[Written]"]


@dataclass(frozen=True, slots=True)
class Written:
    """A chunk that is committed up to `until`; its slowest transaction took `slowest_s`."""

    until: datetime
    changed: int
    slowest_s: float


def require_sessions_are_possible(migration: Migration) -> None:
    """UsageError where the database has one writer."""
    if migration.options.sessions > 1 and migration.source.dialect is Dialect.SQLITE:
        raise UsageError(
            "--jobs: SQLite lets one session write at a time",
            hint="leave it out",
            database=migration.source.label,
        )


@contextmanager
def hand_out_chunks(writer: ChunkWriter, job_name: str) -> Iterator[HandOut]:
    """A way to have chunks written elsewhere. Nobody writes any more when the block has ended.

    Where it ends by an exception, no new transaction is begun and no lock is waited for again.
    """
    options = writer.migration.options
    stop = threading.Event()

    def write(first: dict[str, Any] | None, last: dict[str, Any]) -> Written:
        changed, slowest_s = 0, 0.0
        for part in writer.parts(first, last):
            if stop.is_set():
                raise CancelledError
            began = time.monotonic()
            changed += writer.write(part, job_name, give_up=stop)
            slowest_s = max(slowest_s, time.monotonic() - began)
            stop.wait(options.sleep_s)
        return Written(writer.time_of(last), changed, slowest_s)

    with ThreadPoolExecutor(options.sessions, thread_name_prefix="des-flags") as pool:
        try:
            yield lambda first, last: pool.submit(write, first, last)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
