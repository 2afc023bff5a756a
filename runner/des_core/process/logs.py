"""Structured logs: one line an event, as text, logfmt or JSON, to stderr or to a file.

Lines carry what `bind` put around them (run_id, slice, worker). Other libraries' warnings go the
same way. The file is opened again after `reopen`, which a SIGHUP of logrotate asks for.

Most runs have nothing to say: what makes lines (`log_lines`) is loaded with the first one.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from des_core.basics.errors import ConfigError
from des_core.process.secrets import Redactor
from des_core.settings.config import LoggingSettings

FILE_MODE = 0o640
ROOT = "des"
_BOUND: ContextVar[Mapping[str, Any]] = ContextVar("bound", default=MappingProxyType({}))


class Logger:
    """`log.info("slice_committed", files=10)`: an event's name, then its facts."""

    def __init__(self, name: str) -> None:
        self._stdlib = logging.getLogger(f"{ROOT}.{name}")

    def debug(self, event: str, **facts: Any) -> None:
        self._say(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._say(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._say(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._say(logging.ERROR, event, facts)

    def exception(self, event: str, **facts: Any) -> None:
        """An error, with the trace of what is being handled."""
        self._say(logging.ERROR, event, {"exc_info": True, **facts})

    def _say(self, level: int, event: str, facts: Mapping[str, Any]) -> None:
        if self._stdlib.isEnabledFor(level):
            from des_core.process.log_lines import say

            say(self._stdlib.name, logging.getLevelName(level).lower(), event, facts)


def get_logger(name: str) -> Logger:
    """A logger for the domain: silent until `open_logs`, as libraries should be."""
    return Logger(name)


@contextmanager
def bind(**facts: Any) -> Iterator[None]:
    """`with bind(run_id=…, slice=…, worker=…):` marks every line of ours within."""
    token = _BOUND.set({**_BOUND.get(), **facts})
    try:
        yield
    finally:
        _BOUND.reset(token)


def bound_facts() -> Mapping[str, Any]:
    """What `bind` put around this moment."""
    return _BOUND.get()


@contextmanager
def open_logs(
    settings: LoggingSettings,
    *,
    secrets: Iterable[str] = (),
    verbose: bool = False,
    quiet: bool = False,
) -> Iterator[None]:
    """Log as configured while the block lasts; SIGHUP reopens the file, in the main thread.

    ConfigError where the file cannot be opened.
    """
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    handler = _make_handler(settings)
    handler.setFormatter(_LateFormatter(settings.format, Redactor(secrets)))
    root = logging.getLogger()
    ours = logging.getLogger(ROOT)
    ours.setLevel(level)
    root.addHandler(handler)
    with ExitStack() as stack:
        stack.callback(handler.close)
        stack.callback(root.removeHandler, handler)
        if isinstance(handler, ReopeningFileHandler):
            stack.enter_context(_reopened_on_hangup(handler))
        yield


class ReopeningFileHandler(logging.Handler):
    """Appends whole lines to a file. What cannot be written there goes to stderr instead."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._reopen_wanted = False
        self._file = self._open()

    def reopen(self) -> None:
        """Open the file again before the next line. Only sets a flag: safe in a signal handler."""
        self._reopen_wanted = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; see the class."""
        line = self.format(record) + "\n"
        try:
            if self._reopen_wanted:
                self._reopen_wanted = False
                fresh = self._open()
                os.close(self._file)
                self._file = fresh
            os.write(self._file, line.encode("utf-8", "backslashreplace"))
        except OSError:
            sys.stderr.write(line)

    def close(self) -> None:
        """Close the file; no line may follow."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        super().close()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, FILE_MODE)


class _LateFormatter(logging.Formatter):
    """Becomes what it is for with the first line."""

    def __init__(self, kind: str, redactor: Redactor) -> None:
        super().__init__()
        self._kind, self._redactor = kind, redactor
        self._real: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._real is None:
            from des_core.process.log_lines import make_formatter

            self._real = make_formatter(self._kind, self._redactor)
        return self._real.format(record)


def _make_handler(settings: LoggingSettings) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return ReopeningFileHandler(settings.file)
    except OSError as exc:
        raise ConfigError(
            f"the log file cannot be opened: {exc.strerror}",
            hint="make its directory, or choose another logging.file",
            file=settings.file,
            directory_exists=Path(settings.file).parent.is_dir(),
        ) from exc


@contextmanager
def _reopened_on_hangup(handler: ReopeningFileHandler) -> Iterator[None]:
    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        handler.reopen()

    try:
        before = signal.signal(signal.SIGHUP, on_hangup)
    except ValueError:  # not in the main thread: whoever is there owns the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


logging.getLogger(ROOT).addHandler(logging.NullHandler())
