"""`verify --repair`: damage is set aside, its files are packed again; the rest is not touched."""

from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, Refused
from des_core.migration.apply import upgrade
from des_core.reading.verify import ShardVerdict, Verdict, VerifyReport, verify_shards
from des_core.reading.verify_tasks import VerificationLog, list_tasks
from des_core.settings.config import Settings
from des_core.shard_io import Codec, ShardEntry, open_shard
from des_core.storage.directory import DirectoryStorage
from support.crash.truth import check_truth, read_open_exceptions
from support.program.archive import make_archive, make_settings
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.packing import read_archive
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.per_record import pack_per_record
from watermark_orchestrator.repair import RepairReport, repair_now


def packed(
    database: TestDatabase, files_table: FilesTableFactory, out: Path
) -> tuple[FilesTable, Settings]:
    table = files_table(database, rows=210, days=3, min_size=20, max_size=3000)
    settings = make_archive(database, out, packer={"big_file_threshold": 2500})
    with open_archive(settings) as archive:
        run_cycle(archive)
    return table, settings


def verify(settings: Settings) -> VerifyReport:
    with open_archive(settings) as archive:
        log = VerificationLog(archive.config)

        def heard(item: ShardVerdict) -> None:
            log.hear(item.shard, item.verdict, item.problem, is_bad=item.is_bad)

        tasks = list_tasks(archive.storage, archive.config)
        report = verify_shards(archive.storage, archive.config, tasks, on_verdict=heard)
        log.flush()
        return report


def repair(settings: Settings) -> RepairReport:
    report = verify(settings)
    with open_archive(settings) as archive:
        return repair_now(archive, report.findings)


def flip(path: Path, place: float = 0.4) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    path.write_bytes(data)


def checked_entries(path: Path) -> list[ShardEntry]:
    """Those whose payload has a checksum of its own."""
    with open_shard(path) as reader:
        return [entry for entry in reader.entries() if entry.codec == Codec.ZSTD]


def shards(out: Path) -> list[Path]:
    return sorted(p for p in out.glob("*.des") if p.stat().st_size > 800)


