"""A shard is hidden: nobody says that the archive has no such file, or all files of a day."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from des_core.basics.routing import bucket_of, shard_name
from support.rows.filesdata import FileRow

RETRIEVER = "des_admin.retriever_cli"


@pytest.fixture
def packed(sqlite_archive: Archive, program: Program) -> Archive:
    program("run")
    return sqlite_archive


def output_of(archive: Archive) -> Path:
    return Path(archive.settings.packer.output_dir)


def newest(archive: Archive) -> FileRow:
    return max(archive.table.rows.values(), key=lambda row: row.created_at)


def shard_of(archive: Archive, row: FileRow) -> Path:
    day = row.created_at.date()
    return output_of(archive) / shard_name(day, bucket_of(row.uid, 4), 0, 4)


def hide_manifests(archive: Archive) -> None:
    shutil.rmtree(output_of(archive) / "_manifests")


def hide_ledger(archive: Archive) -> None:
    archive.config.execute("DELETE FROM des_archive_shard")


def questions(row: FileRow) -> Iterator[list[str]]:
    yield ["has", row.uid]
    yield ["has", row.uid, "--created-at", row.created_at.isoformat()]
    yield ["get", row.uid, "--to", "back.bin"]
    yield ["get", "--from-file", "uids.txt", "--to", "back/"]
    yield ["ls", "--shard", shard_of_row(row)]
    yield ["ls", "--day", row.created_at.date().isoformat()]
    yield ["export", "--day", row.created_at.date().isoformat(), "--to", "day/"]


def shard_of_row(row: FileRow) -> str:
    return shard_name(row.created_at.date(), bucket_of(row.uid, 4), 0, 4)


@pytest.mark.parametrize("hidden", ["nothing else", "manifests", "ledger"])
def test_lost_is_not_said_to_be_absent(packed: Archive, program: Program, hidden: str) -> None:
    """Manifests and ledger know of it, each by itself."""
    row = newest(packed)
    (packed.project / "uids.txt").write_text(f"{row.uid}\n")
    shard_of(packed, row).unlink()
    if hidden == "manifests":
        hide_manifests(packed)
    elif hidden == "ledger":
        hide_ledger(packed)
    for line in questions(row):
        done = program("archive", *line, expect=20)
        assert shard_of(packed, row).name in done.err, line
    shown = program("archive", "has", row.uid, "--output", "json", expect=20).json
    [answer] = shown["files"]
    assert answer["found"] is False
    assert shard_of(packed, row).name in answer["unknown"]
    assert program("archive", "has", row.uid, expect=20).out == f"{row.uid}\tunknown\n"
    assert not (packed.project / "back.bin").exists()


def test_only_who_may_be_in_it_is_unknown(packed: Archive, program: Program) -> None:
    """Another bucket, another day: what is there is found, what never was is not there."""
    row = newest(packed)
    lost = shard_of(packed, row)
    lost.unlink()
    others = [
        other
        for other in packed.table.rows.values()
        if shard_of(packed, other).name != lost.name and shard_of(packed, other).exists()
    ]
    for other in others[-5:]:
        program("archive", "has", other.uid, "--created-at", other.created_at.isoformat())
    elsewhere = next(
        name for name in map(str, range(100)) if bucket_of(name, 4) != bucket_of(row.uid, 4)
    )
    done = program("archive", "has", others[0].uid, elsewhere, row.uid, expect=20)
    answers = dict(line.split("\t")[:2] for line in done.out.splitlines())
    assert answers == {others[0].uid: "yes", elsewhere: "no", row.uid: "unknown"}
    its_time = row.created_at.replace(year=2023).isoformat()
    assert program("archive", "has", row.uid, "--created-at", its_time, expect=4).out.endswith(
        "no\n"
    )


def test_the_retriever_asks_the_manifests(packed: Archive, program: Program) -> None:
    row = newest(packed)
    place = ["--output-dir", str(output_of(packed))]
    shard_of(packed, row).unlink()
    done = program("has", row.uid, *place, module=RETRIEVER, expect=20)
    assert shard_of(packed, row).name in done.err
    for manifest in (output_of(packed) / "_manifests").glob("2*.json"):
        manifest.write_bytes(b"{}")
    place += ["--n-bits", "4"]
    assert (
        "a manifest cannot be read"
        in program("has", row.uid, *place, module=RETRIEVER, expect=20).err
    )


def test_a_place_with_nothing_in_it_is_not_an_empty_archive(
    packed: Archive, program: Program
) -> None:
    """As of a disk that is not mounted."""
    shutil.rmtree(output_of(packed))
    output_of(packed).mkdir()
    hide_ledger(packed)
    place = ["--output-dir", str(output_of(packed))]
    for line in (["has", "4711"], ["get", "4711", "--to", "x"]):
        assert "mounted?" in program(*line, *place, module=RETRIEVER, expect=4).err
    assert program("has", "4711", *place, module=RETRIEVER, expect=4).out == ""


def test_a_new_archive_has_nothing(sqlite_archive: Archive, program: Program) -> None:
    """Its ledger says so."""
    done = program("archive", "has", "4711", expect=4)
    assert done.out == "4711\tno\n"


def test_without_the_ledger_manifests_answer_and_that_is_said(
    packed: Archive, program: Program
) -> None:
    assert packed.config.path is not None
    packed.config.close_connections()
    packed.config.path.rename(packed.project / "away.sqlite")
    row = newest(packed)
    done = program("archive", "has", row.uid, "nobody", expect=4)
    assert "nobody\tno" in done.out
    assert "the ledger could not be asked" in done.err
    shard_of(packed, row).unlink()
    assert program("archive", "has", row.uid, expect=20).out == f"{row.uid}\tunknown\n"


def test_what_a_repair_set_aside_is_not_lost(packed: Archive, program: Program) -> None:
    """Its files are in another shard, or exceptions: then no is the truth."""
    row = newest(packed)
    shard = shard_of(packed, row)
    shard.write_bytes(b"not a shard")
    program("verify", "--repair", "--yes")
    assert (output_of(packed) / "_damaged" / shard.name).exists()
    assert "\tyes\t" in program("archive", "has", row.uid).out
    nobody = next(
        name for name in map(str, range(100)) if bucket_of(name, 4) == bucket_of(row.uid, 4)
    )
    assert program("archive", "has", nobody, expect=4).out == f"{nobody}\tno\n"
    place = ["--output-dir", str(output_of(packed))]
    assert program("has", nobody, *place, module=RETRIEVER, expect=4).out == f"{nobody}\tno\n"


@pytest.mark.parametrize("has_ledger", [True, False], ids=["ledger", "manifest alone"])
def test_once_a_loss_was_repaired_the_answer_is_known_again(
    packed: Archive, program: Program, has_ledger: bool
) -> None:
    """Verify names what only a manifest knows; the repair leaves a note of what was lost."""
    row = newest(packed)
    shard = shard_of(packed, row)
    shard.unlink()
    if not has_ledger:
        packed.config.execute("DELETE FROM des_archive_shard WHERE name = :n", {"n": shard.name})
    found = program("verify", "--output", "json", expect=20).json
    assert [(item["shard"], item["verdict"]) for item in found["findings"]] == [
        (shard.name, "missing")
    ]
    program("verify", "--repair", "--yes")
    assert program("verify", "--output", "json").json["sound"] is True
    assert "\tyes\t" in program("archive", "has", row.uid).out
    assert (output_of(packed) / "_damaged" / f"{shard.name}.lost").exists()
    nobody = next(
        name for name in map(str, range(100)) if bucket_of(name, 4) == bucket_of(row.uid, 4)
    )
    for module in ("des_admin", RETRIEVER):
        words = ["archive"] if module == "des_admin" else []
        assert program(*words, "has", nobody, module=module, expect=4).out == f"{nobody}\tno\n"


def test_its_name_is_not_given_to_another(packed: Archive, program: Program) -> None:
    """It may come back from a copy of the output: two shards of one name would be two truths."""
    row = newest(packed)
    shard = shard_of(packed, row)
    whole = shard.read_bytes()
    program("exceptions", "retry", "--yes", expect=None)
    before = packed.config.rows("SELECT * FROM des_archive_shard ORDER BY name")
    late = Path(row.location).with_name("late")
    late.write_bytes(b"late\n")
    uid = next(n for n in map(str, range(100)) if bucket_of(n, 4) == bucket_of(row.uid, 4))
    packed.source.execute(
        "INSERT INTO files (uid, created_at, file_location, size_bytes, archived)"
        " SELECT :uid, created_at, :location, 5, archived FROM files WHERE uid = :other",
        {"uid": uid, "location": str(late), "other": row.uid},
    )
    program("reconcile", "--record", "--yes", expect=3)
    shard.unlink()
    program("exceptions", "retry", "--yes")
    assert not shard.exists()
    shard.write_bytes(whole)
    for name in (row.uid, uid):
        assert "\tyes\t" in program("archive", "has", name).out
    after = packed.config.rows("SELECT * FROM des_archive_shard ORDER BY name")
    assert [item for item in after if item in before] == before
    program("verify")
