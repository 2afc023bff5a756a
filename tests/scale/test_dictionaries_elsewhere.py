"""Dictionaries in a bucket, and on the workers of a Dask cluster."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from des_admin.retriever_cli import main
from des_core.basics.errors import StorageError
from des_core.basics.object_config import ObjectStoreConfig
from des_core.packing.remote_claims import RemoteClaims
from des_core.packing.tasks import TaskOutcome
from des_core.reading.retriever import Retriever
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import list_tasks
from des_core.shard_io.dictionaries import FIRST_ID, copies_of
from des_core.shard_io.layout import HEADER_SIZE
from des_core.storage.dictionaries import list_dictionaries, load_dictionary
from des_core.storage.directory import DirectoryStorage
from des_core.storage.object_store import ObjectStore
from support.crash.truth import archive_bytes, check_truth
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import BUCKET, ObjectServer
from support.objects.table import OUTPUT, bucket_settings, fetch_archive
from support.program.archive import make_archive
from support.program.dask_cluster import dask_cluster
from support.program.scale import run_alone, shards_only
from support.rows.documents import add_documents
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.repair import repair_now

MakeDatabase = Callable[[str], TestDatabase]
COMPRESSION = {"dictionary": True}
BAD_DAY = {"error": 4.0, "cut_before": 3.0, "lost_answer": 3.0, "cut_answer": 3.0}


def documents(database: TestDatabase, files_table: FilesTableFactory) -> FilesTable:
    table = files_table(database, rows=2, days=2)
    add_documents(table, a_day=80)
    return table


def test_in_a_bucket_they_are_stored_twice_and_mended(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    database = make_database("sqlite")
    table = documents(database, files_table)
    with faulty_proxy(bucket.url, Faults(**BAD_DAY, delay_s=0.001)) as proxy:
        bad = bucket_settings(database, tmp_path, proxy.url, compression=COMPRESSION, workers=1)
        assert run_alone(bad).files_out == 162
    settings = bucket_settings(database, tmp_path, bucket.url, compression=COMPRESSION, workers=1)
    written = bucket.objects(f"{OUTPUT}/_dictionaries/")
    assert len(written) == 4
    assert check_truth(table, database, fetch_archive(bucket, tmp_path / "fetched")) == {}
    with open_archive(settings) as archive:
        retriever = Retriever(archive.storage, settings.packer.n_bits)
        uid = "doc-3"
        file = retriever.find(uid, table.rows[uid].created_at)
        assert file is not None
        assert retriever.read(file) == table.expected_content(uid)
        first, *_ = sorted(written)
        bucket.remove(first)
        report = verify_shards(
            archive.storage,
            archive.config,
            list_tasks(archive.storage, archive.config),
            on_verdict=lambda _: None,
        )
        assert [(f.shard, str(f.verdict)) for f in report.findings] == [
            (first.removeprefix(f"{OUTPUT}/"), "missing")
        ]
        assert len(repair_now(archive, report.findings).restored) == 1
        for name in list_dictionaries(archive.storage):
            assert load_dictionary(archive.storage, name).name == name
    assert bucket.objects(f"{OUTPUT}/_dictionaries/") == written


def test_des_retriever_reads_a_bucket_without_a_configuration(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment names the store, as for the tools of S3: here one without TLS."""
    database = make_database("sqlite")
    table = documents(database, files_table)
    run_alone(bucket_settings(database, tmp_path, bucket.url, compression=COMPRESSION, workers=1))
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    monkeypatch.chdir(tmp_path)
    line = ("get", "doc-3", "--output-dir", f"s3://{BUCKET}/{OUTPUT}", "--to", "back")
    assert main(list(line)) == 0
    assert (tmp_path / "back").read_bytes() == table.expected_content("doc-3")
    store = ObjectStore(f"s3://{BUCKET}", ObjectStoreConfig(retry_for_s=5.0))
    with pytest.raises(StorageError, match="no TLS"):
        store.head("anything")


def test_what_is_proved_of_a_damaged_shard_in_a_bucket_is_taken_from_it(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    """The sources are gone, and the files pass through the scratch directory."""
    database = make_database("sqlite")
    table = documents(database, files_table)
    packer = {"compression": COMPRESSION, "workers": 1, "n_bits": 4}
    settings = bucket_settings(database, tmp_path, bucket.url, **packer)
    run_alone(settings)
    for row in table.rows.values():
        Path(row.location).unlink()
    [(name,), *_] = database.rows("SELECT name FROM des_archive_shard ORDER BY files DESC")
    key = f"{OUTPUT}/{name}"
    damaged = bytearray(bucket.objects(key)[key])
    damaged[HEADER_SIZE + 20] ^= 1
    bucket.put(key, bytes(damaged))
    with open_archive(settings) as archive:
        tasks = list_tasks(archive.storage, archive.config)
        report = verify_shards(archive.storage, archive.config, tasks, on_verdict=lambda _: None)
        repaired = repair_now(archive, report.findings)
    assert repaired.recorded > 2
    assert (repaired.salvaged, repaired.still_open) == (repaired.recorded - 1, 1)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_worker_that_reads_the_other_copy_works_on_the_same_disks(tmp_path: Path) -> None:
    claims = RemoteClaims(DirectoryStorage(str(tmp_path)))
    name = f"{FIRST_ID:010d}_{'0' * 64}"
    outcome = TaskOutcome(dictionaries=(name,))
    with pytest.raises(StorageError, match="not in our output directory"):
        claims.check("tcp://worker:1", [outcome])
    (tmp_path / "_dictionaries").mkdir()
    (tmp_path / copies_of(name)[1]).write_bytes(b"x")
    claims.check("tcp://worker:1", [outcome])


@pytest.mark.slow
def test_a_dask_cluster_packs_with_the_runners_dictionary(
    files_table: FilesTableFactory, make_database: MakeDatabase, tmp_path: Path
) -> None:
    here, there = make_database("sqlite"), make_database("sqlite")
    run_alone(make_archive_of(here, files_table, tmp_path / "here"))
    with dask_cluster(tmp_path / "dask", 2) as cluster:
        engine = {"engine": "dask", "scheduler": cluster.address}
        run_alone(make_archive_of(there, files_table, tmp_path / "there", **engine))
    by_one, by_cluster = (archive_bytes(tmp_path / name) for name in ("here", "there"))
    assert sum(name.startswith("_dictionaries") for name in by_one) == 4
    assert shards_only(by_cluster) == shards_only(by_one)
    for database in (here, there):
        slices = database.rows("SELECT versions FROM des_archive_slice")
        named = [json.loads(versions).get("dictionaries", []) for (versions,) in slices]
        assert sum(map(len, named)) == 2, "ledger and manifests name them"


def make_archive_of(
    database: TestDatabase, files_table: FilesTableFactory, out: Path, **packer: str
):  # type: ignore[no-untyped-def]
    documents(database, files_table)
    return make_archive(database, out, packer={"compression": COMPRESSION, **packer})
