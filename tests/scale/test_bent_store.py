"""A store that answers with each error code at each call: nothing lost, nothing replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from des_core.basics.errors import DesError, ExitCode, StorageError
from des_core.basics.object_config import ObjectStoreConfig
from des_core.basics.routing import bucket_of, shard_name
from des_core.packer_planner import PackerConfig
from des_core.reading.retriever import Retriever, Wanted
from des_core.settings.config import Settings
from des_core.storage.answers import AccessDenied
from des_core.storage.bucket import ObjectStorage
from des_core.storage.small_files import publish_bytes
from support.crash.truth import check_truth, read_watermark_value
from support.objects.bent_store import CODES, BentStore, Said, bent_store
from support.objects.server import ObjectServer
from support.objects.table import OUTPUT, SOURCE, bucket_settings, fetch_archive, fill_bucket
from support.program.scale import run_alone
from support.rows.filesdata import FilesSpec, FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.builder import RawEntry, build_shard

MakeDatabase = Callable[[str], TestDatabase]
STORE = {"retry_for": 0.3, "timeout": 10.0, "single_put": 400}
KINDS = ("list", "get", "head", "put", "begin", "part", "end", "delete", "abort")
# The quick run bends every 25th call and every third kind of call for each code, and begins with
# another one than for the code before: each call and each kind is bent for some codes.
EVERY, EVERY_KIND = (1, 1) if "DES_TEST_ROUNDS" in os.environ else (25, 3)


class Scene:
    """An archive that can be put back to where it began, as often as a test needs it."""

    def __init__(
        self,
        bucket: ObjectServer,
        table: FilesTable,
        database: TestDatabase,
        tmp_path: Path,
    ) -> None:
        self.bucket, self.table, self.database, self.tmp_path = bucket, table, database, tmp_path
        self.settings = bucket_settings(database, tmp_path, bucket.url, object_store=STORE)
        self._objects = bucket.objects(f"{SOURCE}/")
        assert database.path is not None
        self._begun = shutil.copy(database.path, tmp_path / "begun.sqlite")

    def begin(self) -> None:
        self.bucket.clear()
        for key, content in self._objects.items():
            self.bucket.put(key, content)
        assert self.database.path is not None
        shutil.copy(self._begun, self.database.path)

    def behind(self, url: str) -> Settings:
        store = self.settings.packer.object_store.model_copy(update={"endpoint": url})
        packer = self.settings.packer.model_copy(update={"object_store": store})
        return self.settings.model_copy(update={"packer": packer})

    def run(self, bend: Callable[[int, str], Said | None]) -> tuple[BentStore, DesError | None]:
        """One cycle through the bent store, and what stopped it."""
        with bent_store(self.bucket.url, bend) as proxy:
            try:
                run_alone(self.behind(proxy.url))
            except DesError as exc:
                assert exc.exit_code != ExitCode.BUG, repr(exc)
                return proxy, exc
        return proxy, None

    def recover(self) -> dict[str, str]:
        """The next run, in calm weather: it goes on, and nothing that was there has changed."""
        before = self.bucket.objects(f"{OUTPUT}/")
        self.database.execute("UPDATE des_archive_exception SET next_attempt = NULL")
        run_alone(self.settings)
        after = self.bucket.objects(f"{OUTPUT}/")
        assert {key: after.get(key) for key in before if ".tmp-" not in key} == {
            key: content for key, content in before.items() if ".tmp-" not in key
        }
        fetched = self.tmp_path / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        return check_truth(self.table, self.database, fetch_archive(self.bucket, fetched))


@pytest.fixture
def scene(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> Scene:
    database = make_database("sqlite")
    spec = FilesSpec(rows=6, days=1, min_size=100, max_size=600)
    table = fill_bucket(bucket, files_table, database, spec)
    return Scene(bucket, table, database, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("said", CODES, ids=lambda said: f"{said.status}-{said.code}")
def test_each_code_at_each_call_in_turn(scene: Scene, said: Said) -> None:
    scene.begin()
    proxy, error = scene.run(lambda number, kind: None)
    assert error is None, error
    calls = len(proxy.kinds)
    assert calls > 20
    for bent in range(CODES.index(said) % EVERY, calls, EVERY):
        scene.begin()
        scene.run(lambda number, kind, bent=bent: said if number == bent else None)
        assert scene.recover() == {}, f"call {bent} of {calls}"


@pytest.mark.slow
@pytest.mark.parametrize("said", CODES, ids=lambda said: f"{said.status}-{said.code}")
def test_each_code_at_every_call_of_a_kind(scene: Scene, said: Said) -> None:
    for bent in KINDS[CODES.index(said) % EVERY_KIND :: EVERY_KIND]:
        scene.begin()
        scene.run(lambda number, kind, bent=bent: said if kind == bent else None)
        assert scene.recover() == {}, bent
    assert read_watermark_value(scene.database)


def storage_behind(url: str, scratch: Path) -> ObjectStorage:
    store = ObjectStoreConfig(endpoint=url, retry_for_s=30.0, timeout_s=30.0)
    config = PackerConfig("s3://archive/des", scratch_dir=str(scratch), object_store=store)
    return ObjectStorage(config)


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (Said(403, "AccessDenied"), "does not let us write", "s3:PutObject"),
        (Said(400, "ExpiredToken"), "credentials", "AWS_SESSION_TOKEN"),
        (Said(403, "RequestTimeTooSkewed"), "credentials", "clock"),
        (Said(501, "NotImplemented"), "cannot do what we need", "If-None-Match"),
        (Said(404, "NoSuchBucket"), "bucket does not exist", "output_dir"),
        (Said(301, "PermanentRedirect"), "another region", "packer.object_store.region"),
        (Said(507, "XMinioStorageFull"), "full", "make room"),
    ],
)
def test_what_an_operator_reads(
    bucket: ObjectServer, tmp_path: Path, said: Said, message: str, hint: str
) -> None:
    with bent_store(bucket.url, lambda number, kind: said if kind == "put" else None) as proxy:
        with pytest.raises(StorageError, match=message) as error:
            storage_behind(proxy.url, tmp_path).probe_writable()
        assert proxy.kinds.count("put") <= 3, "it was asked again although the answer was final"
    assert hint in str(error.value.hint)
    assert error.value.exit_code == ExitCode.REFUSED


def test_a_conflict_is_no_object(bucket: ObjectServer, tmp_path: Path) -> None:
    conflict = Said(409, "ConditionalRequestConflict")
    seen: list[str] = []

    def bend(number: int, kind: str) -> Said | None:
        seen.append(kind)
        return conflict if kind == "put" and seen.count("put") <= 2 else None

    with bent_store(bucket.url, bend) as proxy:
        storage = storage_behind(proxy.url, tmp_path)
        draft = storage.create_draft()
        draft.file.write(b"shard")
        draft.sync()
        assert storage.publish(draft, "20240101_0_0000.des") is True
    assert bucket.objects() == {"des/20240101_0_0000.des": b"shard"}
    assert seen.count("put") == 3


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (Said(403, "InvalidObjectState"), "in cold storage"),
        (Said(403, "AccessDenied"), "does not let us read"),
    ],
)
def test_a_shard_that_is_refused_is_no_end_of_the_others(
    bucket: ObjectServer, tmp_path: Path, said: Said, problem: str
) -> None:
    uids = ("a", "b", "c")
    whole = storage_behind(bucket.url, tmp_path)
    for uid in uids:
        name = shard_name(date(2024, 1, 1), bucket_of(uid, 4), 0, 4)
        publish_bytes(whole, name, build_shard([RawEntry(uid.encode(), b"it")]))
    seen: list[str] = []

    def bend(number: int, kind: str) -> Said | None:
        seen.append(kind)
        return said if kind == "get" and seen.count("get") == 1 else None

    with bent_store(bucket.url, bend) as proxy:
        retriever = Retriever(storage_behind(proxy.url, tmp_path), n_bits=4)
        answers = {
            hit.wanted.uid: (b"".join(hit.pieces), hit.damage)
            for hit in retriever.read_many([Wanted(uid) for uid in uids])
        }
    damage = [found for _, found in answers.values() if found is not None]
    assert [content for content, found in answers.values() if found is None] == [b"it", b"it"]
    assert len(damage) == 1 and problem in str(damage[0])


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("list", "s3:ListBucket"),
        ("put", "s3:PutObject"),
        ("get", "s3:GetObject"),
        ("delete", "s3:DeleteObject"),
        ("abort", "s3:AbortMultipartUpload"),
    ],
)
def test_the_right_that_is_missing_is_named(
    bucket: ObjectServer, tmp_path: Path, kind: str, right: str
) -> None:
    denied = Said(403, "AccessDenied")
    with bent_store(bucket.url, lambda number, its: denied if its == kind else None) as proxy:
        missing = storage_behind(proxy.url, tmp_path).missing_rights()
    assert right in missing
    assert storage_behind(bucket.url, tmp_path).missing_rights() == []
    assert issubclass(AccessDenied, StorageError)
