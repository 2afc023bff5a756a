"""Locations that somebody still needs: a filter that never forgets one, and rarely sees too many.

Two rows may point to one file. Until both are packed, its source must stay. Locations are not
indexed in `files`, so those of the rows that are not archived are remembered here, by hash, in
a fixed 16 MiB: a location that was added is always found, another one hardly ever. `/a//b` and
`/a/./b` are other words for `/a/b`; which directories are links to others is not looked up.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

_BITS = 27
_MASK = (1 << _BITS) - 1


class PendingLocations:
    """Add locations, then ask."""

    def __init__(self) -> None:
        self._bitmap = bytearray(1 << (_BITS - 3))

    def add(self, locations: Iterable[str | None]) -> None:
        for location in locations:
            if location:
                for place in _places(location):
                    self._bitmap[place >> 3] |= 1 << (place & 7)

    def __contains__(self, location: str | None) -> bool:
        return bool(location) and all(
            self._bitmap[place >> 3] >> (place & 7) & 1 for place in _places(location or "")
        )


def _places(location: str) -> Iterator[int]:
    plain = os.path.normpath(location)
    digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    for start in (0, 4, 8):
        yield int.from_bytes(digest[start : start + 4]) & _MASK
