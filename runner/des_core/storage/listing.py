"""Shards day by day, for a job that asks for many days of one output.

A bucket lists a day by its prefix. A directory answers no such question: it is passed once, when
the first day is asked for, and the names of all days are kept, some 22 bytes each. Either way a day
costs by its own shards, however many others there are.

What somebody else publishes after that is not seen. So a writer begins with a new one under its
lease, and adds what it publishes itself. Whoever asked the ledger later gives it the names that are
recorded: one that is not listed is looked up before it counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date

from des_core.basics.routing import day_text, order_parts, parse_shard_name
from des_core.storage.layout import ShardsByBucket, place_of

_SUFFIX = ".des"
_DAY_DIGITS = 8
_SEPARATOR = "/"  # the one character that is in no name


class ShardListing:
    """Give it `by_day` where a day can be listed by itself, else `names`, all that are there."""

    def __init__(
        self,
        names: Callable[[], Iterator[str]],
        exists: Callable[[str], bool],
        by_day: Callable[[Collection[date]], ShardsByBucket] | None = None,
    ) -> None:
        self._names = names
        self._exists = exists
        self._by_day = by_day
        self._days: dict[str, bytearray] | None = None

    def of_days(self, days: Collection[date], recorded: Collection[str] = ()) -> ShardsByBucket:
        """The shards of these days by (day, bucket), each in the order of parts.

        `recorded` are those that the ledger has of these days, as it was read just now.
        """
        found = self._listed(days)
        unlisted = set(recorded).difference(*found.values())
        since = [name for name in unlisted if self._exists(name)]
        if not since:
            return found
        self.add(since)
        return self._listed(days)

    def _listed(self, days: Collection[date]) -> ShardsByBucket:
        if self._by_day is not None:
            return self._by_day(days)
        if self._days is None:
            self._days = _parted_by_day(self._names())
        kept = [self._days.get(day_text(day), b"").decode() for day in days]
        return group_shards({name for names in kept for name in names.split(_SEPARATOR)})

    def add(self, names: Iterable[str]) -> None:
        """Shards that were published since; what is not listed yet will show them by itself."""
        if self._days is not None:
            _part(names, self._days)


def group_shards(names: Iterable[str]) -> ShardsByBucket:
    """The shards among these names by (day, bucket), each in the order of parts."""
    found: dict[tuple[date, int], list[str]] = {}
    for name in names:
        parsed = parse_shard_name(name)
        if parsed is not None:
            found.setdefault(place_of(parsed), []).append(name)
    return {place: order_parts(several) for place, several in found.items()}


def _parted_by_day(names: Iterable[str]) -> dict[str, bytearray]:
    days: dict[str, bytearray] = {}
    _part(names, days)
    return days


def _part(names: Iterable[str], days: dict[str, bytearray]) -> None:
    for name in names:
        if name.endswith(_SUFFIX) and name.isascii():
            days.setdefault(name[:_DAY_DIGITS], bytearray()).extend(f"{name}/".encode())
