"""Output full, read-only, sources unmounted: the watermark stays, and the way out is said."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from des_core.settings.config import Settings
from support.crash.truth import check_truth, read_open_exceptions, read_watermark_value
from support.program.archive import make_archive
from support.program.runner import run_runner, write_config
from support.rows.filesdata import FilesSpec, FilesTable, FilesTableFactory, make_files_table
from support.servers.database import TestDatabase

SMALL, LARGE = "size=600k", "size=64m"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts file systems in memory: directory name → its path."""
    paths: list[Path] = []

    def mount(name: str) -> Path:
        path = tmp_path / name
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.splitlines()[0]}")
        paths.append(path)
        return path

    yield mount
    for path in paths:
        subprocess.run(["umount", str(path)], check=False, capture_output=True)


def remount(path: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


def make(
    database: TestDatabase, files_table: FilesTableFactory, output: Path
) -> tuple[FilesTable, Settings]:
    table = files_table(database, rows=240, days=4, min_size=4000, max_size=8000)
    return table, make_archive(database, output)


def test_a_full_disk(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    mounted: Callable[[str], Path],
) -> None:
    output = mounted("out")
    table, settings = make(database, files_table, output)
    remount(output, SMALL)
    config = write_config(settings, tmp_path / "config.yaml")
    full = run_runner(config)
    assert full.returncode == 4, full.stderr
    assert "free space" in full.stderr
    assert "Traceback" not in full.stderr
    check_truth(table, database, output)
    before = read_watermark_value(database)
    assert run_runner(config).returncode == 4
    assert read_watermark_value(database) == before
    remount(output, LARGE)
    assert run_runner(config).returncode == 0
    assert check_truth(table, database, output) == {}


def test_a_read_only_disk(
    database: TestDatabase,
    files_table: FilesTableFactory,
    tmp_path: Path,
    mounted: Callable[[str], Path],
) -> None:
    output = mounted("out")
    table, settings = make(database, files_table, output)
    config = write_config(settings, tmp_path / "config.yaml")
    before = read_watermark_value(database)
    remount(output, "ro")
    refused = run_runner(config)
    assert refused.returncode == 4, refused.stderr
    assert "read-only" in refused.stderr
    assert read_watermark_value(database) == before
    remount(output, "rw")
    assert run_runner(config).returncode == 0
    assert check_truth(table, database, output) == {}


def test_a_disk_of_sources_that_is_not_mounted(
    database: TestDatabase, tmp_path: Path, mounted: Callable[[str], Path]
) -> None:
    sources = mounted("sources")
    table = make_files_table(database, sources / "files", FilesSpec(rows=600, days=2))
    settings = make_archive(database, tmp_path / "out")
    config = write_config(settings, tmp_path / "config.yaml")
    subprocess.run(["umount", str(sources)], check=True)
    refused = run_runner(config)
    assert refused.returncode == 4, refused.stderr
    assert "mounted" in refused.stderr
    first = min(row.created_at for row in table.rows.values())
    assert read_watermark_value(database) <= first
    assert len(read_open_exceptions(database)) <= 1
    assert list((tmp_path / "out").glob("*.des")) == []
