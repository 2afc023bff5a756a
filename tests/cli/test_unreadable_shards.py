"""A file of the archive that cannot be read: the rest comes out, and nothing counts as absent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cli.conftest import Done, Program
from cli.test_uid_lists import BITS, answers_of, write_archive
from des_core.basics.routing import bucket_of, shard_name

DAY = date(2024, 11, 1)
UIDS = [str(number) for number in range(40)]
BUCKET = bucket_of("0", BITS)
HELD = {uid for uid in UIDS if bucket_of(uid, BITS) == BUCKET}


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def forbid(path: Path) -> None:
    path.chmod(0)


@pytest.fixture(params=[make_directory, make_loop, forbid])
def archive(project: Path, request: pytest.FixtureRequest) -> Path:
    """Forty files in sixteen shards, one of which cannot be read."""
    write_archive(project / "archive", DAY, {uid: uid.encode() for uid in UIDS})
    shard = project / "archive" / shard_name(DAY, BUCKET, 0, BITS)
    spoil: Callable[[Path], None] = request.param
    spoil(shard)
    try:
        shard.read_bytes()
    except OSError:
        return project / "archive"
    pytest.skip("root reads what it may not")


def run(program: Program, archive: Path, *line: str, stdin: str | None = None) -> Done:
    place = ("--output-dir", str(archive), "--n-bits", str(BITS))
    return program(*line, *place, module="des_admin.retriever_cli", stdin=stdin, expect=20)


def test_every_line_of_a_list_is_answered(program: Program, archive: Path, project: Path) -> None:
    line = ("get", "--from-file", "-", "--to", "to/", "--output", "json")
    done = run(program, archive, *line, stdin="\n".join(UIDS))
    expected = ["damaged" if uid in HELD else "written" for uid in UIDS]
    assert [answer for _, answer in answers_of(done)] == expected
    assert {path.name for path in (project / "to").iterdir()} == set(UIDS) - HELD


def test_an_export_brings_the_rest(program: Program, archive: Path, project: Path) -> None:
    done = run(program, archive, "export", "--day", str(DAY), "--to", "to/", "--output", "json")
    assert (done.json["files"], done.json["damaged"]) == (len(UIDS) - len(HELD), 1)
    assert {path.name for path in (project / "to").iterdir()} == set(UIDS) - HELD


def test_nobody_can_tell_what_it_holds(program: Program, archive: Path) -> None:
    done = run(program, archive, "has", *UIDS, "--output", "json")
    told = {file["uid"]: file["found"] or "unknown" in file for file in done.json["files"]}
    assert told == dict.fromkeys(UIDS, True)
    unknown = {file["uid"] for file in done.json["files"] if "unknown" in file}
    assert unknown == HELD
