"""The corruption matrix: each fault is found at the level that promises to find it."""

import random
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from zstandard import ZstdCompressor, ZstdDecompressor

from backup.conftest import Bench, believe, codes, cut, data_file, flip_bit, now, write
from des_core.backup.dump import Layout, Squeeze, Stored
from des_core.backup.findings import Level, Status

SHARES = (0.999, 0.5, 0.05)
FLIPS = 1000


def require(bench: Bench, *servers: str) -> None:
    """Skip where the fault cannot exist on this kind of database."""
    if bench.database.server not in servers:
        pytest.skip(f"cannot happen on {bench.database.server}")


def assert_found(bench: Bench, stored: Stored, level: Level, *expected: str) -> None:
    """Found exactly at `level`, with nothing wrong at the levels above it, and a next command."""
    report = bench.check(stored.path)
    assert codes(report, level) >= set(expected), report
    assert report.statuses[level] is Status.FAILED
    assert not report.is_good
    assert all(report.statuses[above] is not Status.FAILED for above in Level if above < level)
    assert all(finding.next_command for finding in report.findings)


@pytest.mark.parametrize("share", SHARES)
def test_cut_after_writing_is_found_in_a_moment(bench: Bench, share: float) -> None:
    stored = bench.create()
    cut(data_file(stored), share)
    assert_found(bench, stored, Level.L0, "wrong_size")


@pytest.mark.parametrize("share", SHARES)
def test_cut_that_nobody_noticed_is_found_by_the_tool(bench: Bench, share: float) -> None:
    stored = bench.create(squeeze=Squeeze.NONE if bench.database.kind == "mysql" else Squeeze.AUTO)
    cut(data_file(stored), share)
    believe(stored)
    report = bench.check(stored.path)
    assert (report.statuses[Level.L1], report.statuses[Level.L2]) == (Status.OK, Status.FAILED)
    assert report.statuses[Level.L3] is Status.SKIPPED


@pytest.mark.parametrize("squeeze", [Squeeze.ZSTD, Squeeze.GZIP])
def test_cut_compressed_stream_is_found_while_reading(bench: Bench, squeeze: Squeeze) -> None:
    require(bench, "mariadb", "mysql")
    stored = bench.create(squeeze=squeeze)
    cut(data_file(stored), 0.999)
    believe(stored)
    assert_found(bench, stored, Level.L1, "changed")


@pytest.mark.parametrize("share", SHARES)
def test_cut_member_of_a_directory_dump(bench: Bench, share: float) -> None:
    require(bench, "postgres")
    for squeeze in (Squeeze.AUTO, Squeeze.NONE):
        stored = bench.create(layout=Layout.DIRECTORY, jobs=2, squeeze=squeeze)
        members = [stored.path / entry.path for entry in stored.manifest.files]
        data = max((p for p in members if p.name != "toc.dat"), key=lambda p: p.stat().st_size)
        cut(data, share)
        believe(stored)
        report = bench.check(stored.path)
        assert not report.is_good, (squeeze, report)


def test_empty_file(bench: Bench) -> None:
    stored = bench.create()
    data_file(stored).write_bytes(b"")
    assert_found(bench, stored, Level.L0, "empty")
    believe(stored)
    assert_found(bench, stored, Level.L0, "empty")


def test_each_of_1000_bit_flips_is_found(bench: Bench) -> None:
    stored = bench.create()
    _flip_and_count(bench, stored, data_file(stored), Level.L1)


def test_each_flip_in_an_uncompressed_dump_is_found(bench: Bench) -> None:
    require(bench, "postgres")
    stored = bench.create(squeeze=Squeeze.NONE)
    _flip_and_count(bench, stored, data_file(stored), Level.L1)


def test_each_flip_in_the_manifest_is_found(bench: Bench) -> None:
    stored = bench.create()
    _flip_and_count(bench, stored, stored.path / "manifest.json", Level.L0, rounds=200)


def _flip_and_count(
    bench: Bench, stored: Stored, path: Path, level: Level, rounds: int = FLIPS
) -> None:
    chance = random.Random(rounds)
    size_bits = path.stat().st_size * 8
    missed = []
    for place in (chance.randrange(size_bits) for _ in range(rounds)):
        flip_bit(path, place)
        if bench.check(stored.path, level, offline=True).is_good:
            missed.append(place)
        flip_bit(path, place)
    assert missed == []
    assert bench.check(stored.path, Level.L1, offline=True).is_good


