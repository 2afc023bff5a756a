"""The answer to a commit is lost: what was committed is said to be done, and nothing else is."""

import pytest

from des_core.basics.errors import DesError
from des_core.database.connections import open_database
from des_core.ledger.watermark_edits import execute_lag, plan_lag
from des_core.migration.apply import downgrade, upgrade
from des_core.rows.reader import SourceReader
from des_core.settings.config import Settings
from support.program.migrating import settings_for
from support.rows.filesdata import FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.proxy import CuttingProxy

MOST_COMMITS = 200


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


def proxy_of(database: TestDatabase) -> CuttingProxy:
    import sqlalchemy as sa

    url = sa.make_url(database.url)
    assert url.host is not None
    assert url.port is not None
    return CuttingProxy(url.host, url.port)


def through(proxy: CuttingProxy, database: TestDatabase) -> Settings:
    settings = settings_for(database)
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
