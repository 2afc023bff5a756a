"""The answer to a commit is lost: what was committed is said to be done, and nothing else is."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.test_stolen_lease import JOBS, Job
from des_core.basics.errors import DesError, ExitCode
from des_core.database.connections import open_database
from des_core.ledger.watermark_edits import execute_lag, plan_lag
from des_core.migration.apply import downgrade, upgrade
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from support.crash.lifetime import Life
from support.crash.truth import read_archive
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.proxy import Cut, CuttingProxy

MOST_COMMITS = 200
SERVERS = ("postgres", "mariadb")
LEDGER = {
    "des_archive_shard": "name, files, sha256",
    "des_archive_slice": "kind, window_start, window_end, files_in, files_out, files_failed",
    "des_archive_event": "action",
    "des_archive_job": "name, state",
    "des_admin_version": "version_num",
}


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_edit(cut: str, database: TestDatabase, files_table: FilesTableFactory) -> None:
    files_table(database, 20, days=2, archived_days=1, files=False)
    upgrade(settings_for(database))
    with proxy_of(database) as proxy:
        settings = through(proxy, database)
        for at in range(MOST_COMMITS):
            wanted = 20 + at
            proxy.arm(cut, at)  # type: ignore[arg-type]
            said = change_lag(settings, wanted)
            done = database.value("SELECT lag_days FROM des_archive_config") == wanted
            assert said == done, f"commit {at}"
            if not proxy.has_cut:
                break
            assert database.value("SELECT COUNT(*) FROM des_archive_lease WHERE token <> ''") == 0
    assert 0 < at < MOST_COMMITS - 1


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_rollback(cut: str, database: TestDatabase, files_table: FilesTableFactory) -> None:
    """A rollback that says that it failed has not retired the watermark."""
    files_table(database, 60, days=6, archived_days=3, holes=3, files=False)
    before = canonical_rows(database)
    with proxy_of(database) as proxy:
        settings = through(proxy, database)
        for at in range(0, MOST_COMMITS, 5):
            upgrade(settings_for(database))
            proxy.arm(cut, at)  # type: ignore[arg-type]
            try:
                downgrade(settings)
            except DesError:
                assert proxy.has_cut
                downgrade(settings_for(database))
            assert "des_archive_config" not in database.table_names()
            assert canonical_rows(database) == before
            if not proxy.has_cut:
                break
    assert 0 < at < MOST_COMMITS - 1


def picture(life: Life) -> dict[str, Any]:
    """What the job is for, as far as it does not tell when or by whom."""
    tables = life.database.table_names()
    is_there = "des_archive_config" in tables
    with life.database.session() as session:
        columns = sorted(str(c["name"]) for c in sa.inspect(session).get_columns("files"))
    found: dict[str, Any] = {
        "tables": tables - {"des_archive_lease"},
        "columns": columns,
        "sources": sorted(path.name for path in life.sources.iterdir()),
        "archive": {uid: found for uid, found in read_archive(life.output).items() if found},
        "watermark": life.watermark if is_there else None,
        "exceptions": life.exceptions() if is_there else None,
        "flags": life.flags() if "archived" in columns else None,
    }
    for table, names in LEDGER.items():
        rows = life.database.rows(f"SELECT {names} FROM {table}") if table in tables else []
        found[table] = sorted(map(repr, rows))
    return found


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", JOBS)
def test_each_job(
    name: str,
    make_database: Callable[[str], TestDatabase],
    tmp_path: Path,
    is_soak: bool,
) -> None:
    """It says that it is done, or it is done when it is called again: once, and wholly."""
    servers = SERVERS if is_soak else SERVERS[list(JOBS).index(name) % 2 :][:1]
    for server in servers:
        commits, expected = undisturbed(JOBS[name], make_database(server), tmp_path / server)
        cuts = [(cut, at) for at in range(commits) for cut in ("after", "before")]
        # In the middle of the job, unless somebody has time for all of them.
        for cut, at in cuts if is_soak else [("after", commits // 2)]:
            place = tmp_path / f"{server}-{cut}-{at}"
            found = cut_off(JOBS[name], make_database(server), place, cut, at)
            assert found == expected, f"{server}: {cut} commit {at} of {commits}"
        print(f"\n{server}, {name}: {commits} commits")


def arranged(job: Job, database: TestDatabase, place: Path) -> Life:
    life = Life(database, place)
    for day in range(6):
        for moment in (timedelta(0), timedelta(hours=7), timedelta(hours=23)):
            life.insert(day, moment, 40 * day, archived=day < 2)
    job.arrange(life)
    return life


def undisturbed(job: Job, database: TestDatabase, place: Path) -> tuple[int, dict[str, Any]]:
    life = arranged(job, database, place)
    with proxy_of(database) as proxy:
        life.settings = through(proxy, database, life.settings)
        proxy.arm("before", MOST_COMMITS)
        job.act(life)
        assert 0 < proxy.commits < MOST_COMMITS
        return proxy.commits, picture(life)


def cut_off(job: Job, database: TestDatabase, place: Path, cut: Cut, at: int) -> dict[str, Any]:
    life = arranged(job, database, place)
    direct = life.settings
    with proxy_of(database) as proxy:
        life.settings = through(proxy, database, direct)
        proxy.arm(cut, at)
        try:
            job.act(life)
            is_done = True
        except DesError as error:
            assert error.exit_code is not ExitCode.BUG, error
            is_done = False
        assert proxy.has_cut
    if "des_archive_lease" in database.table_names():
        assert database.value("SELECT COUNT(*) FROM des_archive_lease WHERE token <> ''") == 0
    life.settings = direct
    if not is_done:
        job.act(life)
    return picture(life)


def proxy_of(database: TestDatabase) -> CuttingProxy:
    url = sa.make_url(database.url)
    assert url.host is not None
    assert url.port is not None
    return CuttingProxy(url.host, url.port)


def through(
    proxy: CuttingProxy, database: TestDatabase, settings: Settings | None = None
) -> Settings:
    settings = settings or settings_for(database)
    url = type(settings.database.url)(proxy.url(database.url))
    return settings.model_copy(
        update={"database": settings.database.model_copy(update={"url": url})}
    )


def change_lag(settings: Settings, days: int) -> bool:
    """Whether it said that it was done."""
    config = open_database(settings.config_url)
    try:
        plan = plan_lag(config, SourceReader(config, settings.database), days)
        execute_lag(config, plan, actor="tests", reason=None)
    except DesError:
        return False
    finally:
        config.close()
    return True
