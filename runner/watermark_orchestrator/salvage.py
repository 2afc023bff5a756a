"""Files whose source is gone, taken out of a damaged shard where their own checksum proves them.

zstd payloads and big files carry a checksum of their content; a payload stored raw does not, so
it is never taken: nobody could tell which of its bytes was the damaged one. The file is written
beside the damaged shard, packed from there like any other, and removed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from des_core.basics.errors import DamagedData, StorageError
from des_core.basics.routing import bucket_of, parse_shard_name
from des_core.basics.timestamps import from_us, to_us
from des_core.ledger.exceptions import OpenException, iterate_open
from des_core.ledger.watermark import Watermark
from des_core.packing.packer import Packer
from des_core.records import SourceRow
from des_core.shard_io import Codec, ShardEntry, ShardReader
from des_core.storage.companions import companions_of, open_listed
from des_core.storage.layout import DAMAGED_DIR, LOST_SUFFIX
from watermark_orchestrator.commit import commit_retry
from watermark_orchestrator.run import Run
from watermark_orchestrator.slice_packing import pack_rows
from watermark_orchestrator.slices import Window
from watermark_orchestrator.writers import SoleWriter

_Place = tuple[date, int]


def salvage_damaged(run: Run, watermark: Watermark) -> int:
    """Pack what can be proved of the shards in `_damaged/` and is an open exception; how many."""
    shards = _damaged_shards(run)
    wanted = _wanted(run, set(shards)) if shards else {}
    salvaged = 0
    for place, items in wanted.items():
        run.stop.check()
        with TemporaryDirectory(prefix=".salvage-", dir=_directory(run)) as scratch:
            rows = list(_extract(run, shards[place], items, Path(scratch)))
            if rows:
                salvaged += _pack(run, watermark, rows)
    return salvaged


def _directory(run: Run) -> str:
    return f"{run.archive.packer_config.output_dir}/{DAMAGED_DIR}"


def _damaged_shards(run: Run) -> dict[_Place, list[str]]:
    """The shards that were set aside, by day and bucket; `.1` after a name is a second one."""
    found: dict[_Place, list[str]] = defaultdict(list)
    for name in run.archive.storage.list_names(DAMAGED_DIR):
        parsed = parse_shard_name(name.partition(".des")[0] + ".des")
        if parsed is not None and not name.endswith(LOST_SUFFIX):
            found[parsed.day, parsed.bucket].append(f"{DAMAGED_DIR}/{name}")
    return found


def _wanted(run: Run, places: set[_Place]) -> dict[_Place, list[OpenException]]:
    wanted: dict[_Place, list[OpenException]] = defaultdict(list)
    n_bits = run.archive.packer_config.n_bits
    for page in iterate_open(run.archive.config):
        for item in page:
            place = (item.created_at.astimezone(UTC).date(), bucket_of(item.uid, n_bits))
            if place in places and not item.archived:
                wanted[place].append(item)
    return wanted


def _extract(
    run: Run, shards: list[str], items: list[OpenException], scratch: Path
) -> Iterator[SourceRow]:
    """Rows whose location is a file that was written now; only of rows that still exist."""
    left = {item.uid: item for item in items}
    for name in shards:
        with suppress(DamagedData, StorageError), _open(run, name) as reader:
            for uid, entry in reader.find_many(left).items():
                path = scratch / f"{len(left)}"
                if _is_proved(entry) and _write(reader, entry, path):
                    yield SourceRow(uid, to_us(left.pop(uid).created_at), str(path), entry.size)


def _open(run: Run, name: str) -> ShardReader:
    storage = run.archive.storage
    return open_listed(storage, name, companions_of(storage))


def _is_proved(entry: ShardEntry) -> bool:
    return entry.is_big or entry.codec == Codec.ZSTD


def _write(reader: ShardReader, entry: ShardEntry, path: Path) -> bool:
    """Whether the whole content was there and its checksum agreed."""
    try:
        with path.open("wb") as file:
            for piece in reader.stream(entry):
                file.write(piece)
    except (DamagedData, StorageError):
        path.unlink()
        return False
    return True


def _pack(run: Run, watermark: Watermark, rows: list[SourceRow]) -> int:
    """As a retry, but from our own files, which lie outside the source roots."""
    archive = run.archive
    found = archive.source.lookup([(row.uid, _moment(row)) for row in rows])
    rows = [row for row, now in zip(rows, found, strict=True) if _agrees(row, now)]
    if not rows:
        return 0
    moments = [_moment(row) for row in rows]
    window = Window(min(moments) - timedelta(microseconds=1), max(moments))
    config = replace(
        archive.packer_config, source_roots=(), own_places=(), workers=1, scheduler=None
    )
    with Packer(config) as packer:
        packed = pack_rows(
            replace(run, packer=packer), "exceptions", window, rows, started_at=datetime.now(UTC)
        )
    failed = {failure.uid for failure in packed.failures}
    resolved = [(row.uid, _moment(row)) for row in rows if row.uid not in failed]
    packed = replace(packed, failures=())  # their exceptions stay as they are, with their locations
    commit_retry(run, SoleWriter(watermark), packed, resolved=resolved, gone=[])
    return len(resolved)


def _agrees(row: SourceRow, now: SourceRow | None) -> bool:
    """Whether the row is still there, and of the size of what was taken from the shard."""
    return now is not None and now.size_bytes in (None, row.size_bytes)


def _moment(row: SourceRow) -> datetime:
    return from_us(row.created_us)
