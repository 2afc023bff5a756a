"""Clients of an application that never stops: they insert, update and select, and time each wait.

Each is a process of its own, so that none waits for another's interpreter. A wait is what the
application feels: one statement and its commit, from call to answer.
"""

import heapq
import multiprocessing
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

CLIENTS = 4
THINK_S = 0.004
SHOWN = 5


@dataclass
class Waits:
    """What all clients felt while a phase ran, in seconds."""

    durations: list[float] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def longest_ms(self) -> float:
        return max(self.durations, default=0.0) * 1000

    def share_ms(self, share: float) -> float:
        """The wait that `share` of all statements did not exceed."""
        ordered = sorted(self.durations)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0

    def cells(self) -> list[str]:
        """Statements, 99.9th percentile and longest wait, for a table."""
        name = self.slowest[0][1] if self.slowest else ""
        return [
            f"{len(self.durations):,}",
            f"{self.share_ms(0.999):,.1f} ms",
            f"{self.longest_ms:,.1f} ms {name}",
        ]


CELL_NAMES = ["statements", "99.9 % within", "longest wait"]


@contextmanager
def live_clients(connect: Callable[[], Any], rows: int, clients: int = CLIENTS) -> Iterator[Waits]:
    """`clients` at work while the block runs; the `Waits` are filled when it ends.

    `rows`: how many rows `files` was filled with, for the choice of keys.
    """
    context = multiprocessing.get_context("fork")
    stop, waits = context.Event(), Waits()
    pipes, processes, running = [], [], []
    for number in range(clients):
        receive, send = context.Pipe(duplex=False)
        is_running = context.Event()
        process = context.Process(
            target=_work, args=(number, connect, rows, stop, is_running, send), daemon=True
        )
        process.start()
        send.close()
        pipes.append(receive)
        processes.append(process)
        running.append(is_running)
    for is_running in running:
        if not is_running.wait(30):
            raise SystemExit("a client did not come up")
    try:
        yield waits
    finally:
        stop.set()
        _collect(pipes, waits)
        for process in processes:
            process.join()


def _collect(pipes: list[Any], waits: Waits) -> None:
    for pipe in pipes:
        durations, slowest, errors = pipe.recv()
        waits.durations += durations
        waits.slowest += slowest
        waits.errors += errors
    waits.slowest = heapq.nlargest(SHOWN, waits.slowest)


def _work(
    number: int, connect: Callable[[], Any], rows: int, stop: Any, is_running: Any, send: Any
) -> None:
    rng = random.Random(number)
    connection = connect()
    durations, slowest, errors = [], [], []
    cursor = connection.cursor()
    is_running.set()
    while not stop.is_set():
        name, sql, values = _next_statement(rng, rows)
        began = time.perf_counter()
        try:
            cursor.execute(sql, values)
            if cursor.description:
                cursor.fetchall()
        except Exception as error:
            errors.append(f"{name}: {error}")
        took = time.perf_counter() - began
        durations.append(took)
        if len(slowest) < SHOWN:
            heapq.heappush(slowest, (took, name))
        else:
            heapq.heappushpop(slowest, (took, name))
        time.sleep(THINK_S * rng.uniform(0.5, 1.5))
    send.send((durations, slowest, errors))
    connection.close()


def _next_statement(rng: random.Random, rows: int) -> tuple[str, str, tuple[Any, ...]]:
    """One of: a new row, an old row changed, a young row changed, a row read, a page read."""
    kind = rng.randrange(5)
    if kind == 0:
        uid = f"live-{uuid.uuid4()}"
        sql = "INSERT INTO files (uid, created_at, file_location, size_bytes) VALUES (%s,%s,%s,%s)"
        return "insert", sql, (uid, datetime.now(UTC), f"/mnt/{uid}", 1000)
    if kind == 1:
        uid = f"file-{rng.randrange(1, rows)}"
        return "update old", "UPDATE files SET size_bytes = 1001 WHERE uid = %s", (uid,)
    if kind == 2:
        uid = f"file-{rng.randrange(int(rows * 0.97), rows)}"
        return "update young", "UPDATE files SET size_bytes = 1002 WHERE uid = %s", (uid,)
    if kind == 3:
        uid = f"file-{rng.randrange(1, rows)}"
        return "select", "SELECT file_location FROM files WHERE uid = %s", (uid,)
    newest = "SELECT uid FROM files WHERE uid >= %s ORDER BY uid LIMIT 20"
    return "select page", newest, (f"file-{rng.randrange(1, rows)}",)
