"""A database server of our own, from its first start to its end: what is alike in all kinds."""

import shutil
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from support.servers.processes import ServerProcess, free_port, make_server_dir


class OwnServer(ABC):
    """One server on a free port of 127.0.0.1, with all that it has in a directory of its own.

    `start` also restarts a stopped or killed server on the same data and port.
    """

    host = "127.0.0.1"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    remove_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, kind: str, name: str) -> None:
        self.directory = make_server_dir(kind)
        self.data_dir = self.directory / "data"
        self.port = free_port()
        self._process = ServerProcess(name, self.directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def pid(self) -> int:
        """The process id of the server, which is its parent where it has backends."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def start(self) -> None:
        if not self.data_dir.exists():
            self._initialise()
        self._process.start(self._command(), self._is_ready)

    def stop(self) -> None:
        self._process.stop(self.stop_signal)

    def kill9(self) -> None:
        """Crash the server with all that it started."""
        self._process.kill9()

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        """End the server if it runs, without ceremony, and delete its directory."""
        try:
            if self.remove_signal is signal.SIGKILL:
                self._process.kill9()
            else:
                self._process.stop(self.remove_signal)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self, lines: int = 40) -> str:
        return self._process.log_tail(lines)

    @abstractmethod
    def _initialise(self) -> None:
        """Make what the server starts on, where it has none."""

    @abstractmethod
    def _command(self) -> list[str | Path]:
        """The line that starts it in the foreground."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it answers."""
