"""Commands on an archive with dictionaries: each reads back with the output directory alone."""

import shutil
from pathlib import Path

import pytest

from cli.conftest import Archive, Program
from support.program.archive import make_settings
from support.program.scale import run_alone
from support.rows.documents import add_documents


@pytest.fixture
def copy(sqlite_archive: Archive, tmp_path: Path) -> Path:
    """The output of a cycle with dictionaries, moved to where no configuration knows it."""
    archive = sqlite_archive
    add_documents(archive.table, days=10, a_day=60)
    archive.source.execute("DELETE FROM files WHERE created_at < '2024-01-09'")
    packer = {"n_bits": 4, "workers": 1, "compression": {"dictionary": True}}
    run_alone(make_settings(archive.source, tmp_path / "packed", archive.config, packer=packer))
    shutil.copytree(tmp_path / "packed", tmp_path / "copy")
    shutil.rmtree(tmp_path / "packed")
    return tmp_path / "copy"


def test_des_retriever_needs_the_output_only(
    sqlite_archive: Archive, copy: Path, program: Program, tmp_path: Path
) -> None:
    uid = "doc-540"
    expected = sqlite_archive.table.expected_content(uid)

    def get(name: str, *, expect: int) -> str:
        line = ("get", uid, "--to", str(tmp_path / name), "--output-dir", str(copy))
        return program(*line, module="des_admin.retriever_cli", expect=expect).err

    get("first", expect=0)
    assert (tmp_path / "first").read_bytes() == expected
    for path in (copy / "_dictionaries").iterdir():
        if path.suffix != ".copy":
            path.write_bytes(path.read_bytes()[::-1])
    get("second", expect=0)
    assert (tmp_path / "second").read_bytes() == expected
    shutil.rmtree(copy / "_dictionaries")
    said = get("third", expect=20)
    assert "a dictionary is missing" in said
    assert "_dictionaries/" in said
    assert not (tmp_path / "third").exists()
    listed = program("ls", "--output-dir", str(copy), module="des_admin.retriever_cli")
    assert listed.out.count(".des") > 10


def test_a_copy_without_dictionaries_is_not_sound(copy: Path, program: Program) -> None:
    program("verify", "--output-dir", str(copy))
    shutil.rmtree(copy / "_dictionaries")
    done = program("verify", "--output-dir", str(copy), "--output", "json", expect=20)
    findings = done.json["findings"]
    assert findings and all(finding["lacks_dictionary"] for finding in findings)
    assert "_dictionaries/" in done.error["hint"]


@pytest.fixture
def packed(sqlite_archive: Archive, program: Program) -> Archive:
    """The archive of the configuration after a cycle with dictionaries."""
    add_documents(sqlite_archive.table, days=10, a_day=60)
    config = sqlite_archive.project / "des-admin.yaml"
    dictionary = "n_bits: 4\n  compression: {dictionary: true}"
    config.write_text(config.read_text().replace("n_bits: 4", dictionary))
    program("run")
    return sqlite_archive


def test_a_dictionary_that_is_lost_copy_by_copy_is_forgotten_once_nothing_needs_it(
    packed: Archive, program: Program
) -> None:
    """What was remembered of its first copy is on no screen when all is packed again."""
    archive = packed
    first, second, *_ = sorted((archive.project / "output" / "_dictionaries").iterdir())
    first.unlink()
    program("verify", expect=20)
    second.unlink()
    program("verify", "--repair", "--yes")
    assert program("verify").out
    assert "dictionar" not in program("status", expect=None).out
    assert archive.config.rows("SELECT name FROM des_archive_damage") == []


def test_a_dictionary_that_comes_back_brings_the_files_back(
    packed: Archive, program: Program
) -> None:
    """Their shards were set aside meanwhile, and their sources are gone."""
    directory = packed.project / "output" / "_dictionaries"
    pair = sorted(directory.iterdir())[:2]
    for path in pair:
        path.rename(packed.project / path.name)
    for row in packed.table.rows.values():
        Path(row.location).unlink(missing_ok=True)
    assert "bring _dictionaries/ back" in program("verify", expect=20).err
    done = program("verify", "--repair", "--yes", expect=20)
    assert "run the same command again" in " ".join(done.err.split())
    lost = len(packed.exceptions())
    assert lost >= 50
    scratch = packed.project / "output" / "_damaged" / ".salvage-killed"
    scratch.mkdir()
    again = program("verify", "--repair", "--output", "json", expect=20).json["repaired"]
    assert (again["salvaged"], again["still_open"]) == (0, lost)
    assert not scratch.exists()
    for path in pair:
        (packed.project / path.name).rename(path)
    repaired = program("verify", "--repair", "--output", "json").json["repaired"]
    assert (repaired["salvaged"], repaired["still_open"]) == (lost, 0)
    assert packed.exceptions() == {}
    assert program("verify", "--repair", "--output", "json").json["repaired"] is None
