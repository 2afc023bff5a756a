"""Documents whose command blocks are run: found, parted by section, executed in order.

A section (a second-level heading) names the state that it starts from in a comment:
`<!-- state: before postgres -->`. Comments right above a block are for the test alone:
`<!-- exit: 3 -->` or `<!-- exit: 0 3 -->` says how it may end, `<!-- run: COMMAND -->` runs before
it.
Blocks of `sh` go to bash, blocks of `sql` to the client of the section's database, blocks of `yaml`
are loaded as configuration files. A block of `output` shows the output of the block above it.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.program.runner import environment
from support.servers.clients import client_of, link_clients
from support.servers.database import TestDatabase

FENCE = re.compile(r"^(?P<indent>\s*)```(?P<lang>\S*)\s*$")
COMMENT = re.compile(r"^\s*<!--\s*(?P<key>state|exit|run):\s*(?P<value>.*?)\s*-->\s*$")
PROGRAMS = {
    "des-admin": "des_admin",
    "des-retriever": "des_admin.retriever_cli",
    "des-migrate": "des_admin.per_record_cli",
}
RUNS = {"sh", "sql", "yaml"}
OUTPUT = "output"
SHOWN_ONLY = {OUTPUT, "text", "json", "mermaid", ""}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, text and the line of its fence.

    For the test alone: the exit codes that it may have, and the commands to run before it.
    """

    language: str
    text: str
    line: int = 0
    exit_codes: tuple[int, ...] = (0,)
    before: tuple[str, ...] = ()


@dataclass(slots=True)
class Section:
    """A second-level section with the state it wants and its blocks, in order."""

    title: str
    state: str | None = None
    blocks: list[Block] = field(default_factory=list)


def read_sections(path: Path) -> list[Section]:
    """The sections of a document that hold blocks to run."""
    sections = [Section(path.stem)]
    notes: dict[str, list[str]] = {}
    opened: tuple[str, int, str] | None = None
    text: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened is not None:
            if fence and not fence["lang"]:
                sections[-1].blocks.append(_block(*opened, text, notes))
                opened, text, notes = None, [], {}
            else:
                text.append(line.removeprefix(opened[2]))
        elif fence:
            opened = (fence["lang"], number, fence["indent"])
        elif line.startswith("## "):
            sections.append(Section(line.removeprefix("## ").strip()))
        elif comment := COMMENT.match(line):
            if comment["key"] == "state":
                sections[-1].state = comment["value"]
            else:
                notes.setdefault(comment["key"], []).append(comment["value"])
    return [s for s in sections if any(block.language in RUNS for block in s.blocks)]


def _block(
    language: str, line: int, indent: str, text: list[str], notes: dict[str, list[str]]
) -> Block:
    codes = tuple(int(code) for each in notes.get("exit", ["0"]) for code in each.split())
    return Block(
        language,
        "".join(f"{each}\n" for each in text),
        line,
        codes,
        tuple(notes.get("run", [])),
    )


@dataclass(slots=True)
class Desk:
    """Where an operator sits: a directory with des-admin.yaml, the programs and clients at hand."""

    directory: Path
    database: TestDatabase
    variables: dict[str, str]

    def run(self, block: Block, *, together: bool = False) -> subprocess.CompletedProcess[str]:
        """Execute a block as it stands. `together` gives both streams as stdout, as a terminal."""
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        given, env = None, {**environment(), **self.variables}
        if block.language == "sql":
            command, given = self._client(), block.text
            env["PGTZ"] = "UTC"
        return subprocess.run(
            command,
            cwd=self.directory,
            env=env,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE,
            text=True,
            timeout=120,
        )

    def _client(self) -> list[str]:
        if self.database.kind == "postgres":
            return ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1"]
        if self.database.kind == "mysql":
            return [client_of(self.database), f"--defaults-file={self.directory / 'client.cnf'}"]
        return ["sqlite3", "-bail", str(self.database.path)]


def sit_down(directory: Path, database: TestDatabase) -> Desk:
    """Put programs and credentials where the shell of a block finds them."""
    import sqlalchemy as sa

    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        _write_program(programs / name, f'exec {sys.executable} -m {module} "$@"')
    _write_program(programs / "python3", f'exec {sys.executable} "$@"')
    link_clients(programs)
    url = sa.make_url(database.url)
    # Of several versions of a server's clients, those that the tests were told to use.
    clients = Path(shutil.which("pg_dump") or "/usr/local/bin/pg_dump").parent
    variables = {
        "PATH": f"{programs}:{clients}:/usr/local/bin:/usr/bin:/bin",
        "DES_ADMIN_CONFIG": str(directory / "des-admin.yaml"),
        "COLUMNS": "100",
    }
    if database.path is not None:
        variables["DB_FILE"] = str(database.path)
    if url.host is not None:
        login = f"[client]\nhost={url.host}\nport={url.port}\nuser={url.username}\n"
        login += f"password={url.password}\ndatabase={url.database}\n[{database.server}]\ntable\n"
        (directory / "client.cnf").write_text(login)
        (directory / "client.cnf").chmod(0o600)
        variables |= {
            "PGHOST": url.host,
            "PGPORT": str(url.port),
            "PGUSER": str(url.username),
            "PGPASSWORD": str(url.password),
            "PGDATABASE": str(url.database),
            "CLIENT": client_of(database),
            "DB_NAME": str(url.database),
            "DB_USER": str(url.username),
            "DB_PASSWORD": str(url.password),
        }
    return Desk(directory, database, variables)


def _write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
