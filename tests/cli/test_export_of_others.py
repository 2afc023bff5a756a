"""Export and get, of shards that other programs wrote and to places that are not as usual."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from datetime import date
from pathlib import Path

import pytest

from cli.conftest import Done, Program, program_environment
from support.shards.builder import RawEntry, build_shard

DAY = date(2024, 11, 1)
NAMES = [b"first", b"", b".", b"..", b"a/b", b"\xff\xfe", b"x" * 60_000, b"last"]


@pytest.fixture
def archive(project: Path) -> Path:
    """One shard of another writer: names that no file can have, and one that is no text."""
    directory = project / "archive"
    directory.mkdir()
    entries = [RawEntry(name, b"content %d\n" % at) for at, name in enumerate(NAMES)]
    (directory / "20241101_0_0000.des").write_bytes(build_shard(entries))
    return directory


@pytest.fixture
def plain(project: Path) -> Path:
    """One shard with one file."""
    directory = project / "plain"
    directory.mkdir()
    (directory / "20241101_0_0000.des").write_bytes(build_shard([RawEntry(b"0", b"it\n")]))
    return directory


def run(program: Program, archive: Path, *arguments: str, expect: int = 0) -> Done:
    place = ("--output-dir", str(archive), "--n-bits", "4")
    return program(*arguments, *place, module="des_admin.retriever_cli", expect=expect)


def run_tar(archive: Path, project: Path) -> subprocess.CompletedProcess[bytes]:
    line = ("export", "--day", "2024-11-01", "--output-dir", str(archive), "--n-bits", "4")
    return subprocess.run(
        [sys.executable, "-m", "des_admin.retriever_cli", *line],
        capture_output=True,
        check=False,
        cwd=project,
        env=program_environment(project),
    )


def contents() -> list[bytes]:
    return sorted(b"content %d\n" % at for at in range(len(NAMES)))


def test_every_entry_comes_out(program: Program, archive: Path, project: Path) -> None:
    run(program, archive, "export", "--day", "2024-11-01", "--to", "new/deep/")
    files = list((project / "new" / "deep").iterdir())
    assert sorted(path.read_bytes() for path in files) == contents()
    assert hashlib.sha256(b"").hexdigest() in {path.name for path in files}
    assert "%FF%FE" in {path.name for path in files}


def test_a_tar_has_the_same_names_and_modes(program: Program, archive: Path, project: Path) -> None:
    run(program, archive, "export", "--day", "2024-11-01", "--to", "new/")
    files = {path.name: path.stat().st_mode & 0o777 for path in (project / "new").iterdir()}
    done = run_tar(archive, project)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        members = {each.name: each.mode for each in tar.getmembers()}
    assert members == files


def test_one_bad_entry_never_stops_the_rest(program: Program, archive: Path, project: Path) -> None:
    shard = archive / "20241101_0_0000.des"
    entries = [RawEntry(name, b"content %d\n" % at) for at, name in enumerate(NAMES)]
    entries[2] = RawEntry(b"lies", b"", size=7, offset=1 << 40)
    shard.write_bytes(build_shard(entries))
    done = run(program, archive, "export", "--day", "2024-11-01", "--to", "new/", expect=20)
    assert "20241101_0_0000.des" in done.err
    sound = sorted(set(contents()) - {b"content 2\n"})
    assert sorted(path.read_bytes() for path in (project / "new").iterdir()) == sound
    tarred = run_tar(archive, project)
    assert tarred.returncode == 20
    out = []
    with (
        pytest.raises(tarfile.ReadError),
        tarfile.open(fileobj=io.BytesIO(tarred.stdout), mode="r|") as tar,
    ):
        for member in tar:
            if member.size and "INCOMPLETE" not in member.name:
                out.append(tar.extractfile(member).read())  # type: ignore[union-attr]
    assert sorted(out) == sound


def test_what_is_in_the_way_does_not_stop_the_rest(
    program: Program, archive: Path, project: Path
) -> None:
    (project / "new").mkdir()
    (project / "new" / "first").write_bytes(b"mine")
    done = run(program, archive, "export", "--day", "2024-11-01", "--to", "new", expect=4)
    assert "--force" in done.err
    assert len(list((project / "new").iterdir())) == len(NAMES)
    assert (project / "new" / "first").read_bytes() == b"mine"


def test_a_day_without_a_shard_says_so(program: Program, archive: Path, project: Path) -> None:
    (project / "new").mkdir()
    line = ("export", "--day", "2024-11-02")
    assert "no shard of this day" in run(program, archive, *line, "--to", "new", expect=4).err
    assert run(program, archive, *line, expect=4).out == ""


def test_get_makes_the_directory_that_is_named(
    program: Program, plain: Path, project: Path
) -> None:
    run(program, plain, "get", "0", "--to", "new/")
    assert (project / "new" / "0").read_bytes() == b"it\n"


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_symlink_that_leads_nowhere_is_not_touched(
    program: Program, plain: Path, project: Path, force: tuple[str, ...]
) -> None:
    (project / "link").symlink_to("absent")
    done = run(program, plain, "get", "0", "--to", "link", *force, expect=4)
    assert "leads nowhere" in done.err
    assert (project / "link").is_symlink() and not (project / "absent").exists()


def test_long_uids_are_cut_in_messages(program: Program, plain: Path) -> None:
    done = run(program, plain, "has", "y" * 60_000, expect=4)
    assert len(done.err) < 2_000
