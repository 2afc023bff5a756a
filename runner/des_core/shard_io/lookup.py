"""Finds one uid in an index without parsing what comes before it.

1. The bytes `name_len + uid` are searched in a window of the index. This takes a millisecond
   in a hundred thousand entries, but a hit may lie inside another uid or a meta object.
2. Therefore a hit counts only when it is proved to lie where an entry starts. An entry's
   length follows from a few of its bytes: name_len, flags, hash_len and meta_len. Entries
   that agree in those have one *shape*, and a shape is a regular expression of fixed length:
   those bytes literally, anything between them. A run of known shapes is skipped by
   matching, in C, and what matches is the same walk from entry to entry that a parser makes.
3. Where no known shape matches, entries are parsed one by one and their shapes learnt.
4. The first entry start at or after the hit decides. If it is the hit, the hit is real. If it
   lies behind, the hit was inside an entry, and the search goes on from there.

So nothing is believed because it looks like an entry, and a uid is absent only after
the whole index was walked. Windows start at entry starts and fit into a processor's cache.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from heapq import heapify, heappop, heapreplace

from des_core.shard_io.index import WINDOW, EntryParser, IndexBytes
from des_core.shard_io.layout import (
    BIG_V2,
    FLAG_BIG,
    HASH_LEN,
    PLAIN_V1,
    PLAIN_V2,
    U16,
    U32,
    ShardEntry,
)

# Entries parsed before the shapes seen among them are compiled.
SAMPLE = 64
# Compiling costs a few hundred entries' worth of time; an index with ever new shapes
# is better parsed.
MAX_COMPILES = 12
MAX_SHAPES = 192
MAX_SHAPE_SIZE = 8192

# name_len, is_big, meta_len
Shape = tuple[int, bool, int]


class Lookup:
    """Searches an index; what it has learnt about shapes serves later searches too."""

    def __init__(self, index: IndexBytes) -> None:
        self._index = index
        self._parser = EntryParser(index.frame.version, index.frame.index_start)
        self._shapes: Counter[Shape] = Counter()
        self._compiles_left = MAX_COMPILES
        self._skip: re.Pattern[bytes] | None = None

    def find(self, names: Mapping[str, bytes]) -> dict[str, ShardEntry]:
        """The first entry of each uid that the index has; `names` maps uids to their UTF-8."""
        needles = {uid: U16.pack(len(name)) + name for uid, name in names.items()}
        found: dict[str, ShardEntry] = {}
        base = self._index.frame.entries_start
        buffer = self._index.load(base)
        while needles:
            at = self._search(buffer, base, needles, found)
            if not needles or base + at == self._index.frame.index_end:
                break
            buffer = self._index.extend(buffer, at, base)
            base += at
        return found

    def _search(
        self,
        buffer: bytes,
        base: int,
        needles: dict[str, bytes],
        found: dict[str, ShardEntry],
    ) -> int:
        """Move what is found from `needles` to `found`; the last entry start that was proved."""
        at = 0
        hits = [(hit, uid) for uid in needles if (hit := buffer.find(needles[uid])) >= 0]
        heapify(hits)
        while hits:
            hit, uid = hits[0]
            at = self._advance(buffer, base, at, hit)
            parsed = self._parser.parse(buffer, at, base) if at == hit else None
            if at < hit or (at == hit and parsed is None):
                return at  # the window ends inside this entry; the next one starts with it
            if parsed is not None:
                found[uid] = parsed[0]
                del needles[uid]
                heappop(hits)
            elif (later := buffer.find(needles[uid], at)) >= 0:
                heapreplace(hits, (later, uid))
            else:
                heappop(hits)
        return self._advance(buffer, base, at, len(buffer)) if needles else at

    def _advance(self, buffer: bytes, base: int, at: int, target: int) -> int:
        """From entry start to entry start, to the first that is not before `target`.

        Stops at an earlier one if the buffer ends inside its entry.
        """
        while at < target:
            before = at
            reach = min(target, at + WINDOW)
            if self._skip is not None and (match := self._skip.match(buffer, at, reach)):
                at = match.end()
            at = self._step(buffer, base, at, target)
            if at == before:
                break
        return at

    def _step(self, buffer: bytes, base: int, at: int, target: int) -> int:
        """Parse past what no known shape matches, learning from it while that pays."""
        known = len(self._shapes)
        learning = self._compiles_left > 0 and known < MAX_SHAPES
        for _ in range(SAMPLE if learning else 1):
            parsed = self._parser.parse(buffer, at, base) if at < target else None
            if parsed is None:
                break
            entry, end = parsed
            if learning and end - at <= MAX_SHAPE_SIZE:
                self._shapes[_shape_of(buffer, at, entry)] += 1
            at = end
        if len(self._shapes) > known:
            self._compiles_left -= 1
            self._skip = _compile(self._parser.version, self._shapes)
        return at


def _shape_of(entries: bytes, at: int, entry: ShardEntry) -> Shape:
    return U16.unpack_from(entries, at)[0], entry.is_big, len(entry.meta_json)


def _compile(version: int, shapes: Counter[Shape]) -> re.Pattern[bytes]:
    """Matches the longest run of whole entries of these shapes, the frequent ones tried first.

    Not possessive, though there is nothing to go back for: Python before 3.11.5 leaves the
    end of a possessive match inside a half-matched entry (gh-106052).
    """
    pattern = b"|".join(_shape_pattern(version, shape) for shape, _ in shapes.most_common())
    return re.compile(b"(?:%b)+" % pattern, re.DOTALL)


def _shape_pattern(version: int, shape: Shape) -> bytes:
    name_size, is_big, meta_size = shape
    name = re.escape(U16.pack(name_size)) + b".{%d}" % name_size
    if version == 1:
        return name + b".{%d}" % PLAIN_V1.size
    meta = re.escape(U32.pack(meta_size)) + b".{%d}" % meta_size
    if is_big:
        flags = re.escape(bytes((FLAG_BIG,)) + U16.pack(HASH_LEN))
        return name + flags + b".{%d}" % (BIG_V2.size - 3 - U32.size) + meta
    return name + re.escape(b"\0") + b".{%d}" % (PLAIN_V2.size - 1 - U32.size) + meta
