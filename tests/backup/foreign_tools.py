"""Real backups by tools of others: pgBackRest, Barman and mydumper on servers of our own."""

import getpass
import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.servers.database import TestDatabase
from support.servers.kinds import database_on, is_ci, require_server
from support.servers.mysql import PASSWORD as MARIADB_PASSWORD
from support.servers.mysql import USER as MARIADB_USER
from support.servers.postgres import PASSWORD, USER, PostgresServer, find_postgres
from support.servers.processes import make_server_dir, run_tool, server_user


def require_tool(name: str, package: str) -> str:
    """The tool's path; a visible skip without it, a failure in CI."""
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is not installed: install the package {package}"
    if is_ci():
        pytest.fail(f"{reason} (CI skips nothing)", pytrace=False)
    pytest.skip(reason)


Prepare = Callable[["ForeignSite"], None]


@dataclass
class ForeignSite:
    """A PostgreSQL server whose WAL a tool archives, and the options that the tool wants."""

    server: PostgresServer
    database: TestDatabase
    directory: Path
    options: tuple[str, ...]

    def ask(self, *command: str) -> str:
        """The tool's answer, as the user who runs the server."""
        done = subprocess.run(
            as_server_user([real_program(command[0]), *command[1:]]),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ, LC_ALL="C.UTF-8"),
        )
        assert done.stdout, done.stderr
        return done.stdout

    def put_in_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tools run as the user whose repository it is, as an operator has them run."""
        programs = self.directory / "bin"
        programs.mkdir(exist_ok=True)
        for name in ("pgbackrest", "barman"):
            command = shlex.join(as_server_user([real_program(name)]))
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def do(self, *command: str) -> None:
        run_tool(as_plain(command), cwd=self.directory)


def real_program(name: str) -> str:
    """The program itself, whatever a test has put before it in PATH."""
    return shutil.which(name, path="/usr/bin:/usr/local/bin") or name


def as_plain(command: Sequence[str]) -> list[str]:
    return [str(part) for part in command]


def as_server_user(command: Sequence[str]) -> list[str]:
    user = server_user()
    if user is None:
        return list(command)
    entry = pwd.getpwnam(user)
    switch = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return [*switch, "--", *command]


@contextmanager
def pgbackrest_site(
    prepare: Prepare = lambda _site: None, *, more: str = ""
) -> Iterator[ForeignSite]:
    """One full and one incremental backup of stanza `main`; `prepare` fills the server first.

    `more` are lines of the configuration.
    """
    tool = require_tool("pgbackrest", "pgbackrest")
    with _server("pgbackrest") as (server, directory):
        config = directory / "pgbackrest.conf"
        server.settings = {
            **server.settings,
            "archive_mode": "on",
            "archive_command": f"{tool} --config={config} --stanza=main archive-push %p",
        }
        paths = "".join(
            f"{key}-path={directory / key}\n" for key in ("log", "lock", "spool", "repo1")
        )
        config.write_text(
            f"[global]\n{paths}start-fast=y\nlog-level-file=off\n{more}\n[main]\n"
            f"pg1-path={server.data_dir}\npg1-port={server.port}\n"
            f"pg1-socket-path={server.directory}\npg1-user={USER}\n"
        )
        for name in ("log", "lock", "spool", "repo1"):
            make_for_server(directory / name)
        server.start()
        site = ForeignSite(server, database_on(server), directory, (f"--config={config}",))
        base = (tool, f"--config={config}", "--stanza=main")
        site.do(*base, "stanza-create")
        prepare(site)
        for kind in ("full", "incr"):
            site.do(*base, f"--type={kind}", "backup")
        yield site


@contextmanager
def barman_site(prepare: Prepare = lambda _site: None) -> Iterator[ForeignSite]:
    """One backup of server `main` by streaming, its WAL copied by the server.

    `prepare` fills the server first.
    """
    tool = require_tool("barman", "barman")
    with _server("barman") as (server, directory):
        home = make_for_server(directory / "home")
        incoming = make_for_server(make_for_server(home / "main") / "incoming")
        server.settings = {
            **server.settings,
            "archive_mode": "on",
            "archive_command": f"cp %p {incoming}/%f",
        }
        passfile = directory / "pgpass"
        passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
        _own(passfile, 0o600)
        conninfo = (
            f"host=127.0.0.1 port={server.port} user={USER} dbname=postgres passfile={passfile}"
        )
        config = directory / "barman.conf"
        binaries = find_postgres()
        assert binaries is not None
        config.write_text(
            f"[barman]\nbarman_home = {home}\nbarman_user = {server_user() or getpass.getuser()}\n"
            f"log_file = {directory / 'barman.log'}\n"
            f"configuration_files_directory = {make_for_server(directory / 'conf.d')}\n"
            f"path_prefix = {binaries.directory}\n"
            f"\n[main]\ndescription = main\nconninfo = {conninfo}\n"
            f"streaming_conninfo = {conninfo}\nbackup_method = postgres\narchiver = on\n"
        )
        server.start()
        site = ForeignSite(server, database_on(server), directory, ("-c", str(config)))
        base = (tool, "-c", str(config))
        site.ask(*base, "switch-wal", "--force", "--archive", "--archive-timeout=120", "main")
        prepare(site)
        site.ask(*base, "backup", "main")
        site.ask(*base, "switch-wal", "--force", "--archive", "--archive-timeout=120", "main")
        yield site


@contextmanager
def _server(kind: str) -> Iterator[tuple[PostgresServer, Path]]:
    binaries = find_postgres()
    if binaries is None:
        require_server("PostgreSQL")
    directory = make_server_dir(kind)
    server = PostgresServer(binaries)
    try:
        yield server, directory
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


def make_for_server(path: Path) -> Path:
    """A directory that the user who runs the server owns."""
    path.mkdir()
    _own(path, 0o700)
    return path


def _own(path: Path, mode: int) -> None:
    path.chmod(mode)
    user = server_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def run_mydumper(database: TestDatabase, target: Path, *options: str) -> None:
    """A dump of one MariaDB database into the directory `target`."""
    require_tool("mydumper", "mydumper")
    command = ["mydumper", *_connection(database, target), "-B", database.name, "-o", str(target)]
    subprocess.run([*command, *options], check=True, capture_output=True)


def run_myloader(database: TestDatabase, dump: Path) -> bool:
    """Whether myloader restores the dump into an empty database without a complaint."""
    command = ["myloader", *_connection(database, dump), "-B", database.name, "-d", str(dump)]
    # With more threads they deadlock each other over one table, now and then.
    done = subprocess.run([*command, "-o", "-t", "1"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and "CRITICAL" not in done.stderr


def _connection(database: TestDatabase, beside: Path) -> list[str]:
    host, _, port = database.url.rpartition("@")[2].partition("/")[0].partition(":")
    config = beside.with_suffix(".cnf")
    config.write_text(f"[client]\nuser={MARIADB_USER}\npassword={MARIADB_PASSWORD}\n")
    config.chmod(0o600)
    options = [f"--defaults-file={config}", "-h", host, "-P", port]
    return [*options, "-u", MARIADB_USER, "-p", MARIADB_PASSWORD]
