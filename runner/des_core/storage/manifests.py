"""A manifest per slice beside its shards: what the ledger needs to be rebuilt without its database.

The same slice makes the same bytes, so a re-run finds its manifest there already. If the
same window was packed to other shards (late rows, another worker), the next number is taken.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from des_core.basics.errors import DamagedData, StorageError, UsageError
from des_core.basics.routing import MAX_BITS, MIN_BITS, day_text, parse_shard_name, shard_name
from des_core.basics.timestamps import EARLIEST, LATEST, canonical_text
from des_core.records import ShardRecord
from des_core.shard_io.dictionaries import is_dictionary_name
from des_core.shard_io.layout import SHA256_HEX
from des_core.storage.directory import Storage
from des_core.storage.layout import MANIFESTS_DIR
from des_core.storage.small_files import publish_unless_taken

FORMAT = "des slice manifest"
VERSION = 1
MAX_SIZE = 1 << 28
MAX_SAME_WINDOW = 10_000
# Of files or bytes in a slice: the ledger adds them up.
MOST_IN_ALL = 1 << 53
_KIND = re.compile(r"[a-z_]{1,16}")
_NAME = re.compile(r"[0-9]{8}T[0-9]{12}Z_[0-9]{8}T[0-9]{12}Z(_[a-z]+)?(\.[0-9]{4})?\.json")


@dataclass(frozen=True, slots=True)
class SliceManifest:
    """What was packed from `(window_start, window_end]`: shards written or adopted, big files.

    `kind` is the slice's, as in the ledger; `bigfiles` are sha256 in hex,
    `dictionaries` the names of those that its shards need.
    """

    window_start: datetime
    window_end: datetime
    n_bits: int
    shards: tuple[ShardRecord, ...]
    bigfiles: tuple[str, ...] = ()
    dictionaries: tuple[str, ...] = ()
    kind: str = "window"

    def to_bytes(self) -> bytes:
        """One line for each shard, ordered by name; the last line is the sha256 of all before."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "window_start": canonical_text(self.window_start),
            "window_end": canonical_text(self.window_end),
            "n_bits": self.n_bits,
            "bigfiles": sorted(set(self.bigfiles)),
        }
        if self.dictionaries:
            head["dictionaries"] = sorted(set(self.dictionaries))
        shards = sorted(self.shards, key=lambda shard: shard.name)
        lines = ",\n".join(_dump(_plain(shard)) for shard in shards)
        body = f'{_dump(head)[:-1]},\n"shards":[\n{lines}\n],\n'.encode()
        return body + f'"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> SliceManifest:
        """`DamagedData` unless the bytes are a manifest whose hash agrees."""
        body, _, tail = data.rpartition(b'"sha256":"')
        if tail != f'{hashlib.sha256(body).hexdigest()}"}}\n'.encode():
            raise DamagedData("a manifest does not agree with its own hash", manifest=name)
        try:
            return _parse(json.loads(data))
        except (ValueError, KeyError, TypeError, RecursionError, UsageError) as exc:
            raise DamagedData("not a manifest of this version", manifest=name) from exc


def write_manifest(storage: Storage, manifest: SliceManifest, *, worker: int = 0) -> str:
    """Publish it unless the same is there; its name. Names are durable after `sync_directory`.

    Each sharded worker begins with a number of its own, so that it need not ask for the names of
    all others first.
    """
    content = manifest.to_bytes()
    for name in _names(manifest, worker % MAX_SAME_WINDOW):
        if not storage.exists(name) and publish_unless_taken(storage, name, content):
            return name
        if _read(storage, name) == content:
            return name
    raise StorageError("too many manifests of one window", window=_stem(manifest))


def read_manifest(storage: Storage, name: str) -> SliceManifest:
    """The manifest of that name, checked. `StorageError` if there is none."""
    manifest = SliceManifest.from_bytes(_read(storage, name), name)
    if name.partition(".")[0] != _stem(manifest):
        raise DamagedData("a manifest under the name of another", manifest=name)
    return manifest


def list_manifests(storage: Storage) -> list[str]:
    """The names of all manifests, ordered by their windows."""
    names = storage.list_names(MANIFESTS_DIR)
    return sorted(f"{MANIFESTS_DIR}/{name}" for name in names if _NAME.fullmatch(name))


def may_name_shards_of(manifest: str, days: Sequence[date]) -> bool:
    """Whether the window that a manifest's name tells reaches into one of these UTC days, which
    are in their order."""
    start, end = manifest.rpartition("/")[2].split("_")[:2]
    at = bisect_left(days, start[:8], key=day_text)
    return at < len(days) and day_text(days[at]) <= end[:8]


