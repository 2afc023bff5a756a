"""A manifest says what a slice became, and notices when it was touched."""

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
