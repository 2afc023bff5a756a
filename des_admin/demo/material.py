"""Made-up files and the database of an application that stores them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from des_core.basics.identifiers import Dialect
from des_core.basics.timestamps import canonical_text, floor_day
from des_core.database.catalog import Catalog
from des_core.database.connections import open_database

if TYPE_CHECKING:
    from des_core.settings.config import Settings

FILES, DAYS = 20_000, 40
LATE_FILES = 7
BIG_SIZE = 11 << 20
SEED = 20_241_101
_SUFFIXES = ("txt", "json", "pdf", "jpg", "csv")


@dataclass(frozen=True, slots=True)
class DemoFile:
    """One file: what its row says, and the sha256 of its content."""

    uid: str
    created_at: datetime
    path: Path
    size_bytes: int
    sha256: bytes


def make_files(root: Path, now: datetime, files: int = FILES) -> list[DemoFile]:
    """Files of mixed sizes over DAYS days up to `now`, one of them big, in order of created_at."""
    chance = random.Random(SEED)  # noqa: S311 - made-up files, no secrets
    start = floor_day(now) - timedelta(days=DAYS)
    span_us = (now - start) // timedelta(microseconds=1)
    moments = sorted(chance.randrange(span_us) for _ in range(files))
    made = []
    for number, offset_us in enumerate(moments):
        size = BIG_SIZE if number == files * 3 // 4 else _size(chance)
        created_at = start + timedelta(microseconds=offset_us)
        made.append(_make_file(root, number, created_at, size, chance))
    return made


def make_late_files(root: Path, now: datetime, first_number: int) -> list[DemoFile]:
    """Uploads that were stamped weeks ago and are stored only now."""
    chance = random.Random(SEED + 1)  # noqa: S311
    return [
        _make_file(root, first_number + number, now - timedelta(days=30 - number), 2000, chance)
        for number in range(LATE_FILES)
    ]


def create_table(settings: Settings) -> None:
    """The application's database, as it is before anything of ours."""
    database = open_database(settings.source_url, create=True)
    catalog = Catalog(Dialect.SQLITE, settings.database)
    with database.write() as tx:
        for name in ("create_files.sql", "create_index.sql"):
            tx.run(catalog.load("demo", name))
    database.close()


def insert_rows(settings: Settings, files: Iterable[DemoFile]) -> None:
    """A row per file, not archived."""
    database = open_database(settings.source_url)
    statement = Catalog(Dialect.SQLITE, settings.database).load("demo", "insert_file.sql")
    rows = [
        {
            "uid": file.uid,
            "created_at": canonical_text(file.created_at),
            "location": str(file.path),
            "size_bytes": file.size_bytes,
        }
        for file in files
    ]
    with database.write() as tx:
        tx.run_many(statement, rows)
    database.close()


def spoil(files: list[DemoFile], now: datetime) -> list[DemoFile]:
    """Three waiting files go wrong, as files do: gone, a directory in its place, grown."""
    waiting = [f for f in files if timedelta(days=9) < now - f.created_at < timedelta(days=15)]
    gone, replaced, grown = waiting[10], waiting[200], waiting[-10]
    gone.path.unlink()
    replaced.path.unlink()
    replaced.path.mkdir()
    grown.path.write_bytes(grown.path.read_bytes() + b"more\n")
    return [gone, replaced, grown]


def _make_file(
    root: Path, number: int, created_at: datetime, size: int, chance: random.Random
) -> DemoFile:
    uid = str(1_000_000 + number) if number % 3 else f"doc-{number:06d}.{_suffix(number)}"
    path = root / f"{created_at:%Y-%m-%d}" / uid
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _content(number, size, chance)
    path.write_bytes(content)
    return DemoFile(uid, created_at, path, size, hashlib.sha256(content).digest())


def _suffix(number: int) -> str:
    return _SUFFIXES[number % len(_SUFFIXES)]


def _size(chance: random.Random) -> int:
    """Mostly some KiB, now and then some hundred; a few empty ones."""
    return min(int(chance.lognormvariate(8.0, 1.2)), 1 << 20) if chance.random() > 0.002 else 0


def _content(number: int, size: int, chance: random.Random) -> bytes:
    """Two of three compress well, as texts do."""
    if number % 3 == 0:
        return chance.randbytes(size)
    line = f"file {number}, {chance.getrandbits(64):016x}: a line like many others\n".encode()
    return (line * (size // len(line) + 1))[:size]
