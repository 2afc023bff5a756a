"""Random trees of sources, their rows in all spellings: what goes is what a simple model says.

The model asks the file system for what each row means, and the shards for what is packed.
"""

from __future__ import annotations

import os
import random
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.crash.truth import read_archive
from support.program.archive import make_archive
from support.rows.bulk import create_files_table, insert_rows
from support.rows.filesdata import FileRow, content_of
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.source_deletion import delete_now

TREES_AT_ONCE = 40
FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
ABOVE = datetime(2999, 1, 1, tzinfo=UTC)
SPELLINGS = (
    *("plain", "dots", "slashes", "linked_directory", "linked_file", "hard_link"),
    *("self_root", "self_cwd", "bound"),
)
TWINS = ("packed", "above", "undated", "late", "exception", "missing", "relative")


@dataclass
class Grove:
    """Many trees below one root, packed by one archive: a run costs more than a tree."""

    database: TestDatabase
    root: Path
    chance: random.Random
    mounts: list[Path] = field(default_factory=list)
    later: list[FileRow] = field(default_factory=list)
    rows: list[FileRow] = field(default_factory=list)
    undated: set[str] = field(default_factory=set)

    def plant(self, number: int) -> None:
        """One tree: files, other ways to them, rows that name them."""
        tree = self.root / f"tree-{number}"
        (tree / "d" / "e").mkdir(parents=True)
        (tree / "way").symlink_to("d")
        chance = self.chance
        files = [
            tree / chance.choice(("", "d", "d/e")) / f"f{number}-{i}"
            for i in range(chance.randint(2, 6))
        ]
        for path in files:
            path.write_bytes(content_of(str(path), chance.choice((0, 3, 200, 3000))))
        if number % 8 == 0:
            self.bind(tree / "d", tree / "bound")
        for path in files:
            self.add(path, chance.choice(("packed", "packed", "packed", "exception")), "plain")
            while chance.random() < 0.5:
                self.add(path, chance.choice(TWINS), chance.choice(SPELLINGS))

    def bind(self, source: Path, target: Path) -> None:
        """A bind mount, where we may make one."""
        target.mkdir()
        if os.geteuid() == 0:
            done = subprocess.run(["mount", "--bind", source, target], capture_output=True)
            if done.returncode == 0:
                self.mounts.append(target)

    def add(self, path: Path, kind: str, spelling: str) -> None:
        """A row that names the file, of which `kind` says what becomes of it."""
        uid = f"{len(self.rows):05d}"
        location, size = self.spell(path, spelling, uid), path.stat().st_size
        when = FIRST + timedelta(days=len(self.rows) % 3, seconds=len(self.rows))
        if kind == "exception":
            size += 1
        elif kind == "above":
            when = ABOVE
        elif kind == "missing":
            location = f"{path}.missing"
        elif kind == "relative":
            location = os.path.relpath(location, self.root)
        row = FileRow(uid, when, location, size)
        self.rows.append(row)
        if kind in ("late", "undated"):
            self.later.append(row)
            if kind == "undated":
                self.undated.add(uid)
        else:
            insert_rows(self.database, [row])

    def spell(self, path: Path, spelling: str, uid: str) -> str:
        parent, name = path.parent, path.name
        if spelling == "dots":
            return f"{parent}/./../{parent.name}/{name}"
        if spelling == "slashes":
            return f"{parent}//{name}"
        if spelling == "linked_directory" and "/d" in str(path):
            return str(path).replace("/d/", "/way/", 1)
        if spelling == "linked_file":
            (parent / f"link-{uid}").symlink_to(name)
            return str(parent / f"link-{uid}")
        if spelling == "hard_link":
            (parent / f"hard-{uid}").hardlink_to(path)
            return str(parent / f"hard-{uid}")
        if spelling == "self_root":
            return f"/proc/self/root{path}"
        if spelling == "self_cwd":
            return f"/proc/self/cwd/{os.path.relpath(path, Path.cwd())}"
        if spelling == "bound" and "/d/" in str(path):
            other = str(path).replace("/d/", "/bound/", 1)
            return other if Path(other).exists() else str(path)
        return str(path)

    def arrive_late(self) -> None:
        """What comes after the run: rows below the watermark, and rows without a time."""
        for row in self.later:
            insert_rows(self.database, [row])
            if row.uid in self.undated:
                self.database.execute(
                    "UPDATE files SET created_at = NULL WHERE uid = :u", {"u": row.uid}
                )

    def expected(self, packed: set[str]) -> set[tuple[int, str]]:
        """The names, each with its directory's inode, that may go."""
        needed = set()
        for row in self.rows:
            if row.uid not in packed and row.location.startswith("/"):
                with suppress(OSError):
                    needed.add(Path(row.location).stat().st_ino)
        ends = {
            row.location.rpartition("/")[2]
            for row in self.rows
            if row.uid not in packed and not row.location.startswith("/")
        }
        going = set()
        for row in self.rows:
            if row.uid not in packed:
                continue
            parent, name = os.path.split(row.location)
            status = os.lstat(row.location)
            is_plain = not stat.S_ISLNK(status.st_mode) and not parent.startswith("/proc")
            if is_plain and status.st_ino not in needed and name not in ends:
                going.add((Path(parent).stat().st_ino, name))
        return going

    def names(self) -> set[tuple[int, str]]:
        """Every name of a file below the root, each with its directory's inode."""
        return {
            (Path(directory).stat().st_ino, name)
            for directory, _, names in os.walk(self.root)
            for name in names
        }


