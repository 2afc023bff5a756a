"""Shards that a writer in the field has made, named by its local days: what still finds them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.conftest import Program, write_config
from des_core.basics.routing import bucket_of
from support.rows.filesdata import FileRow, FilesTableFactory
from support.servers.database import TestDatabase
from support.shards.interop import interop_dir
from support.shards.tiny_reader import read_shard

N_BITS = 4
# In Warsaw the first is of the 2nd, and the second of the 3rd: an hour ahead of UTC in winter.
SAME_DAY = (datetime(2024, 1, 2, 9, tzinfo=UTC), "20240102")
NEXT_DAY = (datetime(2024, 1, 2, 23, 30, tzinfo=UTC), "20240103")
LATER = datetime(2024, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Existing:
    """What is in the output before we begin, and the rows that it was made of."""

    output: Path
    shards: dict[str, bytes]
    contents: dict[str, bytes]
    rows: dict[str, FileRow]


@pytest.fixture
def existing(
    database: TestDatabase, files_table: FilesTableFactory, project: Path, program: Program
) -> Existing:
    """Two foreign shards, their rows marked archived, one row more; the watermark is there."""
    write_config(project, database.url)
    output, rows, contents = project / "output", {}, {}
    for file, (moment, day) in (("v2_none.des", SAME_DAY), ("v2_meta.des", NEXT_DAY)):
        for uid, (content, _) in read_shard(interop_dir() / file).items():
            source = project / hashlib.sha256(uid.encode()).hexdigest()
            source.write_bytes(content)
            rows[uid] = FileRow(uid, moment, str(source), len(content), archived=True)
            contents[uid] = content
            name = f"{day}_{bucket_of(uid, N_BITS):X}_0000.des"
            shutil.copy(interop_dir() / file, output / name)
    source = project / "new"
    source.write_bytes(b"new\n")
    new = FileRow("new", LATER, str(source), 4)
    files_table(database, rows=0, extra=(*rows.values(), new))
    program("migrate", "up", "--yes")
    shards = {path.name: path.read_bytes() for path in output.glob("*.des")}
    return Existing(output, shards, contents, rows)


def fetch(program: Program, project: Path, *arguments: str, expect: int = 0) -> bytes | None:
    """The content that `get` writes, or None."""
    target = project / "got"
    target.unlink(missing_ok=True)
    done = program("archive", "get", "--to", str(target), *arguments, expect=expect)
    assert expect == 0 or "not" in done.err
    return target.read_bytes() if target.exists() else None


def of_night(existing: Existing) -> list[str]:
    """Uids whose local day is not their day in UTC."""
    return [uid for uid, row in existing.rows.items() if row.created_at == NEXT_DAY[0]]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_uid_alone_finds_each_and_a_time_those_whose_days_are_equal(
    existing: Existing, program: Program, project: Path
) -> None:
    assert sorted(of_night(existing)) == ["m1", "m2"]
    for uid, row in existing.rows.items():
        assert fetch(program, project, "--", uid) == existing.contents[uid]
        is_of_night = row.created_at == NEXT_DAY[0]
        line = ("--created-at", f"{row.created_at:%Y-%m-%dT%H:%M:%SZ}", "--", uid)
        got = fetch(program, project, *line, expect=4 if is_of_night else 0)
        assert got == (None if is_of_night else existing.contents[uid])


def test_a_cycle_and_a_replay_leave_them_as_they_are_and_lose_nothing(
    database: TestDatabase, existing: Existing, program: Program, project: Path
) -> None:
    program("run")
    program("watermark", "rewind", "2024-01-01", "--yes", "--reason", "from the beginning")
    program("run")
    for name, content in existing.shards.items():
        assert (existing.output / name).read_bytes() == content
    ours = {path.name for path in existing.output.glob("*.des")} - existing.shards.keys()
    packed = {
        uid: content
        for name in ours
        for uid, (content, _) in read_shard(existing.output / name).items()
    }
    night = {uid: existing.contents[uid] for uid in of_night(existing)}
    assert packed == {**night, "new": b"new\n"}, "what lies under another day is packed again"
    assert database.value("SELECT COUNT(*) FROM des_archive_exception") == 0
    program("verify")
    for uid, content in night.items():
        line = ("--created-at", "2024-01-02T23:30:00Z", "--", uid)
        assert fetch(program, project, *line) == content


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_replay_without_the_sources_keeps_the_files_and_opens_exceptions(
    database: TestDatabase, existing: Existing, program: Program, project: Path
) -> None:
    for row in existing.rows.values():
        Path(row.location).unlink()
    program("watermark", "rewind", "2024-01-01", "--yes", "--reason", "from the beginning")
    program("run", expect=3)
    found = database.rows("SELECT uid, reason FROM des_archive_exception WHERE resolved_at IS NULL")
    assert sorted(found) == sorted((uid, "missing") for uid in of_night(existing))
    for uid in of_night(existing):
        assert fetch(program, project, "--", uid) == existing.contents[uid]
