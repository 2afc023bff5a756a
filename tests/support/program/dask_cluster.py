"""A Dask scheduler and workers on loopback, as processes of their own that a test may kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support.program.runner import environment
from support.servers.processes import free_port

NO_DASHBOARD = ("--dashboard-address", "127.0.0.1:0")
QUIET = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}


class DaskCluster:
    """`address` is the scheduler's. Workers have one thread each, and mostly no nanny."""

    def __init__(self, directory: Path, **env: str) -> None:
        self._directory = directory
        self._env = {**environment(), **QUIET, **env}
        self._port = free_port()
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._with_nanny: set[int] = set()

    def start_scheduler(self) -> None:
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self._port))

    def start_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One more worker; with `arguments`, under a nanny that starts it again when it dies."""
        place = self._directory / f"worker-{len(self.workers)}-{time.monotonic_ns()}"
        place.mkdir(parents=True)
        flags = ("--nthreads", "1", "--local-directory", str(place), "--host", "127.0.0.1")
        worker = self._start("worker", self.address, *flags, *(arguments or ("--no-nanny",)))
        self.workers.append(worker)
        if arguments:
            self._with_nanny.add(worker.pid)
        return worker

    def kill_worker(self, number: int) -> None:
        """As the kernel does when memory is short."""
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait()

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = None

    def stop(self) -> None:
        """End everything. A nanny takes its worker along, if it is asked to and not killed."""
        everybody = [*self.workers, *([self.scheduler] if self.scheduler else [])]
        for process in everybody:
            process.send_signal(
                signal.SIGTERM if process.pid in self._with_nanny else signal.SIGKILL
            )
        for process in everybody:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.workers, self.scheduler = [], None

    def log(self) -> str:
        """What everybody said, for a failing test."""
        return "\n".join(path.read_text()[-4000:] for path in self._directory.glob("*.log"))

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = self._directory / f"{kind}-{time.monotonic_ns()}.log"
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *arguments, *NO_DASHBOARD],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._env},
            )


@contextlib.contextmanager
def dask_cluster(directory: Path, workers: int = 3, **env: str) -> Iterator[DaskCluster]:
    """The cluster, started; workers come while the test goes on."""
    directory.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(directory, **env)
    cluster.start_scheduler()
    for _ in range(workers):
        cluster.start_worker()
    try:
        yield cluster
    finally:
        cluster.stop()