@contextmanager
def grove(database: TestDatabase, root: Path, seed: int) -> Iterator[Grove]:
    root.mkdir()
    made = Grove(database, root, random.Random(seed))
    try:
        yield made
    finally:
        for place in made.mounts:
            subprocess.run(["umount", place], check=True)


def allow_null(database: TestDatabase) -> None:
    if database.kind == "sqlite":
        database.execute("ALTER TABLE files RENAME TO strict")
        database.execute("CREATE TABLE files AS SELECT * FROM strict")
        database.execute("DROP TABLE strict")
        database.execute("CREATE UNIQUE INDEX files_uid ON files (uid)")
        database.execute("CREATE INDEX files_created ON files (created_at)")
    elif database.kind == "postgres":
        database.execute("ALTER TABLE files ALTER created_at DROP NOT NULL")
    else:
        database.execute("ALTER TABLE files MODIFY created_at DATETIME(6) NULL")


def check_grove(database: TestDatabase, place: Path, seed: int) -> None:
    place.mkdir()
    with grove(database, place / "sources", seed) as trees:
        create_files_table(database)
        allow_null(database)
        for number in range(TREES_AT_ONCE):
            trees.plant(number)
        settings = make_archive(
            database,
            place / "out",
            packer={"source_roots": [str(trees.root)], "big_file_threshold": 1500},
            migration={"grace_days": 0, "max_failure_ratio": 1.0},
        )
        with open_archive(settings) as archive:
            run_cycle(archive)
            trees.arrive_late()
            before, expected = trees.names(), trees.expected(set(read_archive(place / "out")))
            report = delete_now(archive)
        gone = before - trees.names()
    assert sorted(gone - expected) == [], f"deleted although it is needed, seed {seed}"
    assert sorted(expected - gone) == [], f"kept although nobody needs it, seed {seed}"
    assert len(gone) > TREES_AT_ONCE // 2, report
    assert report.kept["still_needed"] > TREES_AT_ONCE // 2, report


def test_what_goes_is_what_nobody_needs(database: TestDatabase, tmp_path: Path) -> None:
    check_grove(database, tmp_path / "grove", seed=0)


@pytest.mark.sqlite
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_trees(
    make_database: Callable[[str], TestDatabase], tmp_path: Path, rounds: int, is_soak: bool
) -> None:
    """`ROUNDS=50 make soak PYTEST_ARGS='-k two_thousand_trees'`."""
    for seed in range(1, 1 + rounds if is_soak else 3):
        check_grove(make_database("sqlite"), tmp_path / f"grove-{seed}", seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["postgres", "mariadb", "mysql"])
def test_trees_on_servers(
    kind: str,
    make_database: Callable[[str], TestDatabase],
    tmp_path: Path,
    rounds: int,
    is_soak: bool,
) -> None:
    """`ROUNDS=8 make soak PYTEST_ARGS='-k trees_on_servers'` tries 300 and more on each."""
    if not is_soak:
        pytest.skip("each kind has its trees above; more of them under make soak")
    for seed in range(1, 1 + rounds):
        check_grove(make_database(kind), tmp_path / f"grove-{seed}", seed)
