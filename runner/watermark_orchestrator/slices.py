"""How a window is cut into slices: pure arithmetic on UTC times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from des_core.basics.timestamps import floor_day, floor_hour, format_utc

SliceKind = Literal["day", "hour", "cycle"]


@dataclass(frozen=True, slots=True)
class Window:
    """`(start, end]` in UTC."""

    start: datetime
    end: datetime

    @property
    def is_empty(self) -> bool:
        return self.start >= self.end

    def covers(self, start: datetime, end: datetime) -> bool:
        """Whether all of `(start, end]` lies in it."""
        return self.start <= start and end <= self.end

    def __str__(self) -> str:
        return f"({format_utc(self.start)}, {format_utc(self.end)}]"


def slice_end(start: datetime, end: datetime, kind: SliceKind) -> datetime:
    """Where the slice that begins after `start` ends: the next boundary, but never after `end`."""
    if kind == "cycle":
        return end
    if kind == "hour":
        return min(floor_hour(start) + timedelta(hours=1), end)
    return min(floor_day(start) + timedelta(days=1), end)


def slice_before(first_row: datetime, window: Window, kind: SliceKind) -> datetime:
    """The end of the empty part of `window` below its first row, on a slice boundary.

    A row that is stamped exactly at a boundary belongs to the slice that ends there.
    """
    just_before = first_row - timedelta(microseconds=1)
    if kind == "cycle":
        return window.start
    floor = floor_hour if kind == "hour" else floor_day
    return max(floor(just_before), window.start)


def cut(window: Window, kind: SliceKind) -> Iterator[Window]:
    """All slices of a window, in order."""
    start = window.start
    while start < window.end:
        end = slice_end(start, window.end, kind)
        yield Window(start, end)
        start = end
