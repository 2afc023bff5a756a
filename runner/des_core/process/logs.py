"""Structured logs: one line an event, as text, logfmt or JSON, to stderr or to a file.

Lines carry what `bind` put around them (run_id, slice, worker). Other libraries' warnings go the
same way. Redaction is the last step, on the values and again on the finished line, so that nothing
is added after it.
The file is opened again after `reopen`, which a SIGHUP of logrotate asks for.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from structlog.types import EventDict, Processor

from des_core.basics.errors import ConfigError
from des_core.process.secrets import Redactor
from des_core.settings.config import LoggingSettings

FILE_MODE = 0o640
ROOT = "des"
bind = structlog.contextvars.bound_contextvars
"""A context manager: `with bind(run_id=…, slice=…, worker=…):` marks every line within."""


def get_logger(name: str) -> Any:
    """A logger for the domain: silent until `open_logs`, as libraries should be.

    `get_logger("cycle").info("slice_committed", files=10)`: an event's name, then its facts.
    """
    return structlog.wrap_logger(
        logging.getLogger(f"{ROOT}.{name}"),
        processors=[
            structlog.stdlib.filter_by_level,
            *_before_rendering(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


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
    handler.setFormatter(_make_formatter(settings.format, Redactor(secrets)))
    root = logging.getLogger()
    ours = logging.getLogger(ROOT)
    ours.setLevel(level)
    root.addHandler(handler)
    structlog.configure(
        processors=[*_before_rendering(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_OurLoggers(),
        cache_logger_on_first_use=False,
    )
    with ExitStack() as stack:
        stack.callback(structlog.reset_defaults)
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


class _OurLoggers:
    """Loggers below `des`, whose level is ours, whatever their first argument is."""

    def __call__(self, *names: Any) -> logging.Logger:
        return logging.getLogger(".".join((ROOT, *map(str, names[:1]))))


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


def _make_formatter(kind: str, redactor: Redactor) -> logging.Formatter:
    def clean_values(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {key: redactor.clean_value(value) for key, value in event.items()}

    def clean_line(_logger: Any, _method: str, line: Any) -> Any:
        return redactor.clean(str(line))

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_before_rendering(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clean_values,  # before a renderer escapes what is in them
            *_RENDERERS[kind],
            clean_line,
        ],
    )


def _before_rendering() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _on_one_line(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {
        key: value if isinstance(value, int | float) else _escape(str(value))
        for key, value in event.items()
    }


def _escape(text: str) -> str:
    """Control characters and line ends as escapes: a file name must not forge a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _write_text(_logger: Any, _method: str, event: EventDict) -> str:
    stamp, level = event.pop("timestamp", ""), event.pop("level", "")
    message = event.pop("event", "")
    pairs = " ".join(f"{key}={value}" for key, value in sorted(event.items()))
    return f"{stamp} {level:<8} {message}{'  ' if pairs else ''}{pairs}"


_RENDERERS: dict[str, list[Processor]] = {
    "text": [_on_one_line, _write_text],
    "keyvalue": [
        structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event", "run_id", "slice", "worker"],
            drop_missing=True,
            sort_keys=True,
            bool_as_flag=False,
        )
    ],
    "json": [structlog.processors.JSONRenderer(sort_keys=True)],
}


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
