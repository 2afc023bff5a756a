"""What is ours is never a source: not packed, not deleted, whatever a row calls it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from des_core.basics.errors import ConfigError
from des_core.settings.config import Settings
from support.crash.truth import archive_bytes, read_archive, read_open_exceptions
from support.program.archive import make_archive, make_settings
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase
from watermark_orchestrator.archive import open_archive
from watermark_orchestrator.cycle import run_cycle
from watermark_orchestrator.source_deletion import delete_now

pytestmark = pytest.mark.sqlite
DAY = datetime(2024, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def database(make_database: Callable[[str], TestDatabase]) -> TestDatabase:
    return make_database("sqlite")


@pytest.fixture
def table(database: TestDatabase, files_table: FilesTableFactory) -> FilesTable:
    return files_table(database, rows=30, days=3)


def settings_of(database: TestDatabase, table: FilesTable, output: Path) -> Settings:
    return make_archive(
        database,
        output,
        packer={"source_roots": [str(table.root)], "big_file_threshold": 1500},
        watermark={"recheck_days": 3650},
        migration={"grace_days": 0},
    )


def pack(settings: Settings) -> None:
    with open_archive(settings) as archive:
        run_cycle(archive)


@pytest.mark.parametrize(
    "place",
    ["output below a root", "root below the output", "root is the output", "another name of it"],
)
def test_roots_and_output_are_apart(
    database: TestDatabase, table: FilesTable, tmp_path: Path, place: str
) -> None:
    output, root = tmp_path / "out", table.root
    if place == "output below a root":
        output = table.root / "deep" / "out"
    elif place == "root below the output":
        root = output / "sources"
        root.mkdir(parents=True)
    elif place == "root is the output":
        root = output
    else:
        root = tmp_path / "name"
        root.symlink_to(tmp_path)
    settings = make_settings(database, output, packer={"source_roots": [str(root)]})
    with pytest.raises(ConfigError, match="not apart"):
        pack(settings)


@pytest.mark.parametrize(
    "sections",
    [
        {"backup": {"dir": "%s/backups"}},
        {"logging": {"file": "%s/log"}},
        {"metrics": {"textfile": "%s/des.prom"}},
        {"database": {"url": "sqlite:///%s/files.db"}},
        {"watermark": {"config_db_url": "sqlite:///%s/config.db"}},
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_each_place_of_ours_is_apart(tmp_path: Path, sections: dict[str, dict[str, str]]) -> None:
    filled = {
        name: {key: value.replace("%s", f"{tmp_path}/in") for key, value in fields.items()}
        for name, fields in sections.items()
    }
    tree = {
        "database": {"url": f"sqlite:///{tmp_path}/out/files.db"},
        "packer": {"output_dir": str(tmp_path / "out"), "source_roots": [str(tmp_path / "in")]},
    }
    assert Settings.model_validate(tree).packer_config.own_places
    with pytest.raises(ConfigError, match="not apart"):
        assert Settings.model_validate({**tree, **filled}).packer_config


def test_with_the_whole_tree_as_root_ours_is_not_packed(
    database: TestDatabase, table: FilesTable, tmp_path: Path
) -> None:
    settings = make_archive(database, tmp_path / "out", packer={"source_roots": ["/"]})
    pack(settings)
    shard = next((tmp_path / "out").glob("*.des"))
    assert database.path is not None
    for uid, path in (("shard", shard), ("database", database.path)):
        table.add(uid, DAY, location=str(path))
        database.execute("UPDATE files SET size_bytes = NULL WHERE uid = :u", {"u": uid})
    database.execute("UPDATE des_archive_config SET archived_until = '2024-01-01 00:00:00'")
    pack(settings)
    assert {"shard", "database"} <= set(read_open_exceptions(database))
    assert not {"shard", "database"} & set(read_archive(tmp_path / "out"))
    with pytest.raises(ConfigError, match="holds everything"), open_archive(settings) as archive:
        delete_now(archive)


@pytest.fixture(params=["hard link", "bind mount", "bind mount of all"])
def way_to_ours(
    request: pytest.FixtureRequest, table: FilesTable, tmp_path: Path
) -> Iterator[Callable[[Path], Path]]:
    """Gives one of our files another name below the root."""
    mounts: list[Path] = []

    def bind(source: Path) -> Path:
        if os.geteuid() != 0:
            pytest.skip("only root may mount")
        target = table.root / "bound"
        target.mkdir()
        done = subprocess.run(["mount", "--bind", source, target], capture_output=True)
        if done.returncode:
            pytest.skip("this machine lets nobody mount")
        mounts.append(target)
        return target

    def make(ours: Path) -> Path:
        if request.param == "hard link":
            other = table.root / "other"
            other.hardlink_to(ours)
            return other
        if request.param == "bind mount":
            return bind(ours.parent) / ours.name
        return bind(tmp_path) / ours.relative_to(tmp_path)

    yield make
    for target in mounts:
        subprocess.run(["umount", target], check=True)


@pytest.mark.parametrize("what", ["*.des", "_bigFiles/**/*", "_manifests/*"])
def test_ours_is_never_deleted_under_another_name(
    database: TestDatabase,
    table: FilesTable,
    tmp_path: Path,
    way_to_ours: Callable[[Path], Path],
    what: str,
) -> None:
    """The archive holds the same bytes, so nothing but what the file is can save it."""
    settings = settings_of(database, table, tmp_path / "out")
    pack(settings)
    ours = next(p for p in sorted((tmp_path / "out").glob(what)) if p.is_file())
    copy = table.root / "copy"
    shutil.copyfile(ours, copy)
    table.add("copy", DAY, copy.read_bytes(), location=str(copy))
    size = copy.stat().st_size
    database.execute("UPDATE files SET size_bytes = :n WHERE uid = 'copy'", {"n": size})
    pack(settings)  # found as late, packed
    assert "copy" in read_archive(tmp_path / "out")
    other = way_to_ours(ours)
    database.execute("UPDATE files SET file_location = :l WHERE uid = 'copy'", {"l": str(other)})
    before = archive_bytes(tmp_path / "out")
    with open_archive(settings) as archive:
        report = delete_now(archive)
    assert other.exists()
    assert before.items() <= archive_bytes(tmp_path / "out").items()  # a head of the trail is new
    assert (report.files, dict(report.kept)) == (30, {"ours": 1})
