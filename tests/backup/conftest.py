"""Fixtures of the backup tests: a database with rows, backups of it, and ways to damage them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from des_core.backup.check import CheckOptions, check_backup
from des_core.backup.create import CreateOptions, create_backup
from des_core.backup.dump import Stored
from des_core.backup.findings import CheckReport, Level
from des_core.backup.identity import Target, open_target
from des_core.backup.live import read_live
from des_core.backup.manifest import FileEntry, Manifest, seal
from des_core.backup.presence import Surroundings
from des_core.backup.progress import Listener, ignore
from des_core.backup.store import list_backups, load_entry, previous_of
from des_core.settings.config import DatabaseSettings
from support.rows.filesdata import FilesTableFactory
from support.servers.clients import link_clients
from support.servers.database import TestDatabase
from support.servers.postgres import find_postgres

BOTH = ("source", "config")


@pytest.fixture(autouse=True)
def tools_of_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Dumpers and clients of the versions under test come first in PATH."""
    clients = tmp_path_factory.mktemp("clients")
    link_clients(clients)
    binaries = find_postgres()
    places = [str(clients), *([str(binaries.directory)] if binaries else []), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(places))


@dataclass
class Bench:
    """One database, a directory of backups, and the two verbs."""

    database: TestDatabase
    directory: Path
    roles: tuple[str, ...] = BOTH
    settings: dict[str, Any] = field(default_factory=dict)
    _target: Target | None = None

    @property
    def target(self) -> Target:
        if self._target is None:
            self._target = open_target(self.database.url)
        return self._target

    def close(self) -> None:
        if self._target is not None:
            self._target.database.close()

    def create(self, listener: Listener = ignore, **options: Any) -> Stored:
        settings = DatabaseSettings.model_validate({"url": self.database.url, **self.settings})
        order = CreateOptions(self.directory, **options)
        return create_backup(self.target, settings, self.roles, order, clock=now, listener=listener)

    def check(
        self,
        path: Path,
        level: Level = Level.L3,
        *,
        at: datetime | None = None,
        offline: bool = False,
        jobs: int = 1,
    ) -> CheckReport:
        stored = load_entry(path).stored
        around = Surroundings(
            now=at or now(),
            max_age_hours=24,
            previous=previous_of(list_backups(path.parent), stored) if stored else None,
            live=None if offline else read_live(self.target),
        )
        scratch = None if offline else self.target
        return check_backup(path, around, CheckOptions(level, jobs, scratch))


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[[TestDatabase], Bench]]:
    """A bench on a database."""
    benches: list[Bench] = []

    def make(database: TestDatabase) -> Bench:
        benches.append(Bench(database, tmp_path / f"backups_{len(benches)}"))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(
    database: TestDatabase,
    files_table: FilesTableFactory,
    make_bench: Callable[[TestDatabase], Bench],
) -> Bench:
    """A bench on each server in turn, with 300 rows in `files`."""
    files_table(database, rows=300, files=False)
    return make_bench(database)


def codes(report: CheckReport, level: Level | None = None) -> set[str]:
    """The codes of what was found, at one level or at all; the shared disk is no fault here."""
    return {
        finding.code
        for finding in report.findings
        if level in (None, finding.level) and finding.code != "same_disk"
    }


def data_file(stored: Stored) -> Path:
    """The largest file of the backup."""
    return stored.path / max(stored.manifest.files, key=lambda entry: entry.size_bytes).path


def believe(stored: Stored, **changes: Any) -> None:
    """Seal the manifest anew over the bytes that are there, as a dumper would that noticed nothing.

    Files that are gone are left out.
    """
    entries = tuple(
        _measured(stored.path, entry)
        for entry in stored.manifest.files
        if (stored.path / entry.path).exists()
    )
    write(stored, replace(stored.manifest, **{"files": entries, **changes}))


def write(stored: Stored, manifest: Manifest) -> None:
    """Another manifest in the place of the first."""
    (stored.path / "manifest.json").write_text(seal(manifest)[0])


def _measured(root: Path, entry: FileEntry) -> FileEntry:
    data = (root / entry.path).read_bytes()
    return replace(entry, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def flip_bit(path: Path, place: int) -> None:
    """Change bit number `place` of the file."""
    with path.open("r+b") as file:
        file.seek(place // 8)
        byte = file.read(1)[0] ^ (1 << place % 8)
        file.seek(place // 8)
        file.write(bytes([byte]))


def cut(path: Path, share: float) -> None:
    """Keep the first part of the file; at least one byte goes."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(min(int(size * share), size - 1))
