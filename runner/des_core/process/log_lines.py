"""Lines of the log, made by structlog: facts around an event, its form, and no secret in it.

Redaction is the last step, on the values and again on the finished line, so that nothing is added
after it. The finished line has no control character and no line end: a file name must not forge
a line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog
from structlog.types import EventDict, Processor

from des_core.basics.wording import printable
from des_core.process.logs import bound_facts
from des_core.process.secrets import Redactor


def say(name: str, method: str, event: str, facts: Mapping[str, Any]) -> None:
    """One event of ours, as a record for whatever handlers there are."""
    getattr(_logger_of(name), method)(event, **facts)


@cache
def _logger_of(name: str) -> Any:
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[*_before_rendering(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def make_formatter(kind: str, redactor: Redactor) -> logging.Formatter:
    """What makes a line of one of our events, or of another library's warning."""

    def clean_values(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {key: redactor.clean_value(value) for key, value in event.items()}

    def clean_line(_logger: Any, _method: str, line: Any) -> Any:
        return redactor.clean(printable(str(line)))

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
        _add_bound,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _add_bound(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {**bound_facts(), **event}


def _write_text(_logger: Any, _method: str, event: EventDict) -> str:
    stamp, level = event.pop("timestamp", ""), event.pop("level", "")
    message = event.pop("event", "")
    pairs = " ".join(f"{key}={value}" for key, value in sorted(event.items()))
    return f"{stamp} {level:<8} {message}{'  ' if pairs else ''}{pairs}"


_RENDERERS: dict[str, list[Processor]] = {
    "text": [_write_text],
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
