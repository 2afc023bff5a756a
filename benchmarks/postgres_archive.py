"""An archive on a PostgreSQL server of the benchmark's own, durable as in production."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from harness import ROOT, SourceFile

sys.path.insert(0, str(ROOT / "tests"))

from support.servers.postgres import PostgresServer, find_postgres

DURABLE = {"fsync": "on", "full_page_writes": "on", "timezone": "UTC"}
PROGRAMS = {**os.environ, "PYTHONPATH": f"{ROOT / 'runner'}{os.pathsep}{ROOT}"}
# What is imported is compiled once, as what pip installs is, and not at each start.
PROGRAMS.pop("PYTHONDONTWRITEBYTECODE", None)
FIRST_DAY = datetime(2024, 3, 1, tzinfo=UTC)
TABLE = (
    "CREATE TABLE files (uid text PRIMARY KEY, created_at timestamptz NOT NULL,"
    " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL DEFAULT false)"
)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Copy:
    """A database that nothing was packed from yet, with its configuration and empty output."""

    config: Path
    output: Path
    name: str


class PostgresArchive:
    """A server, and a migrated database of which each round takes a fresh copy."""

    def __init__(self, server: PostgresServer, place: Path) -> None:
        self.server = server
        self._place = place
        self._template = ""

    def fill(
        self,
        files: Sequence[SourceFile],
        days: int = 1,
        *,
        rows: int | None = None,
        migrated: bool = True,
    ) -> None:
        """Rows in equal steps of time over so many UTC days; then migrate.

        `rows` may be more than there are files: then several rows have one location.
        """
        rows = rows or len(files)
        self._template = self.server.create_database()
        step = timedelta(seconds=86_400 * days / (rows + 1))
        with self.server.connect(self._template) as connection:
            connection.execute(TABLE)
            with connection.cursor().copy(
                "COPY files (uid, created_at, file_location, size_bytes) FROM STDIN"
            ) as copy:
                for number in range(rows):
                    file, moment = files[number % len(files)], FIRST_DAY + step * (number + 1)
                    uid = file.uid if number < len(files) else f"{file.uid}-{number}"
                    copy.write_row((uid, moment, file.path, file.size))
            connection.execute("CREATE INDEX ON files (created_at)")
            connection.execute(
                "CREATE INDEX idx_files_created_archived ON files (created_at) WHERE NOT archived"
            )
        with self.server.connect(self._template) as connection:
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE files")
        config = self._place / "template.yaml"
        output = self._place / "template"
        output.mkdir(exist_ok=True)
        self._write_config(config, self._template, output)
        if migrated:
            des_admin(config, "migrate", "up", "--yes", "--quiet")

    @contextmanager
    def copy(self) -> Iterator[Copy]:
        """For one round; its database is gone afterwards.

        What was packed stays until the end: for a minute after many files were deleted, ext4 looks
        longer for a place for each new one, and a round would pay for the one before it.
        """
        name = self.server.create_database(self._template)
        output = self._place / f"archive-{uuid.uuid4().hex[:8]}"
        output.mkdir()
        config = self._place / f"{output.name}.yaml"
        self._write_config(config, name, output)
        try:
            yield Copy(config, output, name)
        finally:
            self.server.drop_database(name)

    def processor_s(self) -> float:
        """Processor seconds of the server so far, its living processes included."""
        pid = self.server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        living = sum(_processor_s(int(child), 2) for child in children)
        return living + _processor_s(pid, 4)

    def _write_config(self, path: Path, database: str, output: Path) -> None:
        tree = {
            "database": {"url": self.server.url(database)},
            "packer": {"output_dir": str(output), "source_roots": [str(self._place / "source")]},
        }
        path.write_text(yaml.safe_dump(tree))


@contextmanager
def postgres_archive(place: Path, **settings: str) -> Iterator[PostgresArchive]:
    """Start the server, or say what to install; `settings` are the server's."""
    binaries = find_postgres()
    if binaries is None:
        raise SystemExit("no PostgreSQL server found: apt install postgresql")
    with PostgresServer(binaries, DURABLE | settings) as server:
        yield PostgresArchive(server, place)


def des_admin(config: Path, *arguments: str) -> str:
    """Run the operator's program; its standard output."""
    return run_program("des_admin", "--config", str(config), *arguments)


def run_program(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        check=False,
        env=PROGRAMS,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{module} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def run_cycle(config: Path) -> None:
    """One cycle, in a process as a scheduler would start it."""
    run_program("watermark_orchestrator", "--config", str(config), "--mode", "single")


def _processor_s(pid: int, fields: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    ticks = text.rpartition(")")[2].split()[11 : 11 + fields]
    return sum(map(int, ticks)) / _TICKS
