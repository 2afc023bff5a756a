"""Lists of uids: a line is a uid exactly, and every line is answered."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Done, Program
from des_core.basics.routing import bucket_of, shard_name
from support.shards.builder import RawEntry, build_shard

BITS = 4
DAY = date(2024, 11, 1)


def write_archive(directory: Path, day: date, files: dict[str, bytes]) -> None:
    directory.mkdir(exist_ok=True)
    for bucket in range(1 << BITS):
        entries = [
            RawEntry(uid.encode(), content)
            for uid, content in files.items()
            if bucket_of(uid, BITS) == bucket
        ]
        if entries:
            (directory / shard_name(day, bucket, 0, BITS)).write_bytes(build_shard(entries))


def get(program: Program, archive: Path, *arguments: str, stdin: str = "", expect: int = 0) -> Done:
    place = ("--output-dir", str(archive), "--n-bits", str(BITS))
    return program(
        *("get", "--from-file", "-", *arguments, *place),
        module="des_admin.retriever_cli",
        stdin=stdin,
        expect=expect,
    )


def answers_of(done: Done) -> list[tuple[str, str]]:
    return [(answer["uid"], answer["answer"]) for answer in done.json["answers"]]


@pytest.fixture
def target(project: Path) -> Path:
    (project / "to").mkdir()
    return project / "to"


@pytest.mark.parametrize(
    "uid",
    [
        *("#1", "# a comment?", "a\u0085b", "a\u2028b", "a\rb", "a\x0bb\x0cc\x1cd", " a ", "a\tb"),
        *("a\r", "\ufeffa", "a\t2024-11-01", "\t", "a\t"),
    ],
)
def test_a_line_is_a_uid_exactly(program: Program, project: Path, target: Path, uid: str) -> None:
    write_archive(project / "archive", DAY, {uid: b"it", "other": b"another"})
    lines = f"other\n{uid}\n"
    done = get(program, project / "archive", "--to", "to", "--output", "json", stdin=lines)
    assert [answer for _, answer in answers_of(done)] == ["written", "written"]
    assert sorted(path.read_bytes() for path in target.iterdir()) == [b"another", b"it"]


def test_comments_only_if_asked_for(program: Program, project: Path, target: Path) -> None:
    write_archive(project / "archive", DAY, {"a": b"it"})
    archive = project / "archive"
    assert get(program, archive, "--to", "to", "--comments", stdin="# mine\na\n")
    assert "# mine" in get(program, archive, "--to", "to", stdin="# mine\na\n", expect=4).out


def test_a_mark_of_byte_order_is_no_part_of_a_uid(
    program: Program, project: Path, target: Path
) -> None:
    write_archive(project / "archive", DAY, {"a": b"it"})
    get(program, project / "archive", "--to", "to", stdin="\ufeffa\n")
    assert (target / "a").read_bytes() == b"it"


def test_nul_ends_a_uid_that_may_hold_line_feeds(
    program: Program, project: Path, target: Path
) -> None:
    write_archive(project / "archive", DAY, {"a\nb": b"1", "c\n": b"2"})
    done = get(
        program, project / "archive", "--to", "to", "-0", "--output", "json", stdin="c\n\0a\nb\0"
    )
    assert answers_of(done) == [("c\n", "written"), ("a\nb", "written")]


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b"a\r\nb\r\n", "CR LF"),
        ("a\nb\n".encode("utf-16"), "UTF-16"),
        (b"a\0b\0", "--null"),
    ],
    ids=["CR LF", "UTF-16", "NUL"],
)
def test_a_list_of_another_form_is_told_from_files_that_are_not_there(
    program: Program, project: Path, target: Path, raw: bytes, hint: str
) -> None:
    write_archive(project / "archive", DAY, {"a": b"it", "b": b"another"})
    (project / "list").write_bytes(raw)
    line = ("get", "--from-file", "list", "--to", "to", "--output-dir", "archive", "--n-bits", "4")
    done = program(*line, module="des_admin.retriever_cli", expect=4)
    assert hint in done.err
    assert list(target.iterdir()) == []


def test_one_uid_of_two_days_comes_twice(program: Program, project: Path, target: Path) -> None:
    archive = project / "archive"
    write_archive(archive, DAY, {"a": b"first"})
    write_archive(archive, date(2024, 11, 2), {"a": b"second"})
    done = get(program, archive, "--to", "to", stdin="a\t2024-11-01\na\t2024-11-02T10:00:00Z\n")
    assert len(done.out.splitlines()) == 2
    assert sorted(path.read_bytes() for path in target.iterdir()) == [b"first", b"second"]


def test_every_line_has_its_answer_in_order(program: Program, project: Path, target: Path) -> None:
    archive = project / "archive"
    files = {"1": b"1", "2": b"2", "3": b"3", "4": b"old", "9": b"5" * 99}
    write_archive(archive, DAY, files)
    write_archive(archive, date(2024, 11, 2), {"4": b"new"})
    shard = archive / shard_name(DAY, bucket_of("9", BITS), 0, BITS)
    shard.write_bytes(shard.read_bytes()[:-3])
    (target / "2").write_bytes(b"2")
    (target / "3").write_bytes(b"mine")
    lines = "3\n5\n2\n9\n4\n1\n1\n"
    done = get(program, archive, "--to", "to", "--output", "json", stdin=lines, expect=20)
    assert answers_of(done) == [
        ("3", "other_content"),
        ("5", "not_there"),
        ("2", "there_already"),
        ("9", "damaged"),
        ("4", "more_than_one"),
        ("1", "written"),
        ("1", "written"),
    ]
    assert [answer["line"] for answer in done.json["answers"]] == [1, 2, 3, 4, 5, 6, 7]
    assert (target / "3").read_bytes() == b"mine"
    several = done.json["answers"][4]
    assert several["days"] == ["20241102", "20241101"]
    assert Path(project, several["path"]).read_bytes() == b"new"


def random_uids(count: int, seed: int = 1) -> list[str]:
    """Uids with characters of every general category but surrogates, and digits of every script."""
    chance = random.Random(seed)
    by_category: dict[str, list[str]] = {}
    for number in range(0x110000):
        by_category.setdefault(unicodedata.category(chr(number)), []).append(chr(number))
    by_category.pop("Cs")
    categories = list(by_category.values())
    digits = by_category["Nd"]
    uids: set[str] = set()
    while len(uids) < count:
        if chance.random() < 0.2:
            uid = "".join(chance.choice(digits) for _ in range(chance.randint(1, 20)))
        else:
            length = chance.randint(1, 12)
            uid = "".join(chance.choice(chance.choice(categories)) for _ in range(length))
        if chance.random() < 0.1:
            uid = chance.choice(["#", "\ufeff", " ", "\t", "..", "/"]) + uid
        uids.add(uid)
    ordered = sorted(uids)
    chance.shuffle(ordered)
    return ordered


@pytest.mark.parametrize("mark", ["\n", "\0"], ids=["line feed", "NUL"])
def test_ten_thousand_random_uids(program: Program, project: Path, target: Path, mark: str) -> None:
    uids = [uid for uid in random_uids(10_000) if mark not in uid]
    contents = {uid: hashlib.sha256(uid.encode()).digest() for uid in uids}
    write_archive(project / "archive", DAY, contents)
    flags = ("-0",) if mark == "\0" else ()
    absent = ["absent", "# absent"]
    stdin = mark.join([*uids, *absent])
    done = get(
        *(program, project / "archive", "--to", "to", *flags, "--output", "json"),
        stdin=stdin,
        expect=4,
    )
    found: list[Any] = done.json["answers"]
    assert [answer["uid"] for answer in found] == [*uids, *absent]
    assert {answer["answer"] for answer in found[:-2]} == {"written"}
    assert [answer["answer"] for answer in found[-2:]] == ["not_there", "not_there"]
    for answer in found[:-2]:
        assert Path(project, answer["path"]).read_bytes() == contents[answer["uid"]]
