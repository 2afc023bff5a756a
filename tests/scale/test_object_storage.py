"""Output in a bucket: created once, never replaced, read back; read by range; cleaned up."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, StorageError, UsageError
from des_core.basics.object_config import ObjectStoreConfig
from des_core.packer_planner import PackerConfig
from des_core.storage.bucket import ByteBudget, ObjectStorage
from des_core.storage.directory import open_storage
from des_core.storage.object_blob import ObjectBlob
from des_core.storage.object_store import ObjectStore
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import ObjectServer

LARGE = bytes(range(256)) * 100_000


def config_of(endpoint: str, scratch: Path, **fields: object) -> PackerConfig:
    store = ObjectStoreConfig(
        endpoint=endpoint, **{"retry_for_s": 20.0, "timeout_s": 2.0, **fields}
    )  # type: ignore[arg-type]
    return PackerConfig("s3://archive/des", scratch_dir=str(scratch), object_store=store)


@pytest.fixture
def storage(bucket: ObjectServer, tmp_path: Path) -> ObjectStorage:
    opened = open_storage(config_of(bucket.url, tmp_path), "a" * 32)
    assert isinstance(opened, ObjectStorage)
    return opened


def publish(storage: ObjectStorage, name: str, content: bytes) -> bool:
    draft = storage.create_draft()
    try:
        draft.file.write(content)
        draft.sync()
        return storage.publish(draft, name)
    finally:
        draft.discard()


@pytest.mark.parametrize("content", [b"", b"shard", LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("single_put", [0, 1 << 30], ids=["parts", "whole"])
def test_an_object_is_created_once_and_never_replaced(
    bucket: ObjectServer, tmp_path: Path, content: bytes, single_put: int
) -> None:
    config = config_of(bucket.url, tmp_path, single_put_bytes=single_put)
    storage = open_storage(config, "a" * 32)
    assert isinstance(storage, ObjectStorage)
    assert publish(storage, "x.des", content) is True
    assert publish(storage, "x.des", content) is False
    with pytest.raises(StorageError, match="other content") as error:
        publish(storage, "x.des", content + b"!")
    assert "verify" in str(error.value.hint)
    assert bucket.objects() == {"des/x.des": content}
    assert bucket.unfinished_uploads() == []


@pytest.mark.parametrize("single_put", [0, 1 << 30], ids=["parts", "whole"])
def test_lost_answers_and_cut_connections_change_nothing(
    bucket: ObjectServer, tmp_path: Path, single_put: int
) -> None:
    faults = Faults(error=15, cut_before=10, lost_answer=15, silent_answer=4, cut_answer=10)
    if single_put == 0:  # a dozen requests for each object, and all over again where one fails
        faults = Faults(error=6, cut_before=4, lost_answer=7, silent_answer=1, cut_answer=4)
    with faulty_proxy(bucket.url, faults) as proxy:
        config = config_of(proxy.url, tmp_path, single_put_bytes=single_put, timeout_s=0.5)
        storage = open_storage(config)
        assert isinstance(storage, ObjectStorage)
        for number in range(10):
            publish(storage, f"{number}.des", LARGE[: 10 + number * 7919])
        names = sorted(facts.name for facts in storage._store.walk())
    assert len(proxy.met) == 6, proxy.met
    expected = {f"des/{number}.des": LARGE[: 10 + number * 7919] for number in range(10)}
    assert bucket.objects() == expected
    assert sorted(expected) == [f"des/{name}" for name in names]
    assert bucket.unfinished_uploads() == []


def test_lost_answers_to_whole_uploads_change_nothing_either(
    bucket: ObjectServer, tmp_path: Path
) -> None:
    with faulty_proxy(bucket.url, Faults(lost_answer=20, error=5)) as proxy:
        storage = open_storage(config_of(proxy.url, tmp_path, single_put_bytes=0))
        assert isinstance(storage, ObjectStorage)
        for number in range(10):
            publish(storage, f"{number}.des", b"%d" % number)
    assert bucket.objects() == {f"des/{number}.des": b"%d" % number for number in range(10)}
    assert bucket.unfinished_uploads() == []


def test_a_store_that_is_down_is_one_error_in_time(bucket: ObjectServer, tmp_path: Path) -> None:
    with faulty_proxy(bucket.url, Faults(error=100)) as proxy:
        storage = open_storage(config_of(proxy.url, tmp_path, retry_for_s=1.0))
        with pytest.raises(StorageError, match="did not write an object") as error:
            storage.probe_writable()
    assert error.value.exit_code == 4
    assert "503" in str(error.value.facts["reason"])


def test_waiting_for_a_store_can_be_interrupted(bucket: ObjectServer, tmp_path: Path) -> None:
    tries = []

    def check() -> None:
        tries.append(1)
        if len(tries) == 3:
            raise UsageError("interrupted")

    with faulty_proxy(bucket.url, Faults(error=100)) as proxy:
        storage = open_storage(config_of(proxy.url, tmp_path), check=check)
        with pytest.raises(UsageError, match="interrupted"):
            storage.probe_writable()


def test_a_bucket_that_is_not_there(bucket: ObjectServer, tmp_path: Path) -> None:
    config = config_of(bucket.url, tmp_path)
    absent = PackerConfig("s3://absent/des", object_store=config.object_store)
    storage = open_storage(absent)
    for use in (storage.probe_writable, lambda: storage.list_shards(None)):
        with pytest.raises(StorageError, match="bucket does not exist"):
            use()
    with pytest.raises(StorageError, match="scratch directory"):
        open_storage(config_of(bucket.url, tmp_path / "absent"))


def test_a_machine_without_authorities(
    bucket: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a slim container: the client wants them for a store without TLS, too."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)
    with pytest.raises(StorageError, match="cannot be used") as caught:
        open_storage(config_of(bucket.url, tmp_path)).list_shards(None)
    assert "ca-certificates" in str(caught.value.hint)


def test_a_store_that_replaces_is_refused(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.probe_writable()
    storage.probe_writable()
    monkeypatch.setattr(ObjectStore, "create", lambda *_: True)
    with pytest.raises(StorageError, match="replaces objects"):
        storage.probe_writable()


def test_shards_are_listed_by_their_days(bucket: ObjectServer, storage: ObjectStorage) -> None:
    names = [
        f"202401{day:02d}_{bucket_hex}_{part:04d}.des"
        for day in range(1, 20)
        for bucket_hex in ("0A", "FF")
        for part in range(2)
    ]
    others = (".tmp-x", "0", "readme", "_bigFiles/ab", "_manifests/m.json", "20240101_0A.des")
    for name in (*names, *others):
        bucket.put(f"des/{name}", b"x")
    bucket.put("des2/20240101_0A_0009.des", b"x")
    everything = storage.list_shards(None)
    assert sorted(name for found in everything.values() for name in found) == names
    assert everything[date(2024, 1, 3), 10] == ("20240103_0A_0000.des", "20240103_0A_0001.des")
    days = {date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 7), date(2023, 12, 31)}
    some = storage.list_shards(days)
    assert {place[0] for place in some} == days - {date(2023, 12, 31)}
    assert all(everything[place] == names for place, names in some.items())
    assert storage.list_names("_bigFiles") == ["ab"]
    assert storage.list_names("_nothing") == []
    assert storage.exists("readme")
    assert not storage.exists("read")


def test_a_listing_of_several_pages_stops_where_it_may(
    bucket: ObjectServer, tmp_path: Path
) -> None:
    for number in range(2500):
        bucket.put(f"des/20240101_00_{number:04d}.des", b"")
    bucket.put("des/20240102_00_0000.des", b"")
    with faulty_proxy(bucket.url, Faults()) as proxy:
        storage = open_storage(config_of(proxy.url, tmp_path))
        [(_, names)] = storage.list_shards({date(2024, 1, 1)}).items()
        assert len(names) == 2500
        assert proxy.requests["GET"] <= 4
        assert len(storage.list_shards({date(2024, 1, 2)})) == 1
        assert proxy.requests["GET"] <= 5


def test_leftovers_of_the_dead_are_removed(
    bucket: ObjectServer, storage: ObjectStorage, tmp_path: Path
) -> None:
    mine, other = "a" * 32, "b" * 32
    fresh = [f"des/.tmp-{run}-1-{'0' * 16}" for run in (mine, other)]
    for key in fresh:
        bucket.put(key, b"x")
    old = f"des/.tmp-{other}-2-{'0' * 16}"
    bucket.put(old, b"x")
    keys = bucket._backend.get_bucket("archive").keys
    keys[old].last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=2)
    draft = storage.create_draft()
    (tmp_path / f".tmp-{other}-1-{'f' * 16}").write_bytes(b"dead")
    assert storage.clean_leftovers() == 2
    assert sorted(bucket.objects()) == sorted(fresh)
    assert list(tmp_path.iterdir()) == [Path(draft.path)]
    assert storage.clean_leftovers(mine) == 1
    assert sorted(bucket.objects()) == [fresh[1]]
    draft.discard()
    assert list(tmp_path.iterdir()) == []


def test_one_request_reads_a_small_object_and_few_a_large_one(
    bucket: ObjectServer, tmp_path: Path
) -> None:
    content = os.urandom(30 << 20)
    bucket.put("des/small", content[:1000])
    bucket.put("des/large", content)
    with faulty_proxy(bucket.url, Faults()) as proxy:
        store = ObjectStore("s3://archive/des", config_of(proxy.url, tmp_path).object_store)
        small = ObjectBlob(store, "small")
        assert small.size() == 1000
        assert small.read_range(0, 1000) == content[:1000]
        assert small.read_range(990, 50) == content[990:1000]
        assert proxy.requests == {"GET": 1}
        large = ObjectBlob(store, "large")
        assert large.read_range(len(content) - 12, 12) == content[-12:]
        pieces = [large.read_range(at, 1 << 20) for at in range(0, len(content), 1 << 20)]
        assert b"".join(pieces) == content
        assert proxy.requests["GET"] <= 8
        large.close()
        with pytest.raises(FileNotFoundError):
            ObjectBlob(store, "absent")
        assert ObjectBlob(store, "small").read_range(5000, 10) == b""


def test_an_object_that_changes_is_noticed(bucket: ObjectServer, storage: ObjectStorage) -> None:
    bucket.put("des/x", os.urandom(1 << 20))
    blob = storage.open("x")
    bucket.put("des/x", os.urandom(1 << 20))
    with pytest.raises(DamagedShard, match="changed"):
        blob.read_range(0, 100)


def test_the_byte_budget_lets_a_giant_through_alone() -> None:
    budget = ByteBudget(10)
    with budget.taken(100):
        pass
    with budget.taken(6), budget.taken(4):
        pass
