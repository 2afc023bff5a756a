"""Reading back with `des-retriever` and `des-admin archive`, and the domain below them."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cli.conftest import Done, Program, program_environment, write_config
from des_core.basics.errors import DamagedShard
from des_core.basics.routing import bucket_of, shard_name
from des_core.reading.retriever import Retriever, Wanted
from des_core.shard_io.blobs import Blob
from des_core.storage.directory import DirectoryStorage
from support.shards.builder import RawEntry, build_shard

BITS = 4
DAY = date(2024, 11, 1)
BIG = b"a big file\n" * 1000
CONTENTS = {
    "4711": b"content of 4711\n",
    "a/b.txt": b"slashes\n",
    "zażółć gęślą 📦": b"unicode\n",
    "quote'\"%: \n": b"odd\n",
    "x" * 300: b"a long name\n",
    "empty": b"",
    "big": BIG,
}


def put(archive: Path, day: date, files: dict[str, bytes], part: int = 0, bits: int = BITS) -> None:
    """Shards that hold the files, each in its bucket, as one part."""
    archive.mkdir(exist_ok=True)
    for bucket in {bucket_of(uid, bits) for uid in files}:
        entries = [entry(uid, files[uid]) for uid in files if bucket_of(uid, bits) == bucket]
        (archive / shard_name(day, bucket, part, bits)).write_bytes(build_shard(entries))


def entry(uid: str, content: bytes) -> RawEntry:
    if uid != "big":
        return RawEntry(uid.encode(), content)
    digest = hashlib.sha256(content).hexdigest().encode()
    return RawEntry(b"big", b"", size=len(content), flags=1, sha256=digest)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of two days; the second part of the first day has a gap before it."""
    output = tmp_path / "archive"
    put(output, DAY, CONTENTS)
    put(output, DAY, {"late": b"late\n"}, part=2)
    put(output, date(2024, 11, 2), {"other day": b"other\n"})
    (output / "_bigFiles").mkdir()
    (output / "_bigFiles" / hashlib.sha256(BIG).hexdigest()).write_bytes(BIG)
    return output


def retriever(archive: Path) -> Retriever:
    return Retriever(DirectoryStorage(str(archive)), BITS)


@pytest.mark.parametrize("uid", CONTENTS)
@pytest.mark.parametrize("created_at", [None, "2024-11-01T23:30:00-00:15"])
def test_everything_comes_back(archive: Path, uid: str, created_at: str | None) -> None:
    reader = retriever(archive)
    moment = None if created_at is None else datetime.fromisoformat(created_at)
    found = reader.find(uid, moment)
    assert found is not None
    assert (reader.read(found), found.size_bytes) == (CONTENTS[uid], len(CONTENTS[uid]))


def test_parts_after_a_gap_are_found(archive: Path) -> None:
    found = retriever(archive).find("late", datetime.fromisoformat("2024-11-01T00:00Z"))
    assert found is not None
    assert found.shard.endswith("_0002.des")


def test_many_files_open_each_shard_once(archive: Path) -> None:
    class Counting(DirectoryStorage):
        def open(self, name: str) -> Blob:
            opened[name] += 1
            return super().open(name)

    opened: Counter[str] = Counter()
    reader = Retriever(Counting(str(archive)), BITS)
    wanted = [Wanted(uid) for uid in CONTENTS]
    found = {hit.wanted.uid: b"".join(hit.pieces) for hit in reader.read_many(wanted)}
    assert found == CONTENTS
    assert set(opened.values()) == {1}


def test_another_day_does_not_have_it(archive: Path) -> None:
    assert retriever(archive).find("4711", datetime.fromisoformat("2024-11-02T00:00Z")) is None


def test_many_at_once(archive: Path) -> None:
    wanted = [Wanted(uid) for uid in (*CONTENTS, "late", "other day", "absent")]
    found = retriever(archive).find_many(wanted)
    assert {item.uid for item in found} == {*CONTENTS, "late", "other day"}
    assert all(item.uid == file.uid for item, file in found.items())


