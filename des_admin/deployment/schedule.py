"""A cron schedule: how far apart its ticks are, and the same schedule as systemd writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from des_core.basics.errors import UsageError

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES: tuple[tuple[str, ...], ...] = ((), (), (), ("", *_MONTHS), _WEEKDAYS)
_FIRST_DAY = date(2024, 1, 1)
_DAYS_LOOKED_AT = 800
_MINUTES_PER_DAY = 1440
_HINT = 'write it like cron: "0 * * * *" is every full hour, "*/15 * * * *" every quarter'


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values of each of the five fields. Weekdays count from Sunday, 0."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @property
    def shortest_gap_s(self) -> int:
        """Seconds between the two closest ticks."""
        return min(self._gaps_s())

    @property
    def longest_gap_s(self) -> int:
        """Seconds between the two ticks that are farthest apart."""
        return max(self._gaps_s())

    @property
    def on_calendar(self) -> list[str]:
        """The same as systemd's OnCalendar=, without a time zone; two lines mean either."""
        time = f"{_list(self.hours, 0, 23)}:{_list(self.minutes, 0, 59)}:00"
        month = _list(self.months, 1, 12)
        any_day, any_weekday = len(self.days) == 31, len(self.weekdays) == 7
        by_day = f"*-{month}-{_list(self.days, 1, 31)} {time}"
        names = ",".join(_WEEKDAYS[day].capitalize() for day in sorted(self.weekdays))
        by_weekday = f"{names} *-{month}-* {time}"
        if any_weekday:
            return [by_day]
        return [by_weekday] if any_day else [by_day, by_weekday]

    def _gaps_s(self) -> list[int]:
        ticks = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        within = [later - earlier for earlier, later in pairwise(ticks)]
        overnight = [
            (later - earlier).days * _MINUTES_PER_DAY - (ticks[-1] - ticks[0])
            for earlier, later in pairwise(self._days())
        ]
        return [60 * minutes for minutes in (*within, *overnight)]

    def _days(self) -> Iterator[date]:
        """The days on which it ticks: where day and weekday are both restricted, either will do."""
        either = len(self.days) < 31 and len(self.weekdays) < 7
        for number in range(_DAYS_LOOKED_AT):
            day = _FIRST_DAY + timedelta(days=number)
            by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
            if day.month in self.months and (
                by_day or by_weekday if either else by_day and by_weekday
            ):
                yield day


def parse_schedule(text: str) -> Schedule:
    """UsageError where it is no cron schedule of five fields, or one that hardly ever ticks."""
    fields = _MACROS.get(text.strip().lower(), text).split()
    if len(fields) != len(_RANGES):
        raise UsageError(f"not a schedule: {text!r}", hint=_HINT)
    try:
        values = [_parse_field(field, place) for place, field in enumerate(fields)]
    except ValueError as exc:
        raise UsageError(f"not a schedule: {text!r}: {exc}", hint=_HINT) from exc
    minutes, hours, days, months, weekdays = values
    weekdays = frozenset(day % 7 for day in weekdays)
    schedule = Schedule(text.strip(), minutes, hours, days, months, weekdays)
    if sum(1 for _ in schedule._days()) < 2:
        raise UsageError(f"a schedule that does not tick twice in two years: {text!r}", hint=_HINT)
    return schedule


def _parse_field(text: str, place: int) -> frozenset[int]:
    low, high = _RANGES[place]
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _parse_value(first, place)
            end = _parse_value(last, place) if dash else (high if step else start)
        if not low <= start <= end <= high or (step and int(step) < 1):
            raise ValueError(f"{part!r} is outside {low}-{high}")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _parse_value(text: str, place: int) -> int:
    names = _NAMES[place]
    return names.index(text.lower()) if text.lower() in names and text else int(text)


def _list(values: frozenset[int], low: int, high: int) -> str:
    if len(values) == high - low + 1:
        return "*"
    return ",".join(f"{value:02d}" for value in sorted(values))
