"""The output is not where it was: not mounted, an older copy, another archive's."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from support.crash.truth import archive_bytes, check_truth, read_watermark_value

MARK = "_archive.json"


@pytest.fixture
def packed(archive: Archive, program: Program) -> Archive:
    """After a cycle of all days but the last two; one file could not be packed."""
    some = next(row for row in archive.table.rows.values() if row.created_at.day == 7)
    Path(some.location).unlink()
    lag = (datetime.now(UTC) - datetime(2024, 1, 9, tzinfo=UTC)).days
    program("watermark", "lag", str(lag), "--yes")
    program("run", expect=3)
    program("watermark", "lag", "7", "--yes")
    return archive


def output_of(archive: Archive) -> Path:
    return archive.project / "output"


def refusals(program: Program) -> list[str]:
    """What each command that would write says; none of them may."""
    found = []
    for command in (("run",), ("exceptions", "retry", "--yes"), ("verify",), ("reconcile",)):
        done = program(*command, expect=4)
        found.append(done.err)
    assert program("doctor", expect=4).out.count("output")
    return found


def test_an_empty_mount_point_is_refused_before_anything_is_written(
    packed: Archive, program: Program
) -> None:
    output, before = output_of(packed), read_watermark_value(packed.config)
    output.rename(packed.project / "elsewhere")
    output.mkdir()
    for said in refusals(program):
        assert "not mounted" in said
    assert list(output.iterdir()) == []
    assert read_watermark_value(packed.config) == before
    assert "mounted" in program("ledger", "output", expect=4).err
    output.rmdir()
    (packed.project / "elsewhere").rename(output)
    program("run")
    check_truth(packed.table, packed.config, output)


def test_the_mark_is_in_the_output_and_in_the_ledger(packed: Archive, program: Program) -> None:
    shown = program("ledger", "output", "--output", "json").json
    mark = json.loads((output_of(packed) / MARK).read_text())["id"]
    assert shown["expected"] == shown["found"] == mark
    assert (shown["problem"], shown["missing"]) == (None, [])


def test_another_archives_output_is_refused(packed: Archive, program: Program) -> None:
    output = output_of(packed)
    content = json.loads((output / MARK).read_text())
    (output / MARK).write_text(json.dumps(content | {"id": "0" * 32}))
    kept = archive_bytes(output)
    for said in refusals(program):
        assert "another archive" in said
    assert archive_bytes(output) == kept
    program("ledger", "output", "--adopt", "--yes", "--reason", "copied on purpose")
    assert packed.events()[-1][0] == "output adopted"
    program("run")
    check_truth(packed.table, packed.config, output)


def test_an_older_copy_is_refused(packed: Archive, program: Program) -> None:
    """As restored from a backup of the output: its mark is right, its newest shards are gone."""
    output = output_of(packed)
    copy = packed.project / "copy"
    shutil.copytree(output, copy)
    program("run")
    shutil.rmtree(output)
    copy.rename(output)
    for said in refusals_but_verify(program):
        assert "lacks the newest shards" in said
    assert "missing" in program("verify", expect=20).out
    program("verify", "--repair", "--yes")
    program("run")
    check_truth(packed.table, packed.config, output)


def refusals_but_verify(program: Program) -> list[str]:
    """`verify` is what tells which shards are missing, and mends it."""
    commands = (("run",), ("exceptions", "retry", "--yes"), ("reconcile",))
    return [program(*command, expect=4).err for command in commands]


def test_an_archive_of_before_the_mark_gets_one(packed: Archive, program: Program) -> None:
    (output_of(packed) / MARK).unlink()
    packed.config.execute("DELETE FROM des_archive_job WHERE name = 'archive'")
    program("doctor", "--output", "json", expect=None)
    program("run")
    assert (output_of(packed) / MARK).exists()


def test_a_lost_mark_is_written_again(packed: Archive, program: Program) -> None:
    before = json.loads((output_of(packed) / MARK).read_text())
    (output_of(packed) / MARK).unlink()
    program("run")
    assert json.loads((output_of(packed) / MARK).read_text()) == before


def test_a_ledger_that_knows_nothing_takes_no_strangers_output(
    archive: Archive, program: Program, tmp_path: Path
) -> None:
    """A slip in packer.output_dir of a new archive: another one lives there."""
    output = output_of(archive)
    (output / MARK).write_text('{"format":"des archive","id":"' + "1" * 32 + '","version":1}\n')
    (output / "20240101_0_0000.des").write_bytes(b"somebody else's")
    said = program("run", expect=4).err
    assert "knows nothing of" in said
    assert "des-admin ledger rebuild" in said


def test_one_missing_shard_is_damage_and_not_another_archive(
    packed: Archive, program: Program
) -> None:
    sorted(output_of(packed).glob("*.des"))[-1].unlink()
    assert "missing" in program("verify", expect=20).out