def test_missing_file(bench: Bench) -> None:
    stored = bench.create()
    data_file(stored).unlink()
    assert_found(bench, stored, Level.L0, "missing")


def test_missing_member_that_nobody_noticed(bench: Bench) -> None:
    require(bench, "postgres")
    stored = bench.create(layout=Layout.DIRECTORY)
    data_file(stored).unlink()
    believe(stored)
    assert_found(bench, stored, Level.L2, "unreadable")


def test_missing_table_that_nobody_noticed(bench: Bench) -> None:
    bench.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    stored = bench.create()
    lost = replace(stored.manifest.tables[0], table="lost")
    believe(stored, tables=(*stored.manifest.tables, lost))
    assert_found(bench, stored, Level.L2, "missing_table")


def test_unfinished_backup(bench: Bench) -> None:
    stored = bench.create()
    (stored.path / "manifest.json").unlink()
    assert_found(bench, stored, Level.L0, "no_manifest")


def test_old_backup(bench: Bench) -> None:
    stored = bench.create()
    assert bench.check(stored.path, Level.L0, at=now() + timedelta(hours=23)).is_good
    late = bench.check(stored.path, Level.L0, at=now() + timedelta(hours=25))
    assert codes(late) == {"too_old"}
    early = bench.check(stored.path, Level.L0, at=now() - timedelta(hours=1))
    assert codes(early) == {"from_the_future"}


def test_copied_backup_is_as_old_as_its_data(bench: Bench, tmp_path: Path) -> None:
    stored = bench.create()
    copy = shutil.copytree(stored.path, tmp_path / "copy", copy_function=shutil.copyfile)
    copy.chmod(0o700)
    assert codes(bench.check(copy, Level.L0, at=now() + timedelta(hours=25))) == {"too_old"}


def test_backup_of_another_database(
    bench: Bench, make_bench: object, make_database: object, files_table: object
) -> None:
    other_database = make_database(bench.database.server)  # type: ignore[operator]
    files_table(other_database, rows=10, files=False)  # type: ignore[operator]
    other = make_bench(other_database)  # type: ignore[operator]
    stored = other.create()
    assert_found(bench, stored, Level.L0, "wrong_database")


def test_backup_of_another_server(bench: Bench) -> None:
    stored = bench.create()
    server = replace(stored.manifest.server, server_id="7000000000000000001")
    believe(stored, server=server)
    assert_found(bench, stored, Level.L0, "wrong_server")


def test_wrong_revision(bench: Bench) -> None:
    stored = bench.create()
    believe(stored, revision=("0099_unheard_of",))
    assert_found(bench, stored, Level.L0, "wrong_revision")


def test_backup_from_before_a_migration_is_a_warning(bench: Bench) -> None:
    stored = bench.create()
    bench.database.execute("CREATE TABLE des_admin_version (version_num VARCHAR(32))")
    bench.database.execute("INSERT INTO des_admin_version VALUES ('0003_watermark')")
    report = bench.check(stored.path, Level.L0)
    assert (codes(report), report.is_good) == ({"older_revision"}, True)


def test_dumper_that_failed(bench: Bench) -> None:
    stored = bench.create()
    tool = replace(stored.manifest.tool, exit_code=-9, stderr="killed")
    believe(stored, tool=tool)
    assert_found(bench, stored, Level.L0, "dumper_failed")


def test_readable_by_everybody(bench: Bench) -> None:
    stored = bench.create()
    assert stored.path.stat().st_mode & 0o777 == 0o700
    assert all((stored.path / e.path).stat().st_mode & 0o077 == 0 for e in stored.manifest.files)
    data_file(stored).chmod(0o644)
    assert bench.check(stored.path, Level.L0).is_good
    stored.path.chmod(0o755)
    assert_found(bench, stored, Level.L0, "world_readable")


def test_half_the_size_of_the_one_before(bench: Bench) -> None:
    bench.create()
    bench.database.execute("DELETE FROM files WHERE uid <> '4000000000'")
    stored = bench.create()
    before = replace(stored.manifest.files[0], size_bytes=100_000_000)
    first = min(bench.directory.iterdir())
    write(_stored(first), replace(_stored(first).manifest, files=(before,)))
    report = bench.check(stored.path, Level.L0)
    assert (codes(report), report.is_good) == ({"much_smaller"}, True)


