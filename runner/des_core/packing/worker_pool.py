"""Worker processes, each with a pipe to and from it, behind `submit() -> Future`.

Not `ProcessPoolExecutor`: its workers import the caller's main module, go on when their parent
was killed, and cannot be stopped within a second. The seam is the same, so another engine with
`concurrent.futures` manners fits in its place.
"""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from des_core.basics.errors import DesError, ExitCode
from des_core.packing.pack_worker import Batch, Reply, WorkerSetup
from des_core.packing.tasks import TaskOutcome

# Ctrl-C reaches the whole process group: a worker leaves it to its parent from the first moment.
_BOOT = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from des_core.packing.pack_worker import main; main()"
)
GRACE_S = 1.0
_MEMORY_HINT = "if the kernel was out of memory, lower packer.workers; then run again"


class WorkerDied(DesError):
    """A worker process ended in the middle of its work; nothing half-done was published."""

    exit_code = ExitCode.BUG


class Promise(Protocol):
    """A batch under way."""

    def result(self) -> list[TaskOutcome]:
        """Wait for it; raises what went wrong."""


class Engine(Protocol):
    """Runs batches of tasks somewhere, several at a time."""

    @property
    def slots(self) -> int:
        """How many batches it works on at a time; may change."""

    def submit(self, batch: Batch) -> Promise:
        """Begin a batch; its outcomes in the order of its tasks."""

    def prepare(self) -> None:
        """Much work is about to come: begin what it takes to begin."""

    def interrupt(self) -> None:
        """Make all futures fail soon. Safe from a signal handler."""

    def kill(self) -> None:
        """Stop at once and wait for the end of it. What was begun may have been published."""

    def close(self) -> None:
        """Wait for what was begun, then end."""


class WorkerPool:
    """Up to so many worker processes of this machine, each started when there is work for it."""

    def __init__(self, setup: WorkerSetup, workers: int) -> None:
        self._setup = setup
        self.slots = workers
        self._threads = ThreadPoolExecutor(workers, "pack-worker")
        self._processes: list[_WorkerProcess] = []
        self._idle: SimpleQueue[_WorkerProcess] = SimpleQueue()
        self._is_stopped = False

    def submit(self, batch: Batch) -> Future[list[TaskOutcome]]:
        return self._threads.submit(self._work, batch)

    def prepare(self) -> None:
        while len(self._processes) < self.slots:
            self._idle.put(self._start_process())

    def interrupt(self) -> None:
        self._is_stopped = True
        for process in self._processes:
            process.kill()

    def kill(self) -> None:
        self.interrupt()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def close(self) -> None:
        self._threads.shutdown()
        for process in self._processes:
            process.close()

    def _work(self, batch: Batch) -> list[TaskOutcome]:
        process = self._take_process()
        try:
            reply = process.call(batch)
        finally:
            self._idle.put(process)
        if reply.error is not None:
            raise reply.error
        return reply.outcomes

    def _take_process(self) -> _WorkerProcess:
        """An idle worker, or a new one: there are never more of them than threads."""
        with suppress(Empty):
            return self._idle.get_nowait()
        return self._start_process()

    def _start_process(self) -> _WorkerProcess:
        process = _WorkerProcess(self._setup)
        self._processes.append(process)
        if self._is_stopped:
            process.kill()
        return process


class _WorkerProcess:
    """One process and its pipes. Used by one thread at a time, except for `kill`."""

    def __init__(self, setup: WorkerSetup) -> None:
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps([str(p) for p in sys.path])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._setup: WorkerSetup | None = setup

    def call(self, batch: Batch) -> Reply:
        """Have a batch packed. `WorkerDied` if the process ends before it answers."""
        with self._alive():
            if self._setup is not None:
                self._send(self._setup)
                self._setup = None
            self._send(batch)
            reply: Reply = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301
            return reply

    def kill(self) -> None:
        """End it at once; safe from any thread and from a signal handler."""
        self._process.kill()

    def close(self) -> None:
        """End it by ending its input, and wait."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def _send(self, message: object) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
            pipe.flush()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError, pickle.UnpicklingError) as exc:
            raise _explain_death(self._wait()) from exc

    def _wait(self) -> int:
        """Its exit code; it closed its pipe, so it is about to end or cannot be talked to."""
        try:
            return self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _explain_death(code: int) -> WorkerDied:
    if code >= 0:
        return WorkerDied(
            "a packing worker ended unexpectedly", hint="its last words are above", exit_code=code
        )
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return WorkerDied("a packing worker was killed", hint=_MEMORY_HINT, signal=name)
    return WorkerDied("a packing worker was killed", hint=_MEMORY_HINT, signal=-code)
