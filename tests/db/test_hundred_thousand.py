"""The whole way at a size at which accidents show: 100,000 files, there, and back, twice.

With the watermark in another database a quarter of them: what differs there is no matter of size.
"""

from pathlib import Path

import pytest

from des_core.migration.apply import downgrade, upgrade
from des_core.migration.base.migration import MigrationOptions
from des_core.settings.config import Settings
from support.crash.truth import check_truth, read_open_exceptions, read_watermark_value
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory, canonical_rows
from support.servers.database import TestDatabase
from support.servers.kinds import MIXED_SERVERS
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle

BAD = {"missing": 10, "directory": 8, "fifo": 6, "socket": 2, "wrong_size": 8, "relative": 6}
DROP = MigrationOptions(drop_archived=True, backup="named by the test")
OTHER = dict(MIXED_SERVERS)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def make(
    source: TestDatabase,
    config: TestDatabase | None,
    files_table: FilesTableFactory,
    output_dir: Path,
    rows: int = 100_000,
) -> tuple[FilesTable, Settings]:
    table = files_table(
        source, rows=rows, days=40, archived_days=25, holes=60, bad=BAD, max_size=1024
    )
    packer = {"n_bits": 4, "workers": 2}
    return table, make_archive(source, output_dir, config, packer=packer)


def expected_flags(table: FilesTable, config: TestDatabase) -> dict[str, bool]:
    """The formula, computed from watermark and open exceptions by the test itself."""
    watermark, exceptions = read_watermark_value(config), read_open_exceptions(config)
    return {
        uid: (row.created_at <= watermark) != (uid in exceptions) for uid, row in table.rows.items()
    }


def go_there_and_back(
    table: FilesTable, settings: Settings, source: TestDatabase, config: TestDatabase, out: Path
) -> None:
    untouched = [row[:4] for row in canonical_rows(source)]
    with open_archive(settings) as archive:
        report = run_cycle(archive)
    assert report.files_failed == sum(BAD.values()) == 40
    assert report.retried.packed == 60
    reasons = check_truth(table, config, out)
    assert set(reasons) == set(table.bad)
    flags = expected_flags(table, config)
    upgrade(settings, options=DROP)
    downgrade(settings)
    after = canonical_rows(source)
    assert {row[0]: row[4] for row in after} == flags
    assert [row[:4] for row in after] == untouched
    upgrade(settings, options=DROP)
    downgrade(settings)
    assert canonical_rows(source) == after


def test_there_and_back(
    database: TestDatabase, files_table: FilesTableFactory, tmp_path: Path
) -> None:
    table, settings = make(database, None, files_table, tmp_path / "out")
    go_there_and_back(table, settings, database, database, tmp_path / "out")


@pytest.mark.parametrize(
    ("database", "config_database"), list(OTHER.items()), indirect=True, ids=list(OTHER)
)
def test_there_and_back_with_the_watermark_elsewhere(
    database: TestDatabase,
    config_database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    table, settings = make(database, config_database, files_table, out, rows=25_000)
    go_there_and_back(table, settings, database, config_database, out)
