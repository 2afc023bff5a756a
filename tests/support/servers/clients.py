"""The databases' own clients: psql, mariadb, mysql, sqlite3."""

import os
import subprocess
from pathlib import Path

import sqlalchemy as sa

from support.pages.tools import require_tool
from support.servers.database import TestDatabase
from support.servers.kinds import require_mysql
from support.servers.mysql import find_mariadb, find_mysql

_CLIENTS = {"postgres": "psql", "mariadb": "mariadb", "sqlite": "sqlite3"}


def client_of(database: TestDatabase) -> str:
    """The path of the server's own client; without it a visible skip, and a failure in CI."""
    if database.server == "mysql":
        return require_mysql("mysql").program("mysql")
    return require_tool(_CLIENTS[database.server])


def link_clients(directory: Path) -> None:
    """Clients and dumpers of the servers under test, in a directory that comes first in PATH."""
    names = {"mariadb": ("mariadb", "mariadb-dump"), "mysql": ("mysql", "mysqldump")}
    for binaries in (find_mariadb(), find_mysql()):
        for name in names[binaries.product] if binaries else ():
            (directory / name).symlink_to(binaries.program(name))


def run_script(database: TestDatabase, text: str) -> str:
    """Run `text` with the client of the database; fails on any error. Returns what it printed."""
    client = client_of(database)
    url = sa.make_url(database.url)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    if database.kind == "sqlite":
        command = [client, "-bail", str(database.path)]
    elif database.kind == "postgres":
        env["PGPASSWORD"] = url.password or ""
        command = [client, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", url.host or ""]
        command += ["-p", str(url.port), "-U", url.username or "", "-d", url.database or ""]
    else:
        env["MYSQL_PWD"] = url.password or ""
        command = [client, "--no-defaults", "--default-character-set=utf8mb4", "-h", url.host or ""]
        command += ["-P", str(url.port), "-u", url.username or "", url.database or ""]
    done = subprocess.run(
        command,
        input=text.encode(),
        capture_output=True,
        env=env,
        cwd=Path(__file__).parent,
        timeout=120,
        check=False,
    )
    output = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, output
    return output
