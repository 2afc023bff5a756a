"""Dictionaries in a whole archive: the same from whoever packs, restored, never a wrong byte."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, Refused, StorageError
from des_core.checks.examination import examine
from des_core.database.connections import open_database
from des_core.packing.sampling import sample_rows, take_sample
from des_core.reading.ledger_rebuild import execute_rebuild, plan_rebuild
from des_core.reading.retriever import Retriever
from des_core.reading.verify import VerifyReport, verify_shards
from des_core.reading.verify_tasks import list_tasks
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from des_core.shard_io.codecs import DICTIONARY_LIMIT
from des_core.shard_io.dictionaries import copies_of, with_id
from des_core.storage.dictionaries import list_dictionaries
from des_core.storage.directory import DirectoryStorage
from support.crash.truth import archive_bytes, check_truth, read_open_exceptions
from support.program.archive import make_archive, make_settings
from support.program.scale import run_alone, run_worker, shards_only
from support.rows.bulk import insert_rows
from support.rows.documents import add_documents, document
from support.rows.filesdata import FileRow, FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.packing import read_archive
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.repair import RepairReport, repair_now
from watermark_orchestrator.source_deletion import delete_now

PACKER = {"n_bits": 4, "compression": {"dictionary": True}}
BACK = "UPDATE des_archive_config SET archived_until = '2023-12-30 00:00:00'"
Packed = tuple[FilesTable, Settings]
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def filled(database: TestDatabase, files_table: FilesTableFactory, *, days: int = 2) -> FilesTable:
    """A table of documents, 120 a day, and one more file each."""
    table = files_table(database, rows=days, days=days)
    add_documents(table, days=days)
    return table


def prepared(
    database: TestDatabase, files_table: FilesTableFactory, out: Path, **sections: dict[str, object]
) -> Packed:
    table = filled(database, files_table)
    settings = make_archive(database, out, packer=PACKER, **sections)
    return table, settings


@pytest.fixture
def packed(database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path) -> Packed:
    table, settings = prepared(database, files_table, tmp_path / "out")
    run_alone(settings)
    return table, settings


def verify(settings: Settings) -> VerifyReport:
    with open_archive(settings) as archive:
        tasks = list_tasks(archive.storage, archive.config)
        return verify_shards(archive.storage, archive.config, tasks, on_verdict=lambda _: None)


def repair(settings: Settings) -> RepairReport:
    report = verify(settings)
    with open_archive(settings) as archive:
        return repair_now(archive, report.findings)


def copies(out: Path) -> list[Path]:
    return sorted((out / "_dictionaries").iterdir())


def forget(database: TestDatabase) -> None:
    """As if nothing had been packed."""
    for table in ("des_archive_shard", "des_archive_slice", "des_archive_job"):
        database.execute(f"DELETE FROM {table}")
    database.execute(BACK)


def test_whoever_packs_makes_the_same_archive(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = prepared(database, files_table, tmp_path / "out")
    assert run_alone(settings).files_out == 242
    assert check_truth(table, database, tmp_path / "out") == {}
    names = list_dictionaries(DirectoryStorage(str(tmp_path / "out")))
    assert len(names) == 2, "one for each day"
    assert len(copies(tmp_path / "out")) == 4
    expected = shards_only(archive_bytes(tmp_path / "out"))
    slices = database.rows("SELECT versions FROM des_archive_slice ORDER BY slice_id")
    named = [json.loads(versions).get("dictionaries") for (versions,) in slices]
    assert sorted(name for some in named if some for name in some) == names
    for form in ("workers", "static"):
        forget(database)
        packer = {**PACKER, "workers": 4 if form == "workers" else 1}
        again = make_archive(database, tmp_path / form, packer=packer)
        if form == "workers":
            run_alone(again)
        else:
            for shard_id in range(3):
                run_worker(again, shard_id, 3)
        assert shards_only(archive_bytes(tmp_path / form)) == expected, form
    assert check_truth(table, database, tmp_path / form) == {}


def test_lost_and_flipped_copies_are_named_and_restored(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    table, settings = packed
    before = archive_bytes(tmp_path / "out" / "_dictionaries")
    first, second, third, fourth = copies(tmp_path / "out")
    first.unlink()
    data = bytearray(fourth.read_bytes())
    data[len(data) // 2] ^= 0x20
    fourth.write_bytes(data)
    assert check_truth(table, database, tmp_path / "out") == {}, "the other copies serve"
    report = verify(settings)
    assert {(f.shard, str(f.verdict)) for f in report.findings} == {
        (f"_dictionaries/{first.name}", "missing"),
        (f"_dictionaries/{fourth.name}", "damaged"),
    }
    repaired = repair(settings)
    assert repaired.restored == [f"_dictionaries/{path.name}" for path in (first, fourth)]
    assert (repaired.lost, repaired.set_aside, repaired.recorded) == ([], [], 0)
    assert archive_bytes(tmp_path / "out" / "_dictionaries") == before
    assert (tmp_path / "out" / "_damaged" / fourth.name).read_bytes() == data
    assert verify(settings).is_sound
    actions = database.rows("SELECT action FROM des_archive_event")
    assert actions.count(("dictionary_restored",)) == 2
    assert second.read_bytes() and third.read_bytes()


def test_without_either_copy_files_are_packed_again_from_their_sources(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    table, settings = packed
    lost, lost_copy, *_ = copies(tmp_path / "out")
    lost.unlink()
    lost_copy.unlink()
    report = verify(settings)
    assert report.findings and all(f.lacks_dictionary for f in report.findings)
    assert all(lost.name[:10] in (f.problem or "") for f in report.findings)
    repaired = repair(settings)
    assert repaired.recorded == repaired.retried.packed == 120
    assert repaired.still_open == 0
    assert verify(settings).is_sound
    assert check_truth(table, database, tmp_path / "out") == {}


@ON_SQLITE
def test_a_directory_left_behind_is_no_damage(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    """Who moves the archive without its dictionaries wants them back, and no shard set aside."""
    table, settings = packed
    (tmp_path / "out" / "_dictionaries").rename(tmp_path / "forgotten")
    with pytest.raises(Refused, match="dictionaries"):
        repair(settings)
    assert not (tmp_path / "out" / "_damaged").exists()
    assert read_open_exceptions(database) == {}
    (tmp_path / "forgotten").rename(tmp_path / "out" / "_dictionaries")
    assert verify(settings).is_sound
    assert check_truth(table, database, tmp_path / "out") == {}


@ON_SQLITE
@pytest.mark.parametrize("fate", ["cut", "another archive's", "unreadable"])
def test_dictionaries_that_serve_nobody_are_no_reason_to_set_shards_aside(
    database: TestDatabase, packed: Packed, tmp_path: Path, fate: str
) -> None:
    _, settings = packed
    for number, path in enumerate(copies(tmp_path / "out")):
        content = path.read_bytes()
        path.unlink()
        if fate == "cut":
            path.write_bytes(content[:100])
        elif fate == "unreadable":
            path.mkdir()
        else:
            foreign = with_id(content, 99_000 + number)
            for name in copies_of(foreign.name):
                (tmp_path / "out" / name).write_bytes(foreign.content)
    with pytest.raises(Refused, match="dictionaries"):
        repair(settings)
    assert not (tmp_path / "out" / "_damaged").exists()
    assert read_open_exceptions(database) == {}


@ON_SQLITE
def test_a_pair_that_serves_nobody_is_in_nobody_s_way(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    """Both copies are damaged: the day is packed again, with the same dictionary."""
    table, settings = packed
    first, second, *_ = copies(tmp_path / "out")
    for path in (first, second):
        path.write_bytes(path.read_bytes()[:-1])
    database.execute(BACK)
    with open_archive(settings) as archive, pytest.raises(StorageError, match="not touched"):
        run_cycle(archive)
    repaired = repair(settings)
    assert repaired.lost == [f"_dictionaries/{path.name}" for path in (first, second)]
    assert repaired.still_open == 0
    assert (tmp_path / "out" / "_damaged" / first.name).exists()
    assert verify(settings).is_sound
    run_alone(settings)
    assert check_truth(table, database, tmp_path / "out") == {}


@ON_SQLITE
def test_renamed_and_swapped_copies_are_found_by_their_bytes(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    table, settings = packed
    before = archive_bytes(tmp_path / "out" / "_dictionaries")
    first, first_copy, second, second_copy = copies(tmp_path / "out")
    for one, other in ((first, second), (first_copy, second_copy)):
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
    first_copy.rename(first_copy.with_name("old"))
    assert len(repair(settings).restored) == 4
    left = archive_bytes(tmp_path / "out" / "_dictionaries")
    assert {name: left[name] for name in before} == before
    assert verify(settings).is_sound
    assert check_truth(table, database, tmp_path / "out") == {}


@ON_SQLITE
def test_a_link_to_nothing_in_the_place_of_a_copy(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    _, settings = packed
    first, second, *_ = copies(tmp_path / "out")
    first.unlink()
    first.symlink_to(tmp_path / "gone")
    assert repair(settings).restored == [f"_dictionaries/{first.name}"]
    assert first.read_bytes() == second.read_bytes()
    assert not first.is_symlink()
    assert verify(settings).is_sound


@ON_SQLITE
def test_large_files_are_not_read_for_a_dictionary(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Each would be read once more only to be passed over."""
    table = files_table(database, rows=1)
    moment = next(iter(table.rows.values())).created_at
    for number in range(40):
        table.add(f"large-{number}", moment, bytes(DICTIONARY_LIMIT + 1))
        table.add(f"small-{number}", moment, document(number))
    settings = make_archive(database, tmp_path / "out", packer=PACKER)
    window = (moment - timedelta(days=1), moment + timedelta(days=1))
    with open_archive(settings) as archive:
        before = bytes_read()
        sample = take_sample(archive.source, archive.packer_config, window)
    assert bytes_read() - before < 20 * DICTIONARY_LIMIT
    assert len(sample.contents) >= 40
    assert sample.share == 1.0


