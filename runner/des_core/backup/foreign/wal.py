"""WAL of a physical backup: which segments a restore needs, and whether their bytes are WAL."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from des_core.backup.programs import find_postgres_program, run_to_end
from des_core.basics.errors import UsageError

NAME_LENGTH = 24
_SIZES = tuple(1 << power for power in range(20, 31))
_PAGE = 8192
# XLogPageHeaderData (magic, info, timeline, address, remaining length), then what only the first
# page of a segment has: system identifier, segment size, page size. Little-endian machines.
_HEADER = struct.Struct("<HHIQI4xQII")
_HAS_LONG_HEADER = 0x0002


@dataclass(frozen=True, slots=True)
class WalRange:
    """From the segment in which the backup began to that in which it ended; LSNs as text."""

    start_segment: str
    stop_segment: str
    start_lsn: str
    stop_lsn: str

    @property
    def timeline(self) -> int:
        return int(self.start_segment[:8], 16)

    def segments(self) -> tuple[str, ...]:
        """Every segment that a restore needs, in order. ValueError for what cannot be."""
        first, last = self.start_segment, self.stop_segment
        if len(first) != NAME_LENGTH or len(last) != NAME_LENGTH or first[:8] != last[:8]:
            raise ValueError(f"WAL from {first} to {last} is no range of one timeline")
        size = self._segment_size()
        numbers = [_number(name, size) for name in (first, last)]
        if numbers[1] < numbers[0]:
            raise ValueError(f"WAL from {first} to {last} runs backwards")
        return tuple(
            _name(self.timeline, number, size) for number in range(numbers[0], numbers[1] + 1)
        )

    def _segment_size(self) -> int:
        """The size of a segment that makes names and LSNs agree; 16 MiB nearly always."""
        for size in (1 << 24, *_SIZES):
            names = (
                _name(self.timeline, _position(self.start_lsn) // size, size),
                # A backup that ends at a segment's very end names that segment.
                _name(self.timeline, max(_position(self.stop_lsn) - 1, 0) // size, size),
            )
            if names == (self.start_segment, self.stop_segment):
                return size
        raise ValueError(f"WAL {self.start_segment} does not fit {self.start_lsn}")


@dataclass(frozen=True, slots=True)
class WalHead:
    """What the first page of a segment says of itself."""

    system_id: str
    position: int
    timeline: int


def read_head(path: Path) -> WalHead:
    """ValueError where the file does not begin as a segment of WAL does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(_HEADER.size)
    if len(raw) < _HEADER.size:
        raise ValueError("it is cut")
    _magic, info, timeline, position, _rest, system_id, segment_size, page = _HEADER.unpack(raw)
    if not info & _HAS_LONG_HEADER or page != _PAGE or segment_size not in _SIZES:
        raise ValueError("it does not begin as WAL does")
    if size != segment_size:
        raise ValueError(f"it has {size:,} bytes instead of {segment_size:,}")
    return WalHead(str(system_id), position, timeline)


def find_wal_faults(
    directory: Path, wanted: WalRange, segments: Sequence[str], major: int, scratch: Path
) -> Iterator[str]:
    """What keeps the segments in `directory` from being replayed, read record by record.

    Refused where there is no pg_waldump of this version.
    """
    for name in segments:
        try:
            head = read_head(directory / name)
        except (OSError, ValueError) as exc:
            yield f"{name}: {exc}"
            return
        if f"{head.timeline:08X}" != name[:8]:
            yield f"{name} is of timeline {head.timeline}"
            return
    program = find_postgres_program("pg_waldump", (major,))
    if program.version[:1] != (major,):
        raise UsageError(
            f"there is no pg_waldump of version {major} here",
            hint=f"install postgresql-{major}, then run the same command again",
        )
    code, stderr = run_to_end(
        [
            *(program.path, f"--path={directory}", f"--timeline={wanted.timeline}", "--quiet"),
            *(f"--start={wanted.start_lsn}", f"--end={wanted.stop_lsn}"),
        ],
        scratch,
    )
    if code != 0:
        yield " ".join(stderr.split())


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _number(name: str, size: int) -> int:
    return int(name[8:16], 16) * ((1 << 32) // size) + int(name[16:], 16)


def _name(timeline: int, number: int, size: int) -> str:
    per_log = (1 << 32) // size
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"