def test_damaged_and_missing_shards_are_packed_again(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    flipped, cut, missing, *_ = shards(tmp_path / "out")
    flip(flipped)
    cut.write_bytes(cut.read_bytes()[:-7])
    missing.unlink()
    manifest = next((tmp_path / "out" / "_manifests").glob("2*.json"))
    flip(manifest)
    damaged = flipped.read_bytes()
    assert len(verify(settings).findings) == 4
    report = repair(settings)
    assert report.set_aside == [
        f"_damaged/{flipped.name}",
        f"_damaged/{cut.name}",
        f"_damaged/{manifest.name}",
    ]
    assert (report.retried.packed, report.still_open) == (report.recorded, 0)
    assert (tmp_path / "out" / report.set_aside[0]).read_bytes() == damaged
    assert verify(settings).is_sound
    assert check_truth(table, database, tmp_path / "out") == {}
    assert repair(settings).set_aside == []


def test_a_lost_big_file_takes_no_other_file_of_its_shard_along(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Payloads stored raw have no checksum of their own, but the whole shard has one."""
    table, settings = packed(database, files_table, tmp_path / "out")
    for path in shards(tmp_path / "out"):
        with open_shard(path) as reader:
            entries = list(reader.entries())
        big = [entry for entry in entries if entry.is_big]
        raw = [e for e in entries if e.codec == Codec.NONE and e.size and not e.is_big]
        if big and raw:
            break
    else:
        pytest.fail("made-up files changed")
    for entry in big:
        (tmp_path / "out" / "_bigFiles" / str(entry.sha256)).unlink()
    for row in table.rows.values():
        Path(row.location).unlink()
    report = repair(settings)
    assert report.set_aside == [f"_damaged/{path.name}"]
    assert set(read_open_exceptions(database)) == {entry.uid for entry in big}
    assert report.salvaged == len(entries) - len(big)
    contents = read_archive(tmp_path / "out")
    assert all(contents[e.uid] == table.expected_content(e.uid) for e in raw)


def test_without_sources_files_are_taken_from_the_damaged_shard(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = packed(database, files_table, tmp_path / "out")
    shard, entries = max(
        ((path, checked_entries(path)) for path in shards(tmp_path / "out")),
        key=lambda found: len(found[1]),
    )
    assert len(entries) >= 3, "made-up files changed"
    data = bytearray(shard.read_bytes())
    data[entries[1].offset + entries[1].stored_size // 2] ^= 1
    shard.write_bytes(data)
    with open_shard(shard) as reader:
        unproved = {e.uid for e in reader.entries() if e.codec == Codec.NONE and not e.is_big}
    for row in table.rows.values():
        Path(row.location).unlink()
    report = repair(settings)
    lost = read_open_exceptions(database)
    assert set(lost) == {entries[1].uid, *unproved}
    assert {reason for _, reason in lost.values()} == {"missing"}
    assert report.still_open == len(lost)
    assert report.salvaged == report.recorded - len(lost) >= 2
    assert set(check_truth(table, database, tmp_path / "out")) == set(lost)
    assert verify(settings).is_sound


@pytest.mark.sqlite
def test_the_least_recently_verified_come_first(
    make_database, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    _, settings = packed(database, files_table, tmp_path / "out")
    names = [name for (name,) in database.rows("SELECT name FROM des_archive_shard ORDER BY name")]
    verify(settings)
    assert database.value("SELECT COUNT(*) FROM des_archive_shard WHERE verified_at IS NULL") == 0
    update = "UPDATE des_archive_shard SET verified_at = :t WHERE name = :n"
    database.execute(update, {"t": None, "n": names[7]})
    database.execute(update, {"t": "2020-01-01 00:00:00.000000", "n": names[3]})
    with open_archive(settings) as archive:
        tasks = [t.name for t in list_tasks(archive.storage, archive.config) if t.is_known]
    assert tasks[:2] == [names[7], names[3]]
    assert sorted(tasks) == names


@pytest.mark.sqlite
def test_a_read_error_that_passes_is_no_damage(
    make_database, files_table: FilesTableFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database("sqlite")
    _, settings = packed(database, files_table, tmp_path / "out")
    shard = shards(tmp_path / "out")[0]
    sound = shard.read_bytes()
    flip(shard)
    opened = DirectoryStorage.open

    def open_and_mend(self: DirectoryStorage, name: str) -> object:
        blob = opened(self, name)
        if name == shard.name:
            monkeypatch.undo()
            other = shard.with_name("other")
            other.write_bytes(sound)
            other.replace(shard)
        return blob

    monkeypatch.setattr(DirectoryStorage, "open", open_and_mend)
    report = verify(settings)
    assert report.is_sound
    assert [(item.shard, item.verdict) for item in report.transient] == [
        (shard.name, Verdict.TRANSIENT)
    ]


@pytest.mark.sqlite
def test_an_archive_that_is_not_mounted_is_not_repaired(
    make_database, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    database = make_database("sqlite")
    _, settings = packed(database, files_table, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "unmounted")
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="not one shard"):
        repair(settings)
    assert read_open_exceptions(database) == {}
    (tmp_path / "out").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "out")
    assert verify(settings).is_sound


def test_a_shard_without_a_ledger_is_compared_with_its_manifest(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    """Payloads that are stored raw have no checksum of their own: the manifest has."""
    table = files_table(database, rows=12, days=1, max_size=300)
    settings = make_settings(database, tmp_path / "out", packer={"compression": {"enabled": False}})
    pack_per_record(settings, older_than_days=7, batch_size=100)
    shard = next(path for path in sorted((tmp_path / "out").glob("*.des")))
    with open_shard(shard) as reader:
        entry = next(entry for entry in reader.entries() if entry.size)
    data = bytearray(shard.read_bytes())
    data[entry.offset] ^= 1
    shard.write_bytes(data)
    database.execute("UPDATE files SET archived = :no", {"no": False})
    upgrade(settings)
    with (
        open_archive(settings) as archive,
        pytest.raises(DamagedShard, match="the source of a row"),
    ):
        run_cycle(archive)
    assert [(f.shard, f.verdict) for f in verify(settings).findings] == [
        (shard.name, Verdict.DAMAGED)
    ]
    repair(settings)
    with open_archive(settings) as archive:
        run_cycle(archive)
    assert check_truth(table, database, tmp_path / "out") == {}
