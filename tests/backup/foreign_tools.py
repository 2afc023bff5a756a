"""Real backups by tools of others: pgBackRest, Barman and mydumper on servers of our own."""

import getpass
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.servers.database import TestDatabase
from support.servers.kinds import database_on, is_ci, require_server
from support.servers.mariadb import PASSWORD as MARIADB_PASSWORD
from support.servers.mariadb import USER as MARIADB_USER
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
            as_server_user(command),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            env=dict(os.environ, LC_ALL="C.UTF-8"),
        )
        assert done.stdout, done.stderr
        return done.stdout

    def do(self, *command: str) -> None:
        run_tool(as_plain(command), cwd=self.directory)


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
def pgbackrest_site() -> Iterator[ForeignSite]:
    """One full and one incremental backup of stanza `main`."""
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
            f"[global]\n{paths}start-fast=y\nlog-level-file=off\n\n[main]\n"
            f"pg1-path={server.data_dir}\npg1-port={server.port}\n"
            f"pg1-socket-path={server.directory}\npg1-user={USER}\n"
        )
        for name in ("log", "lock", "spool", "repo1"):
            _make(directory / name)
        server.start()
        site = ForeignSite(server, database_on(server), directory, (f"--config={config}",))
        base = (tool, f"--config={config}", "--stanza=main")
        site.do(*base, "stanza-create")
        for kind in ("full", "incr"):
            site.do(*base, f"--type={kind}", "backup")
        yield site


@contextmanager
def barman_site() -> Iterator[ForeignSite]:
    """One backup of server `main` by streaming, its WAL copied by the server."""
    tool = require_tool("barman", "barman")
    with _server("barman") as (server, directory):
        home = _make(directory / "home")
        incoming = _make(_make(home / "main") / "incoming")
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
            f"configuration_files_directory = {_make(directory / 'conf.d')}\n"
            f"path_prefix = {binaries.directory}\n"
            f"\n[main]\ndescription = main\nconninfo = {conninfo}\n"
            f"streaming_conninfo = {conninfo}\nbackup_method = postgres\narchiver = on\n"
        )
        server.start()
        site = ForeignSite(server, database_on(server), directory, ("-c", str(config)))
        base = (tool, "-c", str(config))
        site.ask(*base, "switch-wal", "--force", "--archive", "--archive-timeout=20", "main")
        site.ask(*base, "backup", "main")
        site.ask(*base, "switch-wal", "--force", "--archive", "--archive-timeout=20", "main")
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


def _make(path: Path) -> Path:
    path.mkdir()
    _own(path, 0o750)
    return path


def _own(path: Path, mode: int) -> None:
    path.chmod(mode)
    user = server_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def run_mydumper(database: TestDatabase, target: Path, *options: str) -> None:
    """A dump of one MariaDB database into the directory `target`."""
    tool = require_tool("mydumper", "mydumper")
    url = database.url.rpartition("@")[2]
    host, _, port = url.partition("/")[0].partition(":")
    config = target.with_suffix(".cnf")
    config.write_text(f"[client]\nuser={MARIADB_USER}\npassword={MARIADB_PASSWORD}\n")
    config.chmod(0o600)
    command = [tool, f"--defaults-file={config}", "-h", host, "-P", port]
    command += ["-u", MARIADB_USER, "-p", MARIADB_PASSWORD, "-B", database.name, "-o", str(target)]
    subprocess.run([*command, *options], check=True, capture_output=True)
