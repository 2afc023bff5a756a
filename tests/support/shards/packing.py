"""Real files with their rows, and a way to pack them into a directory."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from des_core.basics.routing import parse_shard_name
from des_core.packer_planner import PackerConfig
from des_core.packing.packer import Packer
from des_core.packing.row_spool import CHUNK_ROWS, RowSpool
from des_core.packing.tasks import TaskOutcome
from des_core.records import FileFailure, ShardRecord, SourceRow
from support.rows.filesdata import content_of
from support.shards.tiny_reader import read_shard

DAY = date(2024, 3, 1)
DAY_US = 1_709_251_200_000_000


@dataclass
class Corpus:
    """Files under `root`, each with its row. Times step by a minute from midnight of `DAY`."""

    root: Path
    rows: list[SourceRow] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)

    def add(
        self, uid: str, content: bytes | None = None, *, name: str | None = None, day: int = 0
    ) -> SourceRow:
        """Write a file and make its row."""
        content = content_of(uid, 500, 7) if content is None else content
        path = self.root / (name or f"{len(self.rows):06d}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.contents[uid] = content
        return self.add_row(uid, str(path), len(content), day=day)

    def add_row(
        self, uid: str, location: str | None, size: int | None = None, *, day: int = 0
    ) -> SourceRow:
        """Make a row for whatever is at the location."""
        created_us = DAY_US + day * 86_400_000_000 + len(self.rows) * 60_000_000
        row = SourceRow(uid, created_us, location, size)
        self.rows.append(row)
        return row

    def fill(self, count: int, *, days: int = 1, size: int = 500) -> None:
        """Add so many files."""
        for number in range(count):
            uid = str(9_000_000 + number) if number % 3 == 0 else f"doc-{number}.txt"
            self.add(uid, content_of(uid, size * (number % 7) // 3, 7), day=number % days)


@dataclass(frozen=True)
class Packed:
    """What all tasks of a packing came to."""

    outcomes: Sequence[TaskOutcome]

    @property
    def shards(self) -> list[ShardRecord]:
        return [shard for outcome in self.outcomes for shard in outcome.shards]

    @property
    def adopted(self) -> list[ShardRecord]:
        return [shard for outcome in self.outcomes for shard in outcome.adopted]

    @property
    def failures(self) -> list[FileFailure]:
        return [failure for outcome in self.outcomes for failure in outcome.failures]

    @property
    def reasons(self) -> dict[str, str]:
        """uid → reason of those that failed."""
        return {failure.uid: str(failure.reason) for failure in self.failures}

    @property
    def files_out(self) -> int:
        return sum(outcome.files_out for outcome in self.outcomes)

    @property
    def files_present(self) -> int:
        return sum(outcome.files_present for outcome in self.outcomes)


def pack_rows(
    rows: Iterable[SourceRow],
    output_dir: Path,
    *,
    page: int = 100,
    known: Iterable[str] = (),
    memory_limit: int = 1 << 25,
    chunk_rows: int = CHUNK_ROWS,
    **fields: object,
) -> Packed:
    """Pack rows as a cycle does; `fields` are those of `PackerConfig`, one worker by default."""
    config = PackerConfig(str(output_dir), **{"n_bits": 4, "workers": 1, **fields})  # type: ignore[arg-type]
    with packer_for(config) as packer:
        return pack_with(
            packer, rows, page=page, known=known, memory_limit=memory_limit, chunk_rows=chunk_rows
        )


def packer_for(config: PackerConfig) -> Packer:
    """A packer whose output directory exists."""
    Path(config.output_dir).mkdir(parents=True, exist_ok=True)
    return Packer(config)


def pack_with(
    packer: Packer,
    rows: Iterable[SourceRow],
    *,
    page: int = 100,
    known: Iterable[str] = (),
    memory_limit: int = 1 << 25,
    chunk_rows: int = CHUNK_ROWS,
) -> Packed:
    """Pack rows with a packer that is open already."""
    everything = list(rows)
    config = packer.config
    with RowSpool(
        config.n_bits, config.output_dir, memory_limit=memory_limit, chunk_rows=chunk_rows
    ) as spool:
        for start in range(0, len(everything), page):
            spool.add(everything[start : start + page])
        existing = packer.storage.list_shards(spool.days())
        outcomes = list(packer.pack(spool.tasks(existing, frozenset(known))))
    packer.storage.sync_directory()
    return Packed(outcomes)


def read_archive(output_dir: Path) -> dict[str, bytes]:
    """uid → content of all shards, by the reader that shares no code with the product."""
    found: dict[str, bytes] = {}
    for path in sorted(output_dir.glob("*.des")):
        assert parse_shard_name(path.name) is not None
        for uid, (content, _) in read_shard(path).items():
            assert uid not in found, f"{uid!r} was packed twice"
            found[uid] = content
    return found


def archive_bytes(output_dir: Path) -> dict[str, bytes]:
    """Relative name → bytes of every file below the directory."""
    return {
        str(path.relative_to(output_dir)): path.read_bytes()
        for path in sorted(output_dir.rglob("*"))
        if path.is_file()
    }


def leftovers(output_dir: Path) -> list[str]:
    """Names of drafts that lie about."""
    return [name for _, _, names in os.walk(output_dir) for name in names if name.startswith(".")]
