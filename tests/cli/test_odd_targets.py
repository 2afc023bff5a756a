"""Export and get to places that do not take every file: what one name meets is told of that name,
and all the rest comes out."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path

import pytest

from cli.conftest import Done, Program
from cli.test_uid_lists import BITS, answers_of, write_archive
from support.crash.file_sizes import file_size_limit

LONG = "l" * 190
LINES = f"a\n{LONG}\nz\n"
PATH_MAX = 4096


@pytest.fixture
def archive(project: Path) -> Path:
    write_archive(project / "archive", date(2024, 11, 1), {"a": b"1", LONG: b"2" * 9000, "z": b"3"})
    return project / "archive"


@pytest.fixture
def deep(project: Path) -> str:
    """A directory in which a short name can be had, and a long one would be too long a path."""
    path = str(project)
    while len(path) < PATH_MAX - 320:
        path += "/" + "d" * 200
    path += "/" + "d" * (PATH_MAX - 120 - len(path))
    Path(path).mkdir(parents=True)
    return path


def run(
    program: Program, archive: Path, *line: str, stdin: str | None = None, expect: int = 4
) -> Done:
    place = ("--output-dir", str(archive), "--n-bits", str(BITS))
    return program(*line, *place, module="des_admin.retriever_cli", stdin=stdin, expect=expect)


def get(program: Program, archive: Path, to: str, *more: str, lines: str = LINES) -> Done:
    line = ("get", "--from-file", "-", "--to", to, "--output", "json", *more)
    return run(program, archive, *line, stdin=lines)


def export(program: Program, archive: Path, to: str, *more: str) -> Done:
    line = ("export", "--day", "2024-11-01", "--to", to, "--output", "json", *more)
    return run(program, archive, *line)


def contents(directory: str) -> list[bytes]:
    return sorted(path.read_bytes() for path in Path(directory).iterdir())


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_name_too_long_for_the_target_is_the_answer_of_its_line(
    program: Program, archive: Path, deep: str, force: tuple[str, ...]
) -> None:
    done = get(program, archive, deep, *force)
    assert answers_of(done) == [("a", "written"), (LONG, "not_written"), ("z", "written")]
    assert "File name too long" in done.json["answers"][1]["reason"]
    assert contents(deep) == [b"1", b"3"]


def test_a_name_too_long_does_not_stop_an_export(
    program: Program, archive: Path, deep: str
) -> None:
    done = export(program, archive, deep)
    assert (done.json["files"], done.json["refused"]) == (2, 1)
    assert "File name too long" in done.err
    assert contents(deep) == [b"1", b"3"]


def test_a_file_too_large_for_the_target_does_not_stop_the_rest(
    program: Program, archive: Path, project: Path
) -> None:
    with file_size_limit(8192):
        done = get(program, archive, "to/")
        exported = export(program, archive, "all/")
    assert [answer for _, answer in answers_of(done)] == ["written", "not_written", "written"]
    assert exported.json["refused"] == 1
    assert contents(f"{project}/to") == contents(f"{project}/all") == [b"1", b"3"]


def test_a_file_that_cannot_be_compared_does_not_stop_the_rest(
    program: Program, archive: Path, project: Path
) -> None:
    for directory in ("to", "all"):
        (project / directory).mkdir()
        (project / directory / "a").write_bytes(b"mine")
        (project / directory / "a").chmod(0)
    answers = answers_of(get(program, archive, "to/"))
    assert answers[0][1] in {"not_written", "other_content"}  # root reads what it may not
    assert [answer for _, answer in answers[1:]] == ["written", "written"]
    assert export(program, archive, "all/").json["refused"] == 1
    assert len(list((project / "all").iterdir())) == 3


def test_a_place_that_takes_nothing_ends_it(program: Program, archive: Path, project: Path) -> None:
    (project / "to").mkdir(mode=0o500)
    if os.access(project / "to", os.W_OK):
        pytest.skip("root writes where it may not")
    line = ("export", "--day", "2024-11-01", "--to", "to")
    assert "Permission denied" in run(program, archive, *line, expect=2).err


def test_force_never_replaces_what_it_wrote_itself(program: Program, project: Path) -> None:
    """Two uids of one name: by the hash here, and on file systems that fold letters."""
    long = "l" * 300
    files = {long: b"long", hashlib.sha256(long.encode()).hexdigest(): b"hash", "z": b"3"}
    write_archive(project / "archive", date(2024, 11, 1), files)
    (project / "to").mkdir()
    (project / "to" / "z").write_bytes(b"old")
    os.utime(project / "to" / "z", (0, 0))  # not of the very tick in which the job begins
    done = export(program, project / "archive", "to", "--force")
    assert (done.json["files"], done.json["refused"]) == (2, 1)
    got = get(program, project / "archive", "got/", "--force", lines="\n".join(files))
    assert [answer for _, answer in answers_of(got)] == ["written", "not_written", "written"]
    assert (project / "to" / "z").read_bytes() == b"3"
    for directory in ("to", "got"):
        assert len(contents(str(project / directory))) == 2


@pytest.mark.parametrize("place", ["archive", "archive/_manifests", "link", "archive/../archive/"])
@pytest.mark.parametrize(
    "line", [("get", "z"), ("get", "--from-file", "-"), ("export", "--day=2024-11-01")]
)
def test_nothing_comes_out_into_the_archive_itself(
    program: Program, archive: Path, project: Path, line: tuple[str, ...], place: str
) -> None:
    """A uid is a name there, and may be that of a shard."""
    (archive / "_manifests").mkdir()
    (project / "link").symlink_to("archive")
    before = sorted(archive.rglob("*"))
    done = run(program, archive, *line, "--to", place, stdin="z\n")
    assert "the archive itself" in done.err
    assert sorted(archive.rglob("*")) == before


@pytest.mark.parametrize(
    "line", [("get", "z"), ("get", "--from-file", "-"), ("export", "--day=2024-11-01")]
)
def test_an_empty_name_is_no_directory(
    program: Program, archive: Path, project: Path, line: tuple[str, ...]
) -> None:
    """As of a variable of a shell that is not set."""
    run(program, archive, *line, "--to", "", stdin="z\n", expect=2)
    assert [path.name for path in project.iterdir()] == ["archive"]