def test_many_rows_of_one_moment_give_the_same_sample_in_any_order(
    database: TestDatabase, files_table: FilesTableFactory
) -> None:
    """An import gives its rows one created_at; a restored table has them in another order."""
    table = files_table(database, rows=1)
    moment = next(iter(table.rows.values())).created_at
    rows = [FileRow(f"tied-{n}", moment, f"/nowhere/{n}", n) for n in range(3000)]
    window = (moment - timedelta(days=1), moment + timedelta(days=1))
    samples = []
    for ordered in (rows, rows[::-1]):
        database.execute("DELETE FROM files")
        insert_rows(database, ordered, table.spec.shape)
        with closing(open_database(database.url)) as opened:
            reader = SourceReader(opened, make_settings(database, table.root).database)
            samples.append(sample_rows(reader, window))
    assert samples[0] == samples[1]
    assert len(samples[0][0]) > 100


def bytes_read() -> int:
    """What this process has read so far."""
    facts = Path("/proc/self/io").read_text().split()
    return int(facts[facts.index("rchar:") + 1])


@ON_SQLITE
def test_late_rows_and_replays_take_the_dictionary_of_their_day(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    recheck = {"recheck_days": 2000}
    table, settings = prepared(database, files_table, tmp_path / "out", watermark=recheck)
    run_alone(settings)
    names = list_dictionaries(DirectoryStorage(str(tmp_path / "out")))
    moment = next(iter(table.rows.values())).created_at
    for number in range(30):
        table.add(f"late-{number}", moment, document(5000 + number))
    assert run_alone(settings).retried.packed == 30
    slices = database.rows("SELECT versions FROM des_archive_slice WHERE kind = 'exceptions'")
    assert [len(json.loads(text)["dictionaries"]) for (text,) in slices] == [1]
    database.execute(BACK)
    again = run_alone(settings)
    assert (again.files_in, again.files_present) == (272, 272)
    assert list_dictionaries(DirectoryStorage(str(tmp_path / "out"))) == names
    assert check_truth(table, database, tmp_path / "out") == {}
    assert verify(settings).is_sound


def test_a_rebuilt_ledger_knows_the_dictionaries(
    database: TestDatabase, packed: Packed, tmp_path: Path
) -> None:
    _, settings = packed
    names = list_dictionaries(DirectoryStorage(str(tmp_path / "out")))
    manifests = sorted((tmp_path / "out" / "_manifests").glob("2*.json"))
    assert sum(json.loads(m.read_bytes()).get("dictionaries", []) != [] for m in manifests) == 2
    manifests[-1].unlink()
    for table in ("des_archive_shard", "des_archive_slice"):
        database.execute(f"DELETE FROM {table}")
    with open_archive(settings) as archive:
        plan = plan_rebuild(archive.storage, archive.config)
        assert plan.problems == {}
        execute_rebuild(archive.config, plan, actor="test", run_id="0" * 32)
    slices = database.rows("SELECT versions FROM des_archive_slice")
    found = {name for (text,) in slices for name in json.loads(text).get("dictionaries", [])}
    assert sorted(found) == names


@ON_SQLITE
def test_a_copy_of_the_output_alone_reads_back(packed: Packed, tmp_path: Path) -> None:
    table, _ = packed
    shutil.copytree(tmp_path / "out", tmp_path / "moved")
    shutil.rmtree(tmp_path / "out")
    expected = {uid: table.expected_content(uid) for uid in table.rows}
    assert read_archive(tmp_path / "moved") == expected
    shutil.rmtree(tmp_path / "moved" / "_dictionaries")
    retriever = Retriever(DirectoryStorage(str(tmp_path / "moved")), 4)
    wanted = [retriever.find(uid) for uid in expected]
    refused = 0
    for file in wanted:
        assert file is not None
        try:
            assert retriever.read(file) == expected[file.uid]
        except DamagedShard as exc:
            assert "dictionary" in exc.facts
            refused += 1
    assert refused > 200


@ON_SQLITE
def test_doctor_counts_the_copies(database: TestDatabase, packed: Packed, tmp_path: Path) -> None:
    _, settings = packed

    def found(settings: Settings) -> list[tuple[str, str]]:
        checks = [check for check in examine(settings) if check.name == "dictionaries"]
        return [(str(check.status), check.detail.partition(",")[0]) for check in checks]

    assert found(settings) == [("ok", "on")]
    off = make_settings(database, tmp_path / "out", packer={"n_bits": 4})
    assert found(off) == [("ok", "off; shards go on needing the 2 that are there")]
    copies(tmp_path / "out")[1].unlink()
    assert [status for status, _ in found(off)] == ["warning"]
    shutil.rmtree(tmp_path / "out" / "_dictionaries")
    assert found(off) == found(settings) == [("warning", "none is there")]


@ON_SQLITE
def test_without_their_dictionary_no_source_is_deleted(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table = filled(database, files_table)
    settings = make_archive(
        database,
        tmp_path / "out",
        packer={**PACKER, "source_roots": [str(table.root)]},
        migration={"grace_days": 0},
    )
    run_alone(settings)
    lost, lost_copy, *_ = copies(tmp_path / "out")
    lost.unlink()
    lost_copy.unlink()
    with open_archive(settings) as archive:
        report = delete_now(archive)
    left = [uid for uid, row in table.rows.items() if Path(row.location).exists()]
    assert len(report.damaged) > 1
    assert len(left) == 242 - report.files >= 100
