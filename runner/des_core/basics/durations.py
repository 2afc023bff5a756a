"""Lengths of time as a person types them: in options, in the configuration, beside `now`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from des_core.basics.errors import UsageError

FORMS = "90s, 15m, 3h, 7d or 2w"
_FORM = re.compile(r"(?P<count>[0-9]{1,9}(\.[0-9]{1,6})?)(?P<unit>ms|s|m|min|h|d|w)")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
# Two looks at one clock, or at two of a cluster, differ by less.
_TICKING = timedelta(seconds=1)
_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


def parse_duration(text: str) -> timedelta:
    """`500ms`, `90s`, `1.5h`, `7d` or `2w`; UsageError for anything else, and for none at all."""
    try:
        length = read_duration(text)
    except ValueError:
        length = None
    if not length:
        raise UsageError(f"not a length of time: {text!r}", hint=f"write it like {FORMS}")
    return length


def parse_seconds(text: str) -> float:
    """Seconds, of a length of time or of a bare number; ValueError for anything else."""
    number = _NUMBER.fullmatch(text.strip())
    return float(number[0]) if number else read_duration(text).total_seconds()


def hours_of(text: str) -> float:
    """Hours, of a length of time; ValueError for anything else."""
    return parse_duration(text).total_seconds() / 3600


def spoken(span: timedelta) -> str:
    """In its largest unit, for a sentence: `41 s`, `3 minutes`, `2 hours`, `5 days`."""
    total_s = span.total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if total_s >= 2 * length:
            return f"{total_s // length:.0f} {unit}"
    return f"{total_s:.0f} s"


def ago(past: timedelta, say: Callable[[timedelta], str] = spoken) -> str:
    """How long ago; a time that is yet to come was written by a clock that was ahead."""
    if past > -_TICKING:
        return f"{say(max(past, timedelta()))} ago"
    return f"{say(-past)} ahead of the clock"


def read_duration(text: str) -> timedelta:
    """As `parse_duration`, but nothing at all is a length too; ValueError for what is none."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a length of time: write it like {FORMS}")
    try:
        return timedelta(**{_UNITS[match["unit"]]: float(match["count"])})
    except OverflowError as exc:
        raise ValueError("a length of time beyond all calendars") from exc
