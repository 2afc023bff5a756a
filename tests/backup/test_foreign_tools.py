"""The real pgBackRest, Barman and mydumper, asked and believed.

With --regenerate-golden their answers are written to `recorded/`, without paths and ports of this
machine; `test_foreign_answers` reads them where the tools are not installed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backup.conftest import now
from backup.foreign_tools import (
    ForeignSite,
    barman_site,
    pgbackrest_site,
    run_mydumper,
)
from des_core.backup.findings import CheckReport, Level, Severity, Status
from des_core.backup.foreign.answer import Tool
from des_core.backup.foreign.ask import Question, check_foreign
from des_core.backup.identity import open_target
from des_core.backup.live import read_live
from des_core.backup.presence import Surroundings
from support.servers.database import TestDatabase

RECORDED = Path(__file__).parent / "recorded"
pytestmark = pytest.mark.slow


class Recorder:
    """Writes an answer, scrubbed, when asked to."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def keep(self, name: str, text: str, site: ForeignSite) -> None:
        if not self._wanted:
            return
        for found, shown in (
            (str(site.directory / "home"), "/var/lib/barman"),
            (str(site.directory), "/srv/backups"),
            (str(site.server.data_dir), "/var/lib/postgresql/data"),
            (str(site.server.directory), "/run/postgresql"),
            (f"port={site.server.port}", "port=5432"),
            ("user=des_test", "user=barman"),
        ):
            text = text.replace(found, shown)
        (RECORDED / name).write_text(text)


@pytest.fixture
def recorder(regenerate_golden: bool) -> Recorder:
    return Recorder(regenerate_golden)


def check(site: ForeignSite, tool: Tool, level: Level) -> CheckReport:
    """The check as the command makes it, against the live server."""
    target = open_target(site.database.url)
    try:
        around = Surroundings(now=now(), max_age_hours=24, live=read_live(target))
        return check_foreign(Question(tool, "main", level, site.options), around)
    finally:
        target.database.close()


def _flip_largest(directory: Path, pattern: str) -> None:
    path = max(directory.glob(pattern), key=lambda found: found.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_pgbackrest(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pgbackrest_site() as site:
        site.put_in_path(monkeypatch)
        base = ("pgbackrest", *site.options)
        report = check(site, Tool.PGBACKREST, Level.L1)
        assert report.is_good, report
        assert report.level is Level.L1
        assert report.findings == ()
        recorder.keep("pgbackrest_info.json", site.ask(*base, "info", "--output=json"), site)
        listing = ("--stanza=main", "repo-ls", "--recurse", "--output=json", "archive/main")
        recorder.keep("pgbackrest_wal.json", site.ask(*base, *listing), site)
        missing = site.ask(*base, "--stanza=other", "info", "--output=json")
        recorder.keep("pgbackrest_info_missing.json", missing, site)
        verify = (*base, "--stanza=main", "verify", "--output=text", "--verbose")
        recorder.keep("pgbackrest_verify_good.txt", site.ask(*verify), site)
        _flip_largest(site.directory, "repo1/backup/main/2*F/**/*.gz")
        assert check(site, Tool.PGBACKREST, Level.L0).is_good
        damaged = check(site, Tool.PGBACKREST, Level.L1)
        assert damaged.statuses[Level.L1] is Status.FAILED
        recorder.keep("pgbackrest_verify_damaged.txt", site.ask(*verify), site)


def test_barman(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with barman_site() as site:
        site.put_in_path(monkeypatch)
        base = ("barman", *site.options, "-f", "json")
        report = check(site, Tool.BARMAN, Level.L2)
        assert report.is_good, report
        assert (report.level, report.findings) == (Level.L2, ())
        for verb in ("check", "show-backup", "verify-backup"):
            name = f"barman_{verb.replace('-', '_')}.json"
            last = ("latest",) if verb.endswith("backup") else ()
            recorder.keep(name, site.ask(*base, verb, "main", *last), site)
        listing = site.ask(*base, "list-files", "--target", "wal", "main", "latest")
        recorder.keep("barman_list_files.json", listing, site)
        recorder.keep("barman_check_unknown.json", site.ask(*base, "check", "other"), site)
        _flip_largest(site.directory, "home/main/base/*/data/base/**/*[0-9]")
        damaged = check(site, Tool.BARMAN, Level.L2)
        assert damaged.statuses[Level.L1] is Status.FAILED
        answer = site.ask(*base, "verify-backup", "main", "latest")
        recorder.keep("barman_verify_backup_damaged.json", answer, site)
        site.server.stop()
        recorder.keep("barman_check_down.json", site.ask(*base, "check", "main"), site)


def test_mydumper(
    make_database: Callable[[str], TestDatabase],
    files_table: Callable[..., object],
    tmp_path: Path,
    regenerate_golden: bool,
) -> None:
    database = make_database("mariadb")
    files_table(database, rows=20, files=False)
    target = tmp_path / "dump"
    run_mydumper(database, target, "--compress")
    around = Surroundings(now=now(), max_age_hours=24)
    question = Question(
        *(Tool.MYDUMPER, str(target), Level.L2),
        database=database.name,
        tables=("files",),
        count_until=lambda _moment: 20,
    )
    report = check_foreign(question, around)
    assert report.is_good, report
    assert report.level is Level.L2
    if regenerate_golden:
        _keep_dump(target, database.name)
    [data] = target.glob("*.files.sql.gz")
    data.write_bytes(data.read_bytes()[:-9])
    assert check_foreign(question, around).statuses[Level.L1] is Status.FAILED


def test_what_empty_and_exchanged_files_of_mydumper_prove(
    make_database: Callable[[str], TestDatabase],
    files_table: Callable[..., object],
    tmp_path: Path,
) -> None:
    database = make_database("mariadb")
    files_table(database, rows=20, files=False)
    database.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY)")
    found = {}
    for how in ((), ("--compress",)):
        target = tmp_path / f"dump{len(how)}"
        run_mydumper(database, target, "--build-empty-files", *how)
        question = Question(
            *(Tool.MYDUMPER, str(target), Level.L2),
            database=database.name,
            tables=("files",),
            count_until=lambda _moment: 20,
        )
        report = check_foreign(question, Surroundings(now=now(), max_age_hours=24))
        found[how] = {finding.code: finding.severity for finding in report.findings}
    assert found[()]["empty_file"] is Severity.UNKNOWN
    assert found[("--compress",)].keys() == {"not_compared"}
    [other], [own] = target.glob("*.empty-schema.sql.gz"), target.glob("*.files-schema.sql.gz")
    shutil.copy2(other, own)
    report = check_foreign(question, Surroundings(now=now(), max_age_hours=24))
    assert "another definition than its name says" in str(report.findings)


def _keep_dump(target: Path, name: str) -> None:
    kept = RECORDED / "mydumper"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in target.iterdir():
        shutil.copyfile(path, kept / path.name.replace(name, "archive_db"))
