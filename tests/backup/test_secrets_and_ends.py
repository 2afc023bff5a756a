"""Passwords stay in private files; whatever happens, nothing is left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from backup.conftest import Bench, codes
from des_core.backup.private import private_directory, write_option_file, write_pgpass
from des_core.backup.programs import run_to_end
from des_core.backup.progress import Progress
from des_core.basics.errors import CheckFailed, DesError
from support.program.archive import make_settings
from support.program.runner import environment, write_config
from support.servers.database import TestDatabase
from support.servers.kinds import require_server
from support.servers.mysql import PASSWORD as MARIADB_PASSWORD
from support.servers.postgres import PASSWORD as POSTGRES_PASSWORD

PASSWORDS = (MARIADB_PASSWORD, POSTGRES_PASSWORD, "s3cret")


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private directories are made during the test."""
    directory = tmp_path / "private"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def test_tools_are_heard_in_one_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their words decide whether a restore came to its end: a good one would be called bad."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    program = shutil.which("pg_restore")
    if program is None:
        require_server("PostgreSQL")
        return
    code, said = run_to_end([program, "--list", str(tmp_path / "none")], tmp_path)
    assert (code, said[:18]) == (1, "pg_restore: error:")


def children(pid: int | str = "self") -> list[int]:
    """Processes started by any thread of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end while we look.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def program_of(pid: int) -> str:
    """The first word of a process's command line; nothing where it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return program_in(Path(f"/proc/{pid}/cmdline").read_text())
    return ""


def program_in(command_line: str) -> str:
    """The program, also where it was started through a loader of its own."""
    words = command_line.split("\0")
    return words[2] if words[1:2] == ["--argv0"] else words[0]


