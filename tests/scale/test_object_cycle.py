"""From a bucket to a bucket, through a proxy that has bad days: nothing lost, nothing replaced."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from des_core.basics.errors import StorageError
from des_core.reading.retriever import Retriever, Wanted
from des_core.reading.verify import verify_shards
from des_core.reading.verify_tasks import list_tasks
from des_core.settings.config import Settings
from des_core.storage.directory import open_storage
from scale.conftest import ObjectArchive
from support.crash.truth import check_truth, read_watermark_value
from support.objects.faulty_proxy import Faults, faulty_proxy
from support.objects.server import CREDENTIALS, ObjectServer
from support.objects.table import OUTPUT, SOURCE, bucket_settings, fetch_archive, fill_bucket
from support.program.runner import run_runner, start_runner, write_config
from support.program.scale import as_worker, run_alone, run_worker
from support.rows.filesdata import FilesSpec, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive

MakeDatabase = Callable[[str], TestDatabase]
MakeObjectArchive = Callable[[str, FilesSpec], ObjectArchive]
BAD_DAY = {"error": 4.0, "cut_before": 3.0, "lost_answer": 3.0, "cut_answer": 3.0}


def storage_of(settings: Settings):  # type: ignore[no-untyped-def]
    return open_storage(settings.packer.to_config())


def check_every_object(bucket: ObjectServer, settings: Settings) -> int:
    """Verify all shards by range reads against the ledger; how many files they hold."""
    with open_archive(settings) as archive:
        tasks = list_tasks(archive.storage, archive.config)
        report = verify_shards(
            archive.storage, archive.config, tasks, on_verdict=lambda _: None, threads=4
        )
    assert report.is_sound, report
    assert bucket.unfinished_uploads() == []
    assert not bucket.objects(f"{OUTPUT}/.tmp")
    return report.files


@pytest.mark.slow
def test_a_bad_day_from_bucket_to_bucket(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
    rounds: int,
) -> None:
    files = min(100 * rounds, 20_000) if "DES_TEST_ROUNDS" in os.environ else 400
    database = make_database("postgres")
    spec = FilesSpec(rows=files, days=4, max_size=3000, bad={"missing": 5, "wrong_size": 3})
    table = fill_bucket(bucket, files_table, database, spec)
    sources = bucket.objects(f"{SOURCE}/")
    with faulty_proxy(bucket.url, Faults(**BAD_DAY, silent_answer=0.3, delay_s=0.002)) as proxy:
        settings = bucket_settings(
            database,
            tmp_path,
            proxy.url,
            big_file_threshold=2900,
            object_store={"single_put": 2950},
        )
        written: dict[str, bytes] = {}
        report = run_alone(settings)
        written = bucket.objects(f"{OUTPUT}/")
        assert len(proxy.met) == 6, proxy.met
    assert (report.files_out, report.files_failed) == (files - 8, 8)
    calm = settings_behind(settings, bucket.url)
    assert check_every_object(bucket, calm) == files - 8
    reasons = check_truth(table, database, fetch_archive(bucket, tmp_path / "fetched"))
    assert reasons == {
        uid: {"missing": "missing", "wrong_size": "size_mismatch"}[defect]
        for uid, defect in table.bad.items()
    }
    assert any(key.startswith(f"{OUTPUT}/_bigFiles/") for key in written)
    assert run_alone(calm).files_in == 0
    assert bucket.objects(f"{SOURCE}/") == sources
    assert bucket.objects(f"{OUTPUT}/") == written


def settings_behind(settings: Settings, endpoint: str) -> Settings:
    store = settings.packer.object_store.model_copy(update={"endpoint": endpoint})
    packer = settings.packer.model_copy(update={"object_store": store})
    return settings.model_copy(update={"packer": packer})


def test_files_and_objects_mixed_and_read_back(
    bucket: ObjectServer, files_table: FilesTableFactory, database: TestDatabase, tmp_path: Path
) -> None:
    spec = FilesSpec(rows=120, days=3, max_size=4096, bad={"missing": 3, "wrong_size": 3})
    table = fill_bucket(bucket, files_table, database, spec, local=tmp_path / "local")
    settings = bucket_settings(database, tmp_path, bucket.url, big_file_threshold=3500, workers=2)
    report = run_alone(settings)
    assert (report.files_out, report.files_failed) == (114, 6)
    assert set(check_truth(table, database, fetch_archive(bucket, tmp_path / "got"))) == set(
        table.bad
    )
    retriever = Retriever(storage_of(settings), settings.packer.n_bits)
    good = [row for uid, row in table.rows.items() if uid not in table.bad]
    found = retriever.find_many(Wanted(row.uid, row.created_at) for row in good)
    assert len(found) == 114
    assert any(file.is_big for file in found.values())
    for wanted, file in found.items():
        assert retriever.read(file) == table.expected_content(wanted.uid)
    some = Wanted(good[7].uid, good[7].created_at)
    assert retriever.find(some.uid) == found[some], "without created_at too"
    assert retriever.find("nobody") is None
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_replay_finds_what_is_there(object_archive: MakeObjectArchive) -> None:
    archive = object_archive("sqlite", FilesSpec(rows=90, days=3))
    bucket, database = archive.bucket, archive.database
    run_alone(archive.settings)
    before = bucket.objects(f"{OUTPUT}/")
    database.execute("DELETE FROM des_archive_shard")
    database.execute("UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'")
    again = run_alone(archive.settings)
    assert (again.files_in, again.files_present) == (90, 90)
    after = bucket.objects(f"{OUTPUT}/")
    assert {key: after[key] for key in before} == before
    assert [key for key in after if key not in before and key.endswith(".des")] == []
    assert archive.check_truth() == {}


def test_static_workers_share_a_bucket(object_archive: MakeObjectArchive) -> None:
    archive = object_archive("postgres", FilesSpec(rows=150, days=3))
    for shard_id in range(3):
        run_worker(archive.settings, shard_id, 3)
    assert check_every_object(archive.bucket, as_worker(archive.settings, 0, 3)) == 150
    assert archive.check_truth() == {}


def test_a_store_that_is_down_stops_the_cycle_before_the_watermark(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    database = make_database("sqlite")
    table = fill_bucket(bucket, files_table, database, FilesSpec(rows=60, days=2))
    with faulty_proxy(bucket.url, Faults()) as proxy:
        settings = bucket_settings(
            database, tmp_path, proxy.url, object_store={"retry_for": 1.0, "timeout": 0.5}
        )
        seeded = read_watermark_value(database)

        def break_down(event: object) -> None:
            proxy.faults.error = 100

        with pytest.raises(StorageError), open_archive(settings) as archive:
            from watermark_orchestrator.cycle import run_cycle

            run_cycle(archive, progress=break_down)
    assert read_watermark_value(database) == seeded
    run_alone(settings_behind(settings, bucket.url))
    assert check_truth(table, database, fetch_archive(bucket, tmp_path / "got")) == {}


@pytest.mark.slow
def test_killed_in_the_middle_nothing_is_lost_or_replaced(
    bucket: ObjectServer,
    files_table: FilesTableFactory,
    make_database: MakeDatabase,
    tmp_path: Path,
) -> None:
    database = make_database("postgres")
    table = fill_bucket(bucket, files_table, database, FilesSpec(rows=200, days=40, max_size=500))
    with faulty_proxy(bucket.url, Faults(delay_s=0.005)) as proxy:
        settings = bucket_settings(database, tmp_path, proxy.url, workers=2)
        config = write_config(settings, tmp_path / "c.yaml")
        written: dict[str, bytes] = {}
        for number in range(4):
            with start_runner(config, "--verbose") as process:
                assert process.stderr is not None
                for _ in range(number):
                    process.stderr.readline()
                process.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
                process.communicate()
            now = bucket.objects(f"{OUTPUT}/")
            assert {key: now.get(key) for key in written} == written
            written = {key: value for key, value in now.items() if ".tmp-" not in key}
        done = run_runner(config)
        assert done.returncode == 0, done.stderr
    assert check_every_object(bucket, settings_behind(settings, bucket.url)) == 200
    assert check_truth(table, database, fetch_archive(bucket, tmp_path / "got")) == {}


def test_the_command_line_reads_a_bucket(object_archive: MakeObjectArchive, tmp_path: Path) -> None:
    import subprocess
    import sys

    from support.program.runner import environment

    archive = object_archive("sqlite", FilesSpec(rows=20, days=1))
    table = archive.table
    config = write_config(archive.settings, tmp_path / "c.yaml")
    assert run_runner(config).returncode == 0

    def admin(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "des_admin", "--config", str(config), *arguments]
        env = {**environment(), **CREDENTIALS, "NO_COLOR": "1"}
        return subprocess.run(command, capture_output=True, env=env, check=False, timeout=120)

    uid = sorted(table.rows)[3]
    got = admin("archive", "get", uid)
    assert (got.returncode, got.stdout) == (0, table.expected_content(uid)), got.stderr
    verified = admin("verify")
    assert verified.returncode == 0, verified.stderr
    listed = admin("archive", "ls")
    assert b"_0000.des" in listed.stdout
    doctor = admin("doctor", "--all")
    assert b"s3://archive/des is writable" in doctor.stdout + doctor.stderr, doctor
    assert os.environ["AWS_ACCESS_KEY_ID"] == "testing"
