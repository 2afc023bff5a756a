"""Shards that the ledger does not know are claims: sources are what counts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from des_core.basics.errors import DamagedShard, Refused
from des_core.ledger.archive_identity import adopt_output
from des_core.settings.config import Settings
from support.crash.truth import check_truth, read_archive
from support.program.archive import make_archive
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import CycleReport, run_cycle

pytestmark = pytest.mark.sqlite


@pytest.fixture
def database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    return make_database("sqlite")


@pytest.fixture
def table(database: TestDatabase, files_table: FilesTableFactory) -> FilesTable:
    return files_table(database, rows=60, days=2, min_size=10)


def run(settings: Settings) -> CycleReport:
    with open_archive(settings) as archive:
        return run_cycle(archive)


def adopt_foreign_output(settings: Settings) -> None:
    """No cycle goes on in an output that the ledger does not know, until somebody says so."""
    with open_archive(settings) as archive:
        with pytest.raises(Refused, match="knows nothing of"):
            run_cycle(archive)
        adopt_output(archive.config, archive.storage, actor="test", reason="compare them")


def plant(
    make_database: Callable[[str], TestDatabase], table: FilesTable, settings: Settings
) -> dict[str, bytes]:
    """Pack the same rows with other bytes elsewhere, and put shards and manifests in place."""
    right = {uid: Path(row.location).read_bytes() for uid, row in table.rows.items()}
    for uid, row in table.rows.items():
        Path(row.location).write_bytes(bytes(b ^ 0xFF for b in right[uid]))
    scene = make_database("sqlite")
    scene_path, path = scene.path, table.database.path
    assert scene_path is not None
    assert path is not None
    scene_path.write_bytes(path.read_bytes())
    database = settings.database.model_copy(update={"url": _secret(scene.url)})
    run(settings.model_copy(update={"database": database}))
    for uid, row in table.rows.items():
        Path(row.location).write_bytes(right[uid])
    adopt_foreign_output(settings)
    return right


def _secret(url: str) -> object:
    from pydantic import SecretStr

    return SecretStr(url)


@pytest.mark.parametrize("check", ["all", "sample"])
def test_a_planted_shard_is_not_believed(
    make_database: Callable[[str], TestDatabase],
    database: TestDatabase,
    table: FilesTable,
    tmp_path: Path,
    check: str,
) -> None:
    settings = make_archive(database, tmp_path / "out", packer={"adoption_check": check})
    plant(make_database, table, settings)
    planted = {path.read_bytes() for path in (tmp_path / "out").glob("*.des")}
    assert planted
    moved = 0
    while moved < 100:
        try:
            run(settings)
            break
        except DamagedShard as refused:
            name, moved = str(refused.facts["shard"]), moved + 1
            (tmp_path / "out/_damaged").mkdir(exist_ok=True)
            for manifest in (tmp_path / "out/_manifests").glob("2*.json"):
                manifest.rename(tmp_path / "out/_damaged" / f"{moved} {manifest.name}")
            (tmp_path / "out" / name).rename(tmp_path / "out/_damaged" / f"{moved} {name}")
    left = planted & {path.read_bytes() for path in (tmp_path / "out").glob("*.des")}
    if check == "sample":
        assert moved > 0
        return
    assert left == set()
    assert check_truth(table, database, tmp_path / "out") == {}


def test_what_cannot_be_compared_is_kept(
    make_database: Callable[[str], TestDatabase],
    database: TestDatabase,
    table: FilesTable,
    tmp_path: Path,
) -> None:
    """The only copy there is: with its source gone, the shard is all that anybody has."""
    settings = make_archive(database, tmp_path / "out")
    plant(make_database, table, settings)
    for row in table.rows.values():
        Path(row.location).unlink()
    assert run(settings).files_present == 60
    assert len(read_archive(tmp_path / "out")) == 60


def test_a_shard_of_our_own_is_adopted(
    database: TestDatabase, table: FilesTable, tmp_path: Path
) -> None:
    settings = make_archive(database, tmp_path / "out")
    assert database.path is not None
    before = database.path.read_bytes()
    assert run(settings).files_present == 0
    database.path.write_bytes(before)
    adopt_foreign_output(settings)
    assert run(settings).files_present == 60
    assert check_truth(table, database, tmp_path / "out") == {}
    assert json.loads(next((tmp_path / "out/_manifests").glob("2*.json")).read_bytes())
