"""Another `n_bits` than the archive's is refused wherever it would look in the wrong place."""

import shutil
from pathlib import Path

import pytest

from cli.conftest import Archive, Program

COMMANDS = (
    "run",
    "run --dry-run",
    "reconcile",
    "archive has nobody",
    "archive get nobody --to back.bin",
)


@pytest.fixture
def packed(sqlite_archive: Archive, program: Program) -> Archive:
    program("run")
    return sqlite_archive


def set_n_bits(archive: Archive, n_bits: int) -> None:
    path = archive.project / "des-admin.yaml"
    path.write_text(path.read_text().replace("n_bits: 4", f"n_bits: {n_bits}"))


def picture(archive: Archive) -> tuple[object, ...]:
    output = Path(archive.settings.packer.output_dir)
    ledger = archive.config.rows("SELECT * FROM des_archive_slice")
    return sorted(output.rglob("*")), ledger, archive.exceptions()


def test_refused_and_nothing_changed(packed: Archive, program: Program) -> None:
    before = picture(packed)
    set_n_bits(packed, 9)
    for line in COMMANDS:
        done = program(*line.split(), expect=2)
        assert "begun with 4" in done.err, line
        assert "packer.n_bits to 4" in done.err, line
    checks = program("doctor", "--output", "json", expect=4).json["checks"]
    [found] = [check for check in checks if check["name"] == "n_bits"]
    assert found["status"] == "failed"
    assert picture(packed) == before


def test_an_empty_output_does_not_hide_it(packed: Archive, program: Program) -> None:
    output = Path(packed.settings.packer.output_dir)
    shutil.rmtree(output)
    output.mkdir()
    set_n_bits(packed, 9)
    assert "the ledger" in program("run", expect=2).err


def test_the_retriever_takes_it_from_the_archive(packed: Archive, program: Program) -> None:
    newest = max(packed.table.rows.values(), key=lambda row: row.created_at)
    place = ["--output-dir", packed.settings.packer.output_dir]
    program("has", newest.uid, *place, module="des_admin.retriever_cli")
    refused = program(
        *("has", newest.uid, *place, "--n-bits", "9"), module="des_admin.retriever_cli", expect=2
    )
    assert "begun with 4" in refused.err


def test_a_damaged_manifest_is_passed_over(packed: Archive, program: Program) -> None:
    manifests = sorted(Path(packed.settings.packer.output_dir, "_manifests").glob("2*.json"))
    manifests[-1].write_bytes(b"{}")
    set_n_bits(packed, 9)
    assert "begun with 4" in program("archive", "has", "nobody", expect=2).err