def test_a_damaged_shard_is_told_only_where_it_matters(archive: Path) -> None:
    name = shard_name(DAY, bucket_of("4711", BITS), 0, BITS)
    (archive / name).write_bytes(b"not a shard")
    other = next(u for u in CONTENTS if bucket_of(u, BITS) != bucket_of("4711", BITS))
    reader = retriever(archive)
    assert reader.find(other) is not None
    with pytest.raises(DamagedShard):
        reader.find("4711")


class TestProgram:
    """The command line."""

    def line(self, archive: Path, *arguments: str) -> list[str]:
        return [*arguments, "--output-dir", str(archive), "--n-bits", str(BITS)]

    def run(
        self, program: Program, archive: Path, *arguments: str, expect: int = 0, **more: str
    ) -> Done:
        line = self.line(archive, *arguments)
        return program(*line, module="des_admin.retriever_cli", expect=expect, **more)

    def test_has(self, program: Program, archive: Path) -> None:
        done = self.run(program, archive, "has", "4711", "absent", expect=4)
        assert done.out.splitlines()[0].startswith("4711\tyes\t20241101_")
        assert done.out.splitlines()[1] == "absent\tno"
        assert "absent" in done.err
        shown = self.run(program, archive, "has", "4711", "--output", "json").json
        assert shown["schema"] == "des-admin/archive-has/1"
        assert shown["files"][0]["found"] is True

    def test_get_to_stdout_and_file(self, program: Program, archive: Path, project: Path) -> None:
        assert self.run(program, archive, "get", "4711").out == "content of 4711\n"
        self.run(program, archive, "get", "big", "--to", "big.bin")
        assert (project / "big.bin").read_bytes() == BIG
        self.run(program, archive, "get", "absent", "--to", "absent.bin", expect=4)
        assert not (project / "absent.bin").exists()

    def test_get_replaces_nothing(self, program: Program, archive: Path, project: Path) -> None:
        there = project / "there.txt"
        there.write_text("mine\n")
        done = self.run(program, archive, "get", "4711", "--to", "there.txt", expect=4)
        assert "other content" in done.err
        assert "--force" in done.err
        assert there.read_text() == "mine\n"
        for _ in range(2):  # the second time the bytes are there already
            self.run(program, archive, "get", "4711", "--to", "new.txt")
        self.run(program, archive, "get", "4711", "--to", "there.txt", "--force")
        for force in ((), ("--force",)):
            line = ("get", "4711", "--to", os.devnull, *force)
            assert "no regular file" in self.run(program, archive, *line, expect=4).err
        assert there.read_text() == (project / "new.txt").read_text() == "content of 4711\n"
        assert sorted(path.name for path in project.iterdir()) == ["new.txt", "there.txt"]

    def test_get_many(self, program: Program, archive: Path, project: Path) -> None:
        (project / "restored").mkdir()
        uids = [uid for uid in CONTENTS if "\n" not in uid]
        text = "# a list\n" + "".join(f"{uid}\t2024-11-01\n" for uid in uids) + "absent\n"
        done = self.run(
            *(program, archive, "get", "--from-file", "-", "--to", "restored"),
            expect=4,
            stdin=text,
        )
        assert "absent" in done.err
        contents = sorted(path.read_bytes() for path in (project / "restored").iterdir())
        assert contents == sorted(CONTENTS[uid] for uid in uids)
        assert (project / "restored" / "a%2Fb.txt").read_bytes() == b"slashes\n"

    def test_export_to_a_directory(self, program: Program, archive: Path, project: Path) -> None:
        (project / "day").mkdir()
        line = ("export", "--day", "2024-11-01", "--to", "day")
        for _ in range(2):  # the second time everything is there already
            shown = self.run(program, archive, *line, "--output", "json").json
            assert (shown["files"], shown["damaged"]) == (len(CONTENTS) + 1, 0)
        found = sorted(path.read_bytes() for path in (project / "day").iterdir())
        assert found == sorted([*CONTENTS.values(), b"late\n"])
        (project / "day" / "4711").write_text("mine\n")
        assert "--force" in self.run(program, archive, *line, expect=4).err
        assert (project / "day" / "4711").read_text() == "mine\n"

    def test_export_takes_the_part_that_is_sound(
        self, program: Program, archive: Path, project: Path
    ) -> None:
        shard = archive / shard_name(DAY, bucket_of("4711", BITS), 0, BITS)
        lost = [uid for uid in CONTENTS if bucket_of(uid, BITS) == bucket_of("4711", BITS)]
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        put(archive, DAY, {"4711": CONTENTS["4711"]}, part=3)
        line = ("export", "--day", "2024-11-01", "--to", ".")
        done = self.run(program, archive, *line, expect=20)
        assert shard.name in done.err
        found = sorted(path.read_bytes() for path in project.iterdir())
        kept = [content for uid, content in CONTENTS.items() if uid not in lost or uid == "4711"]
        assert found == sorted([*kept, b"late\n"])

    def test_export_as_a_tar(self, archive: Path, project: Path) -> None:
        module = [sys.executable, "-m", "des_admin.retriever_cli"]
        line = self.line(archive, "export", "--day", "2024-11-01")
        done = subprocess.run([*module, *line], capture_output=True, check=True, cwd=project)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            members = tar.getmembers()
            found = sorted(tar.extractfile(each).read() for each in members)  # type: ignore[union-attr]
        assert found == sorted([*CONTENTS.values(), b"late\n"])
        assert {each.mtime for each in members} == {datetime(2024, 11, 1, tzinfo=UTC).timestamp()}
        (archive / "_bigFiles" / hashlib.sha256(BIG).hexdigest()).unlink()
        done = subprocess.run([*module, *line], capture_output=True, check=False, cwd=project)
        assert done.returncode == 20
        with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            tar.getmembers()

    def test_get_never_leaves_a_half_file(
        self, program: Program, archive: Path, project: Path
    ) -> None:
        big = archive / "_bigFiles" / hashlib.sha256(BIG).hexdigest()
        big.write_bytes(BIG[:-1] + b"!")
        self.run(program, archive, "get", "big", "--to", "big.bin", expect=20)
        assert [path.name for path in project.iterdir()] == []

    def test_ls(self, program: Program, archive: Path) -> None:
        names = self.run(program, archive, "ls").out.splitlines()
        assert names == sorted(path.name for path in archive.glob("*.des"))
        lines = self.run(program, archive, "ls", "--day", "2024-11-02").out.splitlines()
        assert [line.split("\t")[:2] for line in lines] == [["other day", "6"]]
        odd = self.run(program, archive, "ls", "--day", "2024-11-01").out
        assert "quote'\"%: \\n\t4\t" in odd
        shown = self.run(program, archive, "ls", "--shard", names[0], "--output", "json").json
        assert shown["files"]

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["get"], 2),
            (["get", "4711", "--from-file", "x"], 2),
            (["get", "--from-file", "nowhere", "--to", "."], 2),
            (["get", "4711", "--created-at", "yesterday"], 2),
            (["ls", "--day", "yesterday"], 2),
            (["ls", "--shard", "../../etc/passwd"], 2),
            (["get", "4711", "--output", "json"], 2),
            (["get", "4711", "--to", "/nowhere/x"], 2),
        ],
    )
    def test_wrong_usage(
        self, arguments: list[str], code: int, program: Program, archive: Path
    ) -> None:
        self.run(program, archive, *arguments, expect=code)

    def test_under_des_admin_with_a_configuration(
        self, program: Program, archive: Path, project: Path
    ) -> None:
        write_config(project, "sqlite:////nowhere/x.db")
        archive.rename(project / "moved")
        (project / "output").rmdir()
        (project / "moved").rename(project / "output")
        assert program("archive", "get", "4711").out == "content of 4711\n"

    def test_without_configuration_the_way_is_named(self, program: Program) -> None:
        done = program("ls", module="des_admin.retriever_cli", expect=2)
        assert "--output-dir" in done.err

    def test_a_reader_that_goes_away_is_no_error(self, archive: Path, project: Path) -> None:
        line = " ".join(self.line(archive, "get", "big"))
        done = subprocess.run(
            [
                *("bash", "-c"),
                f"set -o pipefail; {sys.executable} -m des_admin.retriever_cli {line} | head -c 1",
            ],
            env=program_environment(project),
            cwd=project,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a", b"")
