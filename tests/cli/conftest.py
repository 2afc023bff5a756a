"""Fixtures of the command line's tests: a project directory, and the program run for real."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from des_core.migration.apply import upgrade
from des_core.settings.config import Settings
from des_core.settings.config_file import load_settings
from support.program.own_process import ONE_AUTHORITY
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = '  source_roots: ["/"]\n'
CANARY = "c4n4ry-Pa55"


@dataclass(frozen=True, slots=True)
class Done:
    """One run of the program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)


Program = Callable[..., Done]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The working directory of the program."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


@pytest.fixture
def program(project: Path) -> Program:
    """Runs the program in the project, without a terminal: in this very process, which is ten
    times faster, or as a process of its own with `separate=True`."""

    def run(
        *arguments: str,
        module: str = "des_admin",
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        expect: int | None = 0,
        separate: bool = False,
    ) -> Done:
        how = run_separate if separate else run_inside
        result = how(project, module, arguments, program_environment(project, env), stdin)
        assert "Traceback (most recent call last)" not in result.out + result.err
        assert CANARY not in result.out + result.err
        if expect is not None:
            assert result.code == expect, f"{result.out}\n{result.err}"
        return result

    return run


def run_separate(
    cwd: Path, module: str, arguments: Sequence[str], env: Mapping[str, str], stdin: str | None
) -> Done:
    """`python -m MODULE arguments…`."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=env,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run_inside(
    cwd: Path, module: str, arguments: Sequence[str], env: Mapping[str, str], stdin: str | None
) -> Done:
    """The same in this process."""
    entry = "des_admin.__main__" if module == "des_admin" else module
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    kept = (os.environ.copy(), Path.cwd(), sys.stdin)
    try:
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.stdin = io.StringIO(stdin or "")
        with redirect_stdout(out), redirect_stderr(err):
            code = import_module(entry).main(list(arguments))
    finally:
        os.environ.clear()
        os.environ.update(kept[0])
        os.chdir(kept[1])
        sys.stdin = kept[2]
    return Done(code, _text_of(out), _text_of(err))


def _text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.detach()
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()


def program_environment(home: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a person who has set nothing."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'runner'}:{ROOT}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "TERM": "dumb",
        **ONE_AUTHORITY,
        **(env or {}),
    }


def write_config(
    project: Path, url: str, *, config_url: str | None = None, extra: str = ""
) -> Path:
    """A configuration for a source (and another config database), with an output directory."""
    output = project / "output"
    output.mkdir(exist_ok=True)
    watermark = f"watermark:\n  config_db_url: {json.dumps(config_url)}\n" if config_url else ""
    path = project / "des-admin.yaml"
    path.write_text(
        f"database:\n  url: {json.dumps(url)}\n"
        f"packer:\n  output_dir: {json.dumps(str(output))}\n  n_bits: 4\n"
        f"{ANYWHERE}{watermark}{extra}"
    )
    return path


def name_roots(config: Path, *roots: Path) -> str:
    """Let sources lie below these directories only; the file's text then."""
    text = config.read_text()
    assert ANYWHERE in text
    named = json.dumps([str(root) for root in roots])
    text = text.replace(ANYWHERE, f"  source_roots: {named}\n" if roots else "")
    config.write_text(text)
    return text


@pytest.fixture
def configured(project: Path, database: TestDatabase) -> TestDatabase:
    """A database on each server in turn, with a configuration that names it."""
    write_config(project, database.url)
    return database


@dataclass(frozen=True, slots=True)
class Archive:
    """A migrated archive: 200 files over the ten days from 2024-01-01, six days archived."""

    project: Path
    source: TestDatabase
    config: TestDatabase
    table: FilesTable
    settings: Settings

    def exceptions(self) -> dict[str, tuple[str, bool]]:
        """Open exceptions: uid → (reason, archived)."""
        rows = self.config.rows(
            "SELECT uid, reason, archived FROM des_archive_exception WHERE resolved_at IS NULL"
        )
        return {uid: (reason, bool(archived)) for uid, reason, archived in rows}

    def events(self) -> list[tuple[str, str | None, str | None, str | None, str]]:
        """(action, from, to, reason, actor), oldest first."""
        return self.config.rows(
            "SELECT action, from_value, to_value, reason, actor FROM des_archive_event"
            " ORDER BY event_id"
        )


def make_archive(
    project: Path, source: TestDatabase, config: TestDatabase, files_table: FilesTableFactory
) -> Archive:
    """Migrate a made-up table up to the watermark."""
    table = files_table(source, rows=200, archived_days=6, holes=3)
    config_url = None if config is source else config.url
    path = write_config(project, source.url, config_url=config_url)
    settings = load_settings(path, env={}).settings
    upgrade(settings, actor="tests")
    return Archive(project, source, config, table, settings)


@pytest.fixture
def archive(project: Path, database: TestDatabase, files_table: FilesTableFactory) -> Archive:
    """An archive on each server in turn, its watermark in the same database."""
    return make_archive(project, database, database, files_table)


@pytest.fixture
def sqlite_archive(
    project: Path,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
) -> Archive:
    """An archive on SQLite, with a config database of its own, for what no server changes."""
    return make_archive(project, make_database("sqlite"), make_database("sqlite"), files_table)
