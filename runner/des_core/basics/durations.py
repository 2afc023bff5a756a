"""Lengths of time as a person types them."""

from __future__ import annotations

import re
from datetime import timedelta

from des_core.basics.errors import UsageError

_FORM = re.compile(r"(?P<count>\d{1,9})(?P<unit>s|m|min|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m`, `3h`, `7d` or `2w`; UsageError for anything else, and for nothing at all."""
    match = _FORM.fullmatch(text.strip())
    try:
        length = timedelta(**{_UNITS[match["unit"]]: int(match["count"])}) if match else None
    except OverflowError:
        length = None
    if not length:
        raise UsageError(
            f"not a length of time: {text!r}", hint="write it like 90s, 30m, 3h, 7d or 2w"
        )
    return length