class Watcher:
    """Looks at every child process while a backup is made or checked."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.leaks: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.001):
            for pid in children():
                self._look(pid)

    def _look(self, pid: int) -> None:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            variables = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        self.seen.add(program_in(arguments))
        self.leaks += [text for text in (arguments, variables) if any(p in text for p in PASSWORDS)]


def test_no_password_in_arguments_variables_or_files(bench: Bench, private_tmp: Path) -> None:
    with Watcher() as watcher:
        stored = bench.create()
        report = bench.check(stored.path)
    assert report.is_good
    assert watcher.leaks == []
    if bench.database.kind != "sqlite":
        assert any("dump" in program for program in watcher.seen)
    assert list(private_tmp.iterdir()) == []
    for path in stored.path.rglob("*"):
        text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        assert not any(password in text for password in PASSWORDS)


def test_credential_files_are_ours_alone(tmp_path: Path) -> None:
    odd = "a:b\\c\"d#e'f  g"
    pgpass = write_pgpass(tmp_path, odd)
    options = write_option_file(tmp_path, {"user": "u", "password": odd})
    assert [path.stat().st_mode & 0o777 for path in (pgpass, options)] == [0o600, 0o600]
    assert pgpass.read_text() == "*:*:*:*:a\\:b\\\\c\"d#e'f  g\n"


@pytest.mark.parametrize("password", ["a:b\\c", "#hash", "quote'\"s", "back\\slash\\", " space "])
def test_odd_passwords_work(
    password: str,
    database: TestDatabase,
    make_bench: Callable[[TestDatabase], Bench],
    files_table: Callable[..., object],
) -> None:
    if database.kind == "sqlite":
        pytest.skip("no passwords here")
    files_table(database, rows=5, files=False)
    user = f"odd_{os.urandom(4).hex()}"
    _create_user(database, user, password)
    try:
        url = sa.make_url(database.url).set(username=user, password=password)
        bench = make_bench(replace(database, url=url.render_as_string(hide_password=False)))
        assert codes(bench.check(bench.create().path)) == set()
        bench.close()
    finally:
        _drop_user(database, user)


def _create_user(database: TestDatabase, user: str, password: str) -> None:
    literal = password.replace("'", "''")
    if database.kind == "postgres":
        database.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD E'{_escaped(literal)}'")
    else:
        database.execute(f"CREATE USER {user} IDENTIFIED BY '{_escaped(literal)}'")
        database.execute(f"GRANT ALL ON *.* TO {user}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


def _drop_user(database: TestDatabase, user: str) -> None:
    database.execute(f"DROP ROLE {user}" if database.kind == "postgres" else f"DROP USER {user}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_dumper_killed(bench: Bench, private_tmp: Path, number: int) -> None:
    """However much was written, a dump that did not end by itself is no backup."""
    if bench.database.kind == "sqlite":
        pytest.skip("no dumper")
    blocker = bench.database.connect()
    _block_dumper(bench.database, blocker)
    killed: list[int] = []

    def kill_dumper(_progress: Progress) -> None:
        for pid in children():
            if "dump" in program_of(pid):
                os.kill(pid, number)
                killed.append(pid)

    with pytest.raises(CheckFailed) as caught:
        bench.create(kill_dumper, lock_timeout_s=30)
    assert killed
    assert f"signal {number}" in caught.value.message or "exit code" in caught.value.message
    assert list(bench.directory.iterdir()) == []
    assert list(private_tmp.iterdir()) == []


def _block_dumper(database: TestDatabase, blocker: object) -> None:
    """A table that nobody may read, so that the dumper waits in the middle."""
    database.execute("CREATE TABLE zzz (id INTEGER PRIMARY KEY)")
    cursor = blocker.cursor()  # type: ignore[attr-defined]
    if database.kind == "postgres":
        cursor.execute("LOCK TABLE zzz IN ACCESS EXCLUSIVE MODE")
    else:
        cursor.execute("LOCK TABLES zzz WRITE")


def test_dumper_that_fails_leaves_nothing(
    bench: Bench, make_bench: Callable[[TestDatabase], Bench], private_tmp: Path
) -> None:
    """A table that may not be read, a view that is broken, a page that is damaged."""
    database = bench.database
    if database.kind == "postgres":
        bench = make_bench(_as_lowly_role(database))
    elif database.kind == "mysql":
        database.execute("CREATE TABLE base (id INTEGER)")
        database.execute("CREATE VIEW broken AS SELECT id FROM base")
        database.execute("DROP TABLE base")
    else:
        _damage_pages(database)
    with pytest.raises(DesError) as caught:
        bench.create()
    assert caught.value.exit_code != 0
    assert list(bench.directory.iterdir()) == []
    assert list(private_tmp.iterdir()) == []


def _as_lowly_role(database: TestDatabase) -> TestDatabase:
    role = f"lowly_{os.urandom(4).hex()}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    database.execute(f"GRANT SELECT ON files TO {role}")
    database.execute("CREATE TABLE closed (id INTEGER)")
    url = sa.make_url(database.url).set(username=role, password="x")
    return replace(database, url=url.render_as_string(hide_password=False))


def _damage_pages(database: TestDatabase) -> None:
    assert database.path is not None
    with database.path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 8))


def test_ctrl_c_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    """In the middle of a dump: the program says so, ends with 130, and its children are gone."""
    if bench.database.kind == "sqlite":
        pytest.skip("no dumper")
    blocker = bench.database.connect()
    _block_dumper(bench.database, blocker)
    write_config(make_settings(bench.database, tmp_path / "shards"), tmp_path / "des-admin.yaml")
    directory = tmp_path / "backups"
    command = [sys.executable, "-m", "des_admin", "backup", "create", "--dir", str(directory)]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**environment(), "DES_ADMIN__MIGRATION__LOCK_TIMEOUT": "60"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        _wait_until_dumping(process.pid)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    assert "interrupted" in error
    assert list(directory.iterdir()) == []


def _wait_until_dumping(pid: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any("dump" in program_of(child) for child in children(pid)):
            return
        threading.Event().wait(0.05)
    raise AssertionError("the dumper did not start")


def test_what_a_killed_process_left_is_swept(private_tmp: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    left = private_tmp / f"des-admin-private-{ended.pid}-abc"
    left.mkdir()
    (left / "pgpass").write_text("secret")
    mine = private_tmp / f"des-admin-private-{os.getpid()}-abc"
    mine.mkdir()
    with private_directory() as path:
        assert path.stat().st_mode & 0o777 == 0o700
        assert sorted(private_tmp.iterdir()) == sorted([mine, path])
    assert list(private_tmp.iterdir()) == [mine]
