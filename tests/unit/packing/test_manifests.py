"""A manifest says what a slice became, and notices when it was touched."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedData, StorageError
from des_core.records import ShardRecord
from des_core.storage.directory import DirectoryStorage
from des_core.storage.manifests import SliceManifest, list_manifests, read_manifest, write_manifest

SHARDS = tuple(
    ShardRecord(f"20240301_0{n}_0000.des", date(2024, 3, 1), n, 0, 5, 100, 80, f"{n:064x}")
    for n in range(3)
)
MANIFEST = SliceManifest(
    window_start=datetime(2024, 3, 1, tzinfo=UTC),
    window_end=datetime(2024, 3, 2, 12, 30, 0, 5, tzinfo=UTC),
    n_bits=8,
    shards=SHARDS,
    bigfiles=("ab" * 32,),
)
NAME = "_manifests/20240301T000000000000Z_20240302T123000000005Z"


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(str(tmp_path))


def test_what_is_written_is_read(storage: DirectoryStorage) -> None:
    name = write_manifest(storage, MANIFEST)
    assert name == f"{NAME}.json"
    assert read_manifest(storage, name) == MANIFEST
    assert list_manifests(storage) == [name]


def test_no_shards_at_all(storage: DirectoryStorage) -> None:
    empty = replace(MANIFEST, shards=(), bigfiles=(), kind="late")
    name = write_manifest(storage, empty)
    assert name == f"{NAME}_late.json"
    assert read_manifest(storage, name) == empty


def test_order_does_not_matter_and_the_same_is_written_once(storage: DirectoryStorage) -> None:
    name = write_manifest(storage, MANIFEST)
    again = replace(MANIFEST, shards=SHARDS[::-1], bigfiles=MANIFEST.bigfiles * 2)
    assert write_manifest(storage, again) == name
    assert list_manifests(storage) == [name]


def test_another_packing_of_the_window_gets_the_next_number(storage: DirectoryStorage) -> None:
    one = write_manifest(storage, MANIFEST)
    two = write_manifest(storage, replace(MANIFEST, shards=SHARDS[:1]))
    assert (one, two) == (f"{NAME}.json", f"{NAME}.0001.json")
    assert write_manifest(storage, MANIFEST) == one
    assert len(list_manifests(storage)) == 2


def test_a_missing_manifest(storage: DirectoryStorage) -> None:
    with pytest.raises(StorageError):
        read_manifest(storage, f"{NAME}.json")


def test_any_changed_or_lost_byte_is_noticed() -> None:
    sound = MANIFEST.to_bytes()
    assert SliceManifest.from_bytes(sound, "x") == MANIFEST
    for place in range(len(sound)):
        flipped = sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :]
        for damaged in (sound[:place], flipped):
            with pytest.raises(DamagedData):
                SliceManifest.from_bytes(damaged, "x")


def test_a_damaged_manifest_is_named(storage: DirectoryStorage, tmp_path: Path) -> None:
    name = write_manifest(storage, MANIFEST)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(DamagedData) as caught:
        read_manifest(storage, name)
    assert name in str(caught.value)


def sealed(value: object) -> bytes:
    """As a forger writes it: with a hash that agrees."""
    body = json.dumps(value, sort_keys=True, separators=(",", ":"))[:-1].encode() + b","
    return body + f'"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


FORGED = {
    "day outside": {"shards": [{"day": "9999-12-31", "name": "99991231_00_0000.des"}]},
    "bucket below zero": {"shards": [{"bucket": -5, "name": "20240301_-5_0000.des"}]},
    "bucket too large": {"shards": [{"bucket": 256, "name": "20240301_100_0000.des"}]},
    "name that climbs": {"shards": [{"name": "../../20240301_00_0000.des"}]},
    "name of another": {"shards": [{"name": "20240301_01_0000.des"}]},
    "part below zero": {"shards": [{"part": -1}]},
    "files are none": {"shards": [{"files": 0}]},
    "files are true": {"shards": [{"files": True}]},
    "files are a fraction": {"shards": [{"files": 1.5}]},
    "size is huge": {"shards": [{"size_bytes": 2**70}]},
    "hash is short": {"shards": [{"sha256": "ab"}]},
    "shard is a list": {"shards": [[]]},
    "shards are text": {"shards": "none"},
    "big file that climbs": {"bigfiles": ["../../etc/passwd"]},
    "dictionary that climbs": {"dictionaries": ["../../etc/passwd"]},
    "bits are many": {"n_bits": 60},
    "kind that climbs": {"kind": "../x"},
    "window upside down": {"window_end": "2024-02-01 00:00:00.000000"},
    "time that is none": {"window_start": "yesterday"},
    "window before all": {"window_start": "0001-01-01 00:00:00.000000"},
    "window after all": {"window_end": "9999-12-31 23:59:59.999999"},
    "files beyond counting": {"shards": [{"files": 2**62}]},
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_manifest_is_no_manifest(case: str) -> None:
    value = json.loads(MANIFEST.to_bytes())
    del value["sha256"]
    assert SliceManifest.from_bytes(sealed(value), "x") == MANIFEST
    for key, forged in FORGED[case].items():
        if key == "shards" and isinstance(forged, list) and isinstance(forged[0], dict):
            forged = [{**value["shards"][0], **forged[0]}]
        value[key] = forged
    with pytest.raises(DamagedData, match="not a manifest"):
        SliceManifest.from_bytes(sealed(value), "x")


def test_a_manifest_nested_without_end(storage: DirectoryStorage, tmp_path: Path) -> None:
    body = b'{"shards":' + b"[" * 200_000 + b"]" * 200_000 + b","
    content = body + f'"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    (tmp_path / "_manifests").mkdir()
    (tmp_path / f"{NAME}.json").write_bytes(content)
    with pytest.raises(DamagedData, match="not a manifest"):
        read_manifest(storage, f"{NAME}.json")
    (tmp_path / f"{NAME}_late.json").write_bytes(MANIFEST.to_bytes())
    with pytest.raises(DamagedData, match="under the name of another"):
        read_manifest(storage, f"{NAME}_late.json")
