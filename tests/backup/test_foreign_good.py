"""Good backups of the real tools, made in many ways: none of them is called bad.

Few in CI; DES_TEST_ROUNDS says how many of each tool else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pytest

from backup.conftest import now
from backup.foreign_tools import (
    ForeignSite,
    barman_site,
    pgbackrest_site,
    real_program,
    require_tool,
    run_mydumper,
)
from backup.test_foreign_matrix import asked, live_of
from des_core.backup.findings import CheckReport, Level
from des_core.backup.foreign.answer import Tool
from des_core.backup.foreign.ask import Question, check_foreign
from des_core.backup.presence import Surroundings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.fixture
def many(is_soak: bool, rounds: int) -> int:
    return rounds if is_soak else 3


def write_more(site: ForeignSite, number: int) -> None:
    with site.server.connect("postgres") as connection:
        connection.execute(
            f"CREATE TABLE more_{number} AS SELECT generate_series(1, {number * 50}) AS id"
        )


def require_good(report: CheckReport | None, level: Level, how: object) -> None:
    assert report is not None, how
    # In a dump of mydumper there is no server to compare.
    found = {finding.code for finding in report.findings} - {"not_compared"}
    assert (report.level, found) == (level, set()), (how, report)


PGBACKREST = (
    ("--type=full", "--compress-type=zst"),
    ("--type=incr", "--compress-type=none", "--repo1-hardlink"),
    ("--type=diff", "--compress-type=lz4"),
    ("--type=full", "--compress-type=gz", "--repo1-bundle", "--repo1-block", "--beta"),
    ("--type=incr", "--repo1-bundle", "--process-max=2"),
    ("--type=diff", "--start-fast"),
)


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_pgbackrest(is_encrypted: bool, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=secret\n" if is_encrypted else ""
    with pgbackrest_site(more=lines) as site:
        site.put_in_path(monkeypatch)
        for number, how in enumerate(islice(cycle(PGBACKREST), many)):
            write_more(site, number)
            site.do(real_program("pgbackrest"), *site.options, "--stanza=main", *how, "backup")
            with live_of(site) as live:
                require_good(asked(site, Tool.PGBACKREST, Level.L1, live), Level.L1, how)
    print(f"pgbackrest: {many} good backups, 0 false alarms")


def test_barman(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with barman_site() as site:
        site.put_in_path(monkeypatch)
        for number in range(many):
            write_more(site, number)
            site.ask("barman", *site.options, "backup", "--immediate-checkpoint", "main")
            switch = ("switch-wal", "--force", "--archive", "--archive-timeout=120", "main")
            site.ask("barman", *site.options, *switch)
            with live_of(site) as live:
                require_good(asked(site, Tool.BARMAN, Level.L2, live), Level.L2, number)
    print(f"barman: {many} good backups, 0 false alarms")


MYDUMPER = (
    "--rows=1",
    "--rows=100000",
    "--build-empty-files",
    "--triggers",
    "--routines",
    "--events",
    "--threads=1",
    "--threads=4",
    "--chunk-filesize=1",
    "--statement-size=2000",
    "--complete-insert",
    "--insert-ignore",
    "--skip-tz-utc",
)


def test_mydumper(
    many: int,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    require_tool("mydumper", "mydumper")
    chance = random.Random(1)
    database = make_database("mariadb")
    files_table(database, rows=700, files=False)
    database.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY)")
    database.execute("CREATE TABLE `odd.name-ü` (id INTEGER PRIMARY KEY, word BLOB)")
    database.execute("INSERT INTO `odd.name-ü` VALUES (1, 'a;\nb'), (2, NULL)")
    database.execute("CREATE VIEW seen AS SELECT uid FROM files")
    for number in range(many):
        # The first with all, since few are made in CI.
        how = chance.sample(MYDUMPER, chance.randint(0, 6)) if number else list(MYDUMPER[2:])
        dump = tmp_path / f"dump_{number}"
        run_mydumper(database, dump, "--compress", *how)  # its only checksums
        question = Question(
            *(Tool.MYDUMPER, str(dump), Level.L2),
            database=database.name,
            tables=("files",),
            count_until=lambda _moment: 700,
        )
        report = check_foreign(question, Surroundings(now=now(), max_age_hours=24))
        require_good(report, Level.L2, how)
    print(f"mydumper: {many} good backups, 0 false alarms")
