"""Times: aware UTC datetimes at the edges, microseconds since the epoch in bulk.

`parse_time` reads what a person types, `parse_stored` what a database column holds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

from des_core.basics.durations import read_duration
from des_core.basics.errors import UsageError

US_PER_SECOND = 1_000_000
US_PER_DAY = 86_400 * US_PER_SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)

_STORED = re.compile(
    r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
)
_FORMS = "2024-11-01, 2024-11-01T12:30:00Z, 2024-11-01 12:30:00+01:00, -1d or +12h (s, m, h, d, w)"


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware datetime, exact."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * US_PER_SECOND + delta.microseconds


def from_us(us: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970-01-01 UTC, exact."""
    return EPOCH + timedelta(microseconds=us)


def day_of_us(us: int) -> date:
    """The UTC day of microseconds since the epoch."""
    return date.fromordinal(us // US_PER_DAY + 719_163)


def floor_day(moment: datetime) -> datetime:
    """Midnight UTC at or before `moment`."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def floor_hour(moment: datetime) -> datetime:
    """The full hour UTC at or before `moment`."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def format_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`; microseconds only where there are any."""
    text = moment.astimezone(UTC).isoformat(timespec="auto")
    return text.replace("+00:00", "Z")


def canonical_text(moment: datetime) -> str:
    """The one form in which a time is stored as text: `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def parse_stored(text: str, zone: tzinfo = UTC) -> datetime:
    """A time as databases and applications write it; without a zone it means `zone`.

    Raises ValueError for anything else, also for bare numbers and week dates.
    """
    text = text.strip()
    if not _STORED.fullmatch(text):
        raise ValueError(f"not a time: {text!r}")
    return localize(datetime.fromisoformat(text), zone)


def first_real_time(text: str) -> datetime:
    """The first real time from a value that only MySQL and MariaDB hold: 2024-02-31, 2024-00-00.

    The server orders it between real times; ValueError for the zero date, which it does not.
    """
    year, month, day = (int(part) for part in text[:10].split("-"))
    first = 1 if month == 0 else month + (day > 0)
    return datetime.fromisoformat(f"{year:04}-{first:02}-01")


def parse_time(text: str, *, now: datetime, base: datetime | None = None) -> datetime:
    """A time as a person types it: a date, ISO 8601, or `-1d` / `+12h` from `base` (default now).

    A time without a zone is UTC. Raises UsageError that lists the accepted forms.
    """
    sign, length = text.strip()[:1], text.strip()[1:]
    try:
        if sign in ("+", "-"):
            amount = read_duration(length)
            moment = (base or now) + (amount if sign == "+" else -amount)
        else:
            moment = parse_stored(text)
        return require_range(moment.astimezone(UTC))
    except (ValueError, OverflowError) as exc:
        raise UsageError(
            f"not a time that can be used: {text!r}", hint=f"write it like {_FORMS}"
        ) from exc


def require_range(moment: datetime) -> datetime:
    """`moment` itself; ValueError where a day more or less would leave the calendar."""
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"outside the calendar: {moment}")
    return moment


def localize(moment: datetime, zone: tzinfo) -> datetime:
    """UTC of a stored time; a naive one is read in `zone`.

    Where clocks go back, the first reading counts; a time that the clocks skipped stands for
    the instant of the skip. So the mapping never runs backwards, and a range of stored
    times stays one range of instants.
    """
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    if zone is UTC:
        return moment.replace(tzinfo=UTC)
    before = moment.replace(tzinfo=zone, fold=0)
    as_utc = before.astimezone(UTC)
    if as_utc.astimezone(zone).replace(tzinfo=None) == moment:
        return as_utc
    return _instant_of_skip(moment, zone)


def naive_bound(moment: datetime, zone: tzinfo) -> datetime:
    """The largest naive time in `zone` whose `localize` is not after `moment`.

    `created_at <= naive_bound(t)` in the column's own values is exactly `created_at <= t`.
    """
    if zone is UTC:
        return moment.astimezone(UTC).replace(tzinfo=None)
    local = moment.astimezone(zone)
    naive = local.replace(tzinfo=None, fold=0)
    if local.fold == 0:
        return naive
    return _end_of_fold(moment, zone) - timedelta(microseconds=1)


def _end_of_fold(moment: datetime, zone: tzinfo) -> datetime:
    """The first naive time after a repeated hour, which began when the clocks were set back."""
    low, high = moment - timedelta(days=1), moment
    offset_now = moment.astimezone(zone).utcoffset()
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == offset_now:
            high = middle
        else:
            low = middle
    return low.astimezone(zone).replace(tzinfo=None, fold=0) + timedelta(microseconds=1)


def _instant_of_skip(moment: datetime, zone: tzinfo) -> datetime:
    """The instant at which the clocks of `zone` jumped over the naive time `moment`."""
    low = moment.replace(tzinfo=UTC) - timedelta(days=2)
    high = moment.replace(tzinfo=UTC) + timedelta(days=2)
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).replace(tzinfo=None, fold=0) > moment:
            high = middle
        else:
            low = middle
    return high