def _stored(path: Path) -> Stored:
    from des_core.backup.store import load_entry

    stored = load_entry(path).stored
    assert stored is not None
    return stored


@pytest.mark.parametrize("is_directory", [False, True])
def test_link_that_leads_out_of_the_backup(
    bench: Bench, tmp_path: Path, is_directory: bool
) -> None:
    """What a copy of the backup would lack; and somebody else may change it."""
    if is_directory:
        require(bench, "postgres")
    stored = bench.create(**({"layout": Layout.DIRECTORY} if is_directory else {}))
    data = data_file(stored)
    moved = data.parent if is_directory else data
    moved.rename(tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    assert_found(bench, stored, Level.L0, "link")


def test_unknown_file_beside_the_data(bench: Bench) -> None:
    stored = bench.create()
    (stored.path / "notes.txt").write_text("mine\n")
    assert codes(bench.check(stored.path, Level.L0)) == {"unknown_file"}


def test_closing_line_only_inside_data(bench: Bench) -> None:
    require(bench, "mariadb", "mysql")
    text = "x\n-- Dump completed on 2024-11-01  2:00:00\n"
    bench.database.execute(
        "INSERT INTO files VALUES ('zzz', '2024-01-01', :text, 1, 0)", {"text": text}
    )
    stored = bench.create(squeeze=Squeeze.NONE)
    data = data_file(stored)
    raw = data.read_bytes()
    inside = raw.index(b"-- Dump completed")
    assert raw.count(b"-- Dump completed") == 2
    data.write_bytes(raw[: inside + 42])
    believe(stored)
    assert_found(bench, stored, Level.L2, "truncated")
    data.write_bytes(raw)
    believe(stored)
    assert bench.check(stored.path).is_good


def test_dump_cut_cleanly_after_an_insert(bench: Bench) -> None:
    require(bench, "mariadb", "mysql")
    stored = bench.create()
    data = data_file(stored)
    text = ZstdDecompressor().decompressobj().decompress(data.read_bytes())
    row_end = re.compile(rb"\),\s*\(").search(text, len(text) // 4)  # mysqldump breaks no line
    assert row_end is not None
    kept = text[: row_end.start()] + b");\n"
    data.write_bytes(ZstdCompressor().compress(kept))
    believe(stored)
    assert_found(bench, stored, Level.L2, "truncated")
    data.write_bytes(ZstdCompressor().compress(kept + b"-- Dump completed\n"))
    believe(stored)
    assert_found(bench, stored, Level.L3, "differs")


def test_plain_copy_of_a_live_database(bench: Bench) -> None:
    require(bench, "sqlite")
    path = bench.database.path
    assert path is not None
    stored = bench.create()
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("PRAGMA wal_autocheckpoint=0")
        live.execute("DELETE FROM files")
        live.execute("INSERT INTO files VALUES ('a', '2024-01-01', '/a', 1, 0)")
        shutil.copyfile(path, data_file(stored))
        believe(stored)
        assert_found(bench, stored, Level.L2, "live_copy")


def test_rows_that_are_missing_are_found_by_a_restore(bench: Bench, make_bench: object) -> None:
    """Whole and readable, but not what was counted: only level 3 can tell."""
    stored = bench.create()
    bench.database.execute("DELETE FROM files WHERE uid = '4000000000'")
    fewer = bench.create()
    shutil.copyfile(data_file(fewer), data_file(stored))
    believe(stored)
    assert_found(bench, stored, Level.L3, "differs")


def test_restore_never_runs_on_changed_bytes(bench: Bench) -> None:
    stored = bench.create()
    flip_bit(data_file(stored), data_file(stored).stat().st_size * 4)
    report = bench.check(stored.path)
    assert report.statuses[Level.L1] is Status.FAILED
    assert report.statuses[Level.L3] is Status.SKIPPED


def test_scratch_databases_are_gone(bench: Bench) -> None:
    stored = bench.create()
    assert bench.check(stored.path).is_good
    if bench.database.kind == "postgres":
        names = bench.database.rows("SELECT datname FROM pg_database")
    elif bench.database.kind == "mysql":
        names = bench.database.rows("SHOW DATABASES")
    else:
        return
    assert [name for (name,) in names if name.startswith("des_check")] == []
