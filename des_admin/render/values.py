"""Numbers, sizes, times and foreign text in the one form in which they are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from des_core.basics.timestamps import format_utc
from des_core.basics.wording import printable

_SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def count(value: int | None) -> str:
    """`1,234,567`; a dash for nothing known."""
    return "–" if value is None else f"{value:,}"


def size(value_bytes: int | None) -> str:
    """`1.4 GiB`, with at most one decimal."""
    if value_bytes is None:
        return "–"
    amount = float(value_bytes)
    for unit in UNITS:
        if abs(amount) < 1024 or unit == UNITS[-1]:
            break
        amount /= 1024
    return f"{value_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"


def duration(value: timedelta | float | None) -> str:
    """`3 d 4 h`, `12 min 5 s`, `0.4 s`: the two largest units that matter."""
    if value is None:
        return "–"
    total_s = value.total_seconds() if isinstance(value, timedelta) else float(value)
    sign, total_s = ("-", -total_s) if total_s < 0 else ("", total_s)
    if total_s < 10:
        return f"{sign}{total_s:.1f} s"
    rest = round(total_s)
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount:
            parts.append(f"{amount} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return sign + " ".join(parts)


def behind_words(position: datetime, target: datetime) -> str:
    """How far a watermark is behind its target, or beyond it."""
    if position > target:
        return f"nothing; it is {duration(position - target)} beyond its target"
    return duration(target - position) if target > position else "nothing"


def utc(moment: datetime | None) -> str:
    """`2024-11-01T00:00:00Z`, as commands take it; microseconds only where there are any."""
    return "–" if moment is None else format_utc(moment)


def utc_minute(moment: datetime | None) -> str:
    """The same to the minute, `2024-11-01T00:00Z`, for narrow tables."""
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def utc_and_local(moment: datetime | None) -> str:
    """UTC, and the time of the machine's own zone beside it where that differs."""
    if moment is None:
        return "–"
    local = moment.astimezone()
    if local.utcoffset() == moment.astimezone(UTC).utcoffset():
        return utc(moment)
    return f"{utc(moment)} ({local:%Y-%m-%dT%H:%M:%S %Z})"


def foreign(text: object) -> str:
    """Text of others (uids, paths, driver messages) without anything a terminal obeys."""
    return printable(str(text))


def clipped(text: object, limit: int = 200) -> str:
    """The same, cut where it is longer than anybody reads, with its length."""
    whole = str(text)
    if len(whole) <= limit:
        return foreign(whole)
    return f"{foreign(whole[:limit])}… ({len(whole):,} characters)"


def short_hashes(text: str | None) -> str | None:
    """Each sha256 in a sentence by its first digits, which tell two apart; JSON has it whole."""
    return None if text is None else _SHA256.sub(r"\1…", text)


def share(part: float, whole: float) -> str:
    """`37.5 %`; a dash where there is no whole. Never rounds up to 100 %."""
    if not whole:
        return "–"
    percent = int(part * 1000 // whole) / 10
    return f"{percent:.1f} %"


def bar(part: float, whole: float, width: int, *, empty: str = "░") -> str:
    """A bar of `width` characters, filled by eighths; full only where nothing is left."""
    eighths = int(part * width * 8 // whole) if whole else 0
    full, rest = divmod(min(max(eighths, 0), width * 8), 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[rest].strip()).ljust(width, empty)