def claimed_hashes(storage: Storage, shards: Iterable[str]) -> dict[str, frozenset[str]]:
    """shard → the sha256 that manifests say it has; a shard that none speaks of is left out."""
    wanted = set(shards)
    days = {parsed.day for name in wanted if (parsed := parse_shard_name(name)) is not None}
    return claims(storage, wanted.__contains__, sorted(days)) if days else {}


def claims(
    storage: Storage, is_wanted: Callable[[str], bool], days: Sequence[date] | None = None
) -> dict[str, frozenset[str]]:
    """The same of all shards that are wanted; only manifests of these `days` are read.

    A name may have several: after a repair, another shard may have taken it. Manifests that cannot
    be read say nothing; `verify` looks at them by themselves.
    """
    found: dict[str, set[str]] = {}
    for name in list_manifests(storage):
        if days is not None and not may_name_shards_of(name, days):
            continue
        with suppress(DamagedData, StorageError):
            for shard in read_manifest(storage, name).shards:
                if is_wanted(shard.name):
                    found.setdefault(shard.name, set()).add(shard.sha256)
    return {shard: frozenset(hashes) for shard, hashes in found.items()}


def _parse(value: Any) -> SliceManifest:
    """What a manifest claims, if such a slice can be; ValueError, KeyError or TypeError if not."""
    if (value["format"], value["version"]) != (FORMAT, VERSION):
        raise ValueError(value["version"])
    n_bits = _whole(value["n_bits"], MIN_BITS, MAX_BITS)
    manifest = SliceManifest(
        window_start=_moment(value["window_start"]),
        window_end=_moment(value["window_end"]),
        n_bits=n_bits,
        shards=tuple(_parse_shard(shard, n_bits) for shard in value["shards"]),
        bigfiles=tuple(map(_sha256, value["bigfiles"])),
        dictionaries=tuple(map(_dictionary, value.get("dictionaries", ()))),
        kind=str(value["kind"]),
    )
    start, end = manifest.window_start, manifest.window_end
    if not EARLIEST <= start < end <= LATEST or not _KIND.fullmatch(manifest.kind):
        raise ValueError("no window of a slice")
    for name in ("files", "content_bytes", "size_bytes"):
        _whole(sum(getattr(shard, name) for shard in manifest.shards), 0, MOST_IN_ALL)
    first, last = manifest.window_start.date(), manifest.window_end.date()
    if any(not first <= shard.day <= last for shard in manifest.shards):
        raise ValueError("a shard of another day")
    return manifest


def _plain(shard: ShardRecord) -> dict[str, object]:
    """As `asdict`, which takes ten times as long: an archive of small days has many shards."""
    values = {name: getattr(shard, name) for name in ShardRecord.__slots__}
    return values | {"day": shard.day.isoformat()}


def _parse_shard(value: dict[str, Any], n_bits: int) -> ShardRecord:
    day = date.fromisoformat(value["day"])
    bucket = _whole(value["bucket"], 0, (1 << n_bits) - 1)
    part = _whole(value["part"], 0)
    if value["name"] != shard_name(day, bucket, part, n_bits):
        raise ValueError("not the name of that shard")
    return ShardRecord(
        name=value["name"],
        day=day,
        bucket=bucket,
        part=part,
        files=_whole(value["files"], 1),
        content_bytes=_whole(value["content_bytes"], 0),
        size_bytes=_whole(value["size_bytes"], 1),
        sha256=_sha256(value["sha256"]),
    )


def _whole(value: Any, least: int, most: int = (1 << 63) - 1) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError("not a whole number of that range")
    return value


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not SHA256_HEX.fullmatch(value):
        raise ValueError("not a sha256")
    return value


def _dictionary(value: Any) -> str:
    if not isinstance(value, str) or not is_dictionary_name(value):
        raise ValueError("not the name of a dictionary")
    return value


def _read(storage: Storage, name: str) -> bytes:
    try:
        blob = storage.open(name)
    except FileNotFoundError as exc:
        raise StorageError("there is no such manifest", manifest=name) from exc
    try:
        return blob.read_range(0, min(blob.size(), MAX_SIZE))
    finally:
        blob.close()


def _names(manifest: SliceManifest, first: int) -> Iterator[str]:
    stem = _stem(manifest)
    for number in (*range(first, MAX_SAME_WINDOW), *range(first)):
        yield f"{stem}.{number:04d}.json" if number else f"{stem}.json"


def _stem(manifest: SliceManifest) -> str:
    kind = "" if manifest.kind == "window" else f"_{manifest.kind}"
    start, end = _compact(manifest.window_start), _compact(manifest.window_end)
    return f"{MANIFESTS_DIR}/{start}_{end}{kind}"


def _compact(moment: datetime) -> str:
    text = canonical_text(moment)
    return re.sub("[-:.]", "", text).replace(" ", "T") + "Z"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
