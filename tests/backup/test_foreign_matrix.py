"""Backups of the real tools, damaged by a generated matrix: none is called good that is none.

What passes is really restored. Few damages in CI; DES_TEST_ROUNDS says how many else.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backup.conftest import now
from backup.damage import generate, try_all
from backup.foreign_tools import (
    ForeignSite,
    as_server_user,
    barman_site,
    make_for_server,
    pgbackrest_site,
    real_program,
    require_tool,
    run_mydumper,
    run_myloader,
)
from des_core.backup.findings import CheckReport, Level
from des_core.backup.foreign.answer import Tool
from des_core.backup.foreign.ask import Question, check_foreign
from des_core.backup.identity import open_target
from des_core.backup.live import Live, read_live
from des_core.backup.presence import Surroundings
from des_core.basics.errors import DesError
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase
from support.servers.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
IN_CI = 10


@pytest.fixture
def wanted(is_soak: bool, rounds: int) -> int:
    return rounds if is_soak else IN_CI


@contextmanager
def live_of(site: ForeignSite) -> Iterator[Live]:
    target = open_target(site.database.url)
    try:
        yield read_live(target)
    finally:
        target.database.close()


def asked(site: ForeignSite, tool: Tool, level: Level, live: Live) -> CheckReport | None:
    around = Surroundings(now=now(), max_age_hours=24, live=live)
    try:
        return check_foreign(Question(tool, "main", level, site.options), around)
    except DesError:
        return None


def comes_up(site: ForeignSite, *command: str) -> bool:
    """Whether the tool's restore ends well, and the server on it recovers to a usable state."""
    server = PostgresServer(site.server.binaries)
    server.settings = {**server.settings, "archive_mode": "off"}
    try:
        make_for_server(server.data_dir)
        program, *words = command
        line = [real_program(program), *(w.replace("DATA", str(server.data_dir)) for w in words)]
        done = subprocess.run(
            as_server_user(line), cwd=site.directory, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return False
        server.start()
        with server.connect("postgres") as connection:
            [answer] = connection.execute("SELECT sum(id) FROM proof").fetchall()
        return answer == (5050,)
    except Exception:
        return False
    finally:
        server.remove()


def fill(site: ForeignSite) -> None:
    with site.server.connect("postgres") as connection:
        connection.execute("CREATE TABLE proof AS SELECT generate_series(1, 100) AS id")


def test_pgbackrest(wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pgbackrest_site(prepare=fill) as site, pgbackrest_site() as other:
        site.put_in_path(monkeypatch)
        restore = (
            *("pgbackrest", *site.options, "--stanza=main", "--pg1-path=DATA"),
            *("--type=immediate", "--target-action=promote", "restore"),
        )

        def is_special(path: Path) -> bool:
            return "pg_data" not in path.parts or path.name.startswith(("backup_label", "pg_con"))

        root = site.directory / "repo1"
        damages = generate(root, other.directory / "repo1", is_special, wanted)
        with live_of(site) as live:
            report = asked(site, Tool.PGBACKREST, Level.L1, live)
            assert report is not None and (report.level, report.findings) == (Level.L1, ())
            assert comes_up(site, *restore)
            tally = try_all(
                damages,
                lambda: asked(site, Tool.PGBACKREST, Level.L1, live),
                Level.L1,
                lambda: comes_up(site, *restore),
            )
    print(f"pgbackrest: {tally}")
    assert tally.lies == []
    assert tally.found >= tally.tried // 3, "some damages can harm nothing, but not most"


def test_barman(wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with barman_site(prepare=fill) as site, barman_site() as other:
        site.put_in_path(monkeypatch)
        restore = (
            *("barman", *site.options, "recover", "--target-immediate"),
            *("--target-action=promote", "main", "latest", "DATA"),
        )

        def is_special(path: Path) -> bool:
            is_data = "data" in path.parts
            return not is_data or path.name in ("backup_label", "backup_manifest", "pg_control")

        root = site.directory / "home" / "main"
        damages = generate(root, other.directory / "home" / "main", is_special, wanted)
        with live_of(site) as live:
            report = asked(site, Tool.BARMAN, Level.L2, live)
            assert report is not None and (report.level, report.findings) == (Level.L2, ())
            assert comes_up(site, *restore)
            tally = try_all(
                damages,
                lambda: asked(site, Tool.BARMAN, Level.L2, live),
                Level.L2,
                lambda: comes_up(site, *restore),
            )
    print(f"barman: {tally}")
    assert tally.lies == []
    assert tally.found >= tally.tried // 3, "some damages can harm nothing, but not most"


def test_mydumper(
    wanted: int,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    require_tool("mydumper", "mydumper")
    database, other = make_database("mariadb"), make_database("mariadb")
    files_table(database, rows=700, files=False)
    files_table(other, rows=300, files=False)
    for each in (database, other):
        each.execute("CREATE TABLE numbered (id INTEGER PRIMARY KEY, word TEXT)")
        each.execute("INSERT INTO numbered VALUES (1, 'a'), (2, 'b'), (500, 'c'), (900, 'd')")
        each.execute("CREATE VIEW seen AS SELECT uid FROM files")
    dump, donor = tmp_path / "dump", tmp_path / "donor"
    for each, path in ((database, dump), (other, donor)):
        run_mydumper(each, path, "--compress", "--rows", "1", "--build-empty-files", "--triggers")
    for path in donor.iterdir():
        path.rename(donor / path.name.replace(other.name, database.name))

    def check() -> CheckReport | None:
        question = Question(
            *(Tool.MYDUMPER, str(dump), Level.L2),
            database=database.name,
            tables=("files",),
            count_until=lambda _moment: 700,
        )
        try:
            return check_foreign(question, Surroundings(now=now(), max_age_hours=24))
        except DesError:
            return None

    def restores() -> bool:
        scratch = make_database("mariadb")
        if not run_myloader(scratch, dump):
            return False
        return scratch.rows("SELECT COUNT(*), MIN(uid), MAX(uid) FROM files") == expected

    expected = database.rows("SELECT COUNT(*), MIN(uid), MAX(uid) FROM files")
    report = check()
    assert report is not None and report.level is Level.L2, report
    assert restores()
    damages = generate(dump, donor, lambda path: True, wanted)
    tally = try_all(damages, check, Level.L2, restores)
    print(f"mydumper: {tally}")
    assert tally.lies == []
    assert tally.found >= tally.tried // 3, "some damages can harm nothing, but not most"
