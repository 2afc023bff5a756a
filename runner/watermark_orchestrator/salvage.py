"""Files whose source is gone, taken out of a shard that was set aside, if they can be proved.

zstd payloads and big files carry a checksum of their content. A payload stored raw does not: it is
taken only if the whole shard is what its manifest says, and was set aside for what lies beside it,
a dictionary or a big file. Otherwise nobody could tell which of its bytes was the damaged one. The
file is written to a temporary directory, packed from there like any other, and removed again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from des_core.basics.errors import DamagedData, StorageError
from des_core.basics.routing import bucket_of, parse_shard_name
from des_core.basics.storage_errors import storage_error
from des_core.basics.timestamps import from_us, to_us
from des_core.ledger.exceptions import OpenException, iterate_open
from des_core.ledger.watermark import Watermark
from des_core.packing.packer import Packer
from des_core.records import SourceRow
from des_core.shard_io import Codec, ShardEntry, ShardReader
from des_core.shard_io.reader import CHUNK_SIZE
from des_core.storage.companions import companions_of, open_listed
from des_core.storage.layout import DAMAGED_DIR, LOST_SUFFIX
from des_core.storage.manifests import claimed_hashes
from watermark_orchestrator.archive import Archive
from watermark_orchestrator.commit import commit_retry
from watermark_orchestrator.run import Run
from watermark_orchestrator.slice_packing import pack_rows
from watermark_orchestrator.slices import Window
from watermark_orchestrator.writers import SoleWriter

PREFIX = ".salvage-"
_Place = tuple[date, int]


def may_salvage(archive: Archive) -> bool:
    """Whether an exception is open whose file a shard in `_damaged/` may hold.

    A repair was cut off, or what the shard lacked has been brought back since.
    """
    shards = _damaged_shards(archive)
    return bool(shards and _wanted(archive, set(shards)))


@dataclass(slots=True)
class Salvage:
    """Files that were packed, those of them that were `tried` from their sources in this repair,
    and those that shards in `_damaged/` have and cannot give: they stay open exceptions."""

    packed: int = 0
    tried: int = 0
    left: int = 0


def salvage_damaged(run: Run, watermark: Watermark, since: datetime) -> Salvage:
    """Pack what can be proved of the shards in `_damaged/` and is an open exception.

    What was last tried `since` then counts as tried.
    """
    shards = _damaged_shards(run.archive)
    wanted = _wanted(run.archive, set(shards)) if shards else {}
    done = Salvage()
    directory = _directory(run)
    for place, items in wanted.items():
        run.stop.check()
        held: set[str] = set()
        with TemporaryDirectory(prefix=PREFIX, dir=directory) as scratch:
            rows = list(_extract(run, shards[place], items, Path(scratch), held))
            packed = _pack(run, watermark, rows) if rows else set()
        done.packed += len(packed)
        done.tried += sum(i.last_seen >= since and (i.uid, i.created_at) in packed for i in items)
        done.left += len(held.difference(uid for uid, _ in packed))
    return done


def _directory(run: Run) -> Path:
    """Beside the damaged shards, without what a killed repair left there, for only one may be at
    work; on this machine's own disk if the shards are in a bucket."""
    scratch_dir = Path(run.archive.storage.scratch_dir)
    beside = scratch_dir / DAMAGED_DIR
    if not beside.is_dir():
        return scratch_dir
    for path in beside.glob(f"{PREFIX}*"):
        rmtree(path, ignore_errors=True)
    return beside


def _damaged_shards(archive: Archive) -> dict[_Place, list[str]]:
    """The shards that were set aside, by day and bucket; `.1` after a name is a second one."""
    found: dict[_Place, list[str]] = defaultdict(list)
    for name in archive.storage.list_names(DAMAGED_DIR):
        parsed = parse_shard_name(_first_name(name))
        if parsed is not None and not name.endswith(LOST_SUFFIX):
            found[parsed.day, parsed.bucket].append(f"{DAMAGED_DIR}/{name}")
    return found


def _first_name(name: str) -> str:
    """The name of a shard before it was set aside."""
    return name.rpartition("/")[2].partition(".des")[0] + ".des"


def _wanted(archive: Archive, places: set[_Place]) -> dict[_Place, list[OpenException]]:
    wanted: dict[_Place, list[OpenException]] = defaultdict(list)
    n_bits = archive.packer_config.n_bits
    for page in iterate_open(archive.config):
        for item in page:
            place = (item.created_at.astimezone(UTC).date(), bucket_of(item.uid, n_bits))
            if place in places and not item.archived:
                wanted[place].append(item)
    return wanted


def _extract(
    run: Run, shards: list[str], items: list[OpenException], scratch: Path, held: set[str]
) -> Iterator[SourceRow]:
    """Rows whose location is a file that was written now. `held` gets the uids that shards have."""
    left = {item.uid: item for item in items}
    for name in shards:
        with suppress(DamagedData, StorageError), _open(run, name) as reader:
            found = reader.find_many(left)
            held.update(found)
            is_whole = bool(found) and _is_whole(run, name, reader)
            for uid, entry in found.items():
                path = scratch / f"{len(left)}"
                if (is_whole or _is_proved(entry)) and _write(reader, entry, path):
                    yield SourceRow(uid, to_us(left.pop(uid).created_at), str(path), entry.size)


def _open(run: Run, name: str) -> ShardReader:
    storage = run.archive.storage
    return open_listed(storage, name, companions_of(storage))


def _is_whole(run: Run, name: str, reader: ShardReader) -> bool:
    """Whether these are, to the last bit, the bytes that were packed under the shard's name."""
    first_name = _first_name(name)
    claimed = claimed_hashes(run.archive.storage, [first_name]).get(first_name, frozenset())
    digest = hashlib.sha256()
    for offset in range(0, reader.frame.size, CHUNK_SIZE):
        digest.update(reader.read_range(offset, min(CHUNK_SIZE, reader.frame.size - offset)))
    return digest.hexdigest() in claimed


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
    except OSError as exc:
        raise storage_error("cannot write a file out of a damaged shard", exc, str(path)) from exc
    return True


def _pack(run: Run, watermark: Watermark, rows: list[SourceRow]) -> set[tuple[str, datetime]]:
    """As a retry, but from our own files, which lie outside the source roots; which are packed."""
    archive = run.archive
    found = archive.source.lookup([(row.uid, _moment(row)) for row in rows])
    rows = [row for row, now in zip(rows, found, strict=True) if _agrees(row, now)]
    if not rows:
        return set()
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
    return set(resolved)


def _agrees(row: SourceRow, now: SourceRow | None) -> bool:
    """Whether the row is still there, and of the size of what was taken from the shard."""
    return now is not None and now.size_bytes in (None, row.size_bytes)


def _moment(row: SourceRow) -> datetime:
    return from_us(row.created_us)
